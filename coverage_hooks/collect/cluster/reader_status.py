"""Why a reader does not run: from what Kubernetes says of its pod, and how long to wait before believing it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: Seconds. A first failure to pull is tried again after ten, which is worth waiting for.
_PULLING, _SCHEDULING, _CONFIGURING = 12.0, 10.0, 2.0

_PATIENCE = {
    "ErrImagePull": _PULLING,
    "ImagePullBackOff": _PULLING,
    "RegistryUnavailable": _PULLING,
    "ErrImageNeverPull": 0.0,
    "InvalidImageName": 0.0,
    "ImageInspectError": _CONFIGURING,
    "CreateContainerConfigError": _CONFIGURING,
    "CreateContainerError": _CONFIGURING,
    "RunContainerError": _CONFIGURING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A reason not to start; believed when it has lasted for `patience` seconds."""

    text: str
    patience: float = 0.0


def trouble(pod: Any, holders: Iterable[str] = ()) -> Trouble | None:
    """Return what keeps *pod* from running, if anything does; *holders* are the pods that have its claim."""
    if ended := ending(pod):
        return Trouble(text=ended)
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            text = f"it is not scheduled ({condition.reason}): {condition.message}"
            if "ReadWriteOncePod" in text:
                text += f"; the claim is for one pod at a time, and in use by {', '.join(holders) or 'another one'}"
            return Trouble(text=text, patience=_SCHEDULING)
    for status in pod.status.container_statuses or ():
        waiting = status.state.waiting
        if waiting and waiting.reason in _PATIENCE:
            said = f": {waiting.message}" if waiting.message else ""
            return Trouble(text=f"{waiting.reason}, image {status.image!r}{said}", patience=_PATIENCE[waiting.reason])
    return None


def ending(pod: Any) -> str:
    """Return how *pod* ended, or nothing when it has not."""
    for status in pod.status.container_statuses or ():
        if ended := status.state.terminated:
            said = f": {ended.message.strip()}" if ended.message else ""
            return f"its container ended ({ended.reason}, exit code {ended.exit_code}){said}"
    if pod.status.phase in {"Failed", "Succeeded"}:
        return f"it ended ({pod.status.reason or pod.status.phase}): {pod.status.message or 'nothing more is known'}"
    return ""


def is_running(pod: Any) -> bool:
    """Return whether the container of *pod* runs."""
    return any(status.state.running for status in pod.status.container_statuses or ())


def warning(events: Iterable[Any]) -> str:
    """Return the newest warning among *events*, such as that of a volume that cannot be mounted."""
    warnings = [event for event in events if event.type == "Warning"]
    newest = max(warnings, key=lambda event: str(event.last_timestamp or event.event_time or ""), default=None)
    return f"{newest.reason}: {newest.message}" if newest else ""
