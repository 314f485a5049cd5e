"""What the pods that have a claim mounted would record on it, and where: from what their specs say, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from coverage_hooks import settings
from coverage_hooks.collect.cluster import claims
from coverage_hooks.doctor.findings import Finding, note, ok, wrong
from coverage_hooks.settings import PREFIX, Settings

ENABLED, DIR = f"{PREFIX}ENABLED", f"{PREFIX}DIR"


def mounted(pods: Iterable[Any], claim: str) -> Iterator[Finding]:
    """Yield what *pods*, which have *claim* mounted, would record on it."""
    found = list(pods)
    if not found:
        yield note("no pod has the claim mounted now: what is on it is of operators that are gone")
    for pod in found:
        yield ok(f"pod {pod.metadata.name} has the claim mounted, on node {pod.spec.node_name}")
        mounts = list(_mounts(pod, claim))
        recording = [(each, mount) for each, mount in mounts if Settings.from_environment(_environment(each)).enabled]
        for container, mount in recording:
            yield from _recorded(f"pod {pod.metadata.name}, container {container.name}", container, mount)
        if not recording:
            yield from _off(f"pod {pod.metadata.name}", [container for container, _ in mounts])


def _mounts(pod: Any, claim: str) -> Iterator[tuple[Any, Any]]:
    """Yield each container of *pod* that mounts *claim*, and how."""
    volumes = set(claims.volumes_of(pod.spec, claim))
    for container in pod.spec.containers:
        yield from ((container, mount) for mount in container.volume_mounts or () if mount.name in volumes)


def _environment(container: Any) -> dict[str, str]:
    """Return what the pod itself says of the environment of *container*: not what a ConfigMap or Secret adds."""
    return {each.name: each.value or "" for each in container.env or () if each.value_from is None}


def _may_be_elsewhere(container: Any, name: str) -> bool:
    """Return whether the value of *name* may be in something that the environment of *container* is taken from."""
    given = [each for each in container.env or () if each.name == name]
    return any(each.value_from for each in given) or bool(container.env_from and not given)


def _slips(where: str, container: Any) -> Iterator[Finding]:
    """Yield what *container* sets that is no setting, or no value of one."""
    environ = _environment(container)
    # What Kubernetes may still fill in, only the pod itself can tell.
    filled = {name: value for name, value in environ.items() if "$(" not in value}
    yield from (wrong(f"{where}: {problem}") for problem in Settings.from_environment(filled).problems)
    for name, meant in settings.strangers(environ).items():
        advice = f"did you mean {meant}?" if meant else "docs/reference.md has those that there are"
        yield wrong(f"{where}: {name} is none of the settings, so it has no effect; {advice}")
    for name in settings.rivals(environ):
        yield wrong(
            f"{where}: {name} is set: coverage.py measures by itself, and coverage_hooks starts nothing; unset it"
        )


def _off(where: str, containers: list[Any]) -> Iterator[Finding]:
    """Yield that none of *containers* is said to record; where that may be said elsewhere, it is not known."""
    for container in containers:
        yield from _slips(f"{where}, container {container.name}", container)
    names = ", ".join(container.name for container in containers) or "none"
    if any(_may_be_elsewhere(container, ENABLED) for container in containers):
        yield note(
            f"{where}: whether {ENABLED} is set in container {names} is not said in the pod, but in what its "
            "environment is taken from; `coverage-hooks doctor` in the pod tells"
        )
    else:
        yield wrong(
            f"{where} has the claim mounted and records nothing on it: expected {ENABLED}=1 in container {names}; set "
            "it (of the chart: coverage.enabled=true)"
        )


def _recorded(where: str, container: Any, mount: Any) -> Iterator[Finding]:
    """Yield whether what *container* records ends up at the top of the claim, where the reader looks for it."""
    yield from _slips(where, container)
    if mount.read_only:
        yield wrong(f"{where}: the claim is mounted read-only, so nothing can be recorded on it; mount it writable")
    said = _environment(container).get(DIR, "").strip()
    if "$(" in said or (not said and _may_be_elsewhere(container, DIR)):
        yield note(
            f"{where} records, but the pod does not say where to: {DIR} has to be {mount.mount_path}, where the claim "
            "is mounted; `coverage-hooks doctor` in the pod tells"
        )
    elif not said or PurePosixPath(said) != PurePosixPath(mount.mount_path):
        found = f"{DIR}={said}" if said else f"no {DIR}"
        yield wrong(
            f"{where}: expected {DIR}={mount.mount_path}, where the claim is mounted, found {found}: a reader looks "
            "for recordings at the top of the claim, and nowhere else; make both the same"
        )
    elif mount.sub_path or mount.sub_path_expr:
        yield wrong(
            f"{where}: folder {mount.sub_path or mount.sub_path_expr!r} of the claim is mounted: a reader looks for "
            "recordings at its top, and nowhere else; leave subPath out"
        )
    else:
        yield ok(f"{where} records to {said}, the top of the claim")
