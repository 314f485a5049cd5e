"""What Kubernetes said about pods, as far as a ledger needs it.

::

    pod or event as the API server sends it ──> keep ──> a line of the witness ──> Pod.of, Event.of ──> instances

What is kept is a cut-out of the object in Kubernetes' own shape and words, so that one reader serves for both, and a
line can be compared with what ``kubectl get --output=json`` shows. Of the environment only three settings of the
recorder are kept, and only where they are written out: no secret is among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

#: The recorder's settings that say whether a container records at all, where to, and for which test run.
ENABLED, DIRECTORY, RUN = "COVERAGE_HOOKS_ENABLED", "COVERAGE_HOOKS_DIR", "COVERAGE_HOOKS_RUN"

#: The label by which pods of this tool are told from those that are recorded.
OWN_LABEL, OWN_VALUE = "app.kubernetes.io/managed-by", "coverage-hooks"

Document = dict[str, Any]

#: How an object came to be observed: LISTED when watching began (again), GONE when a later list lacks it.
Change = Literal["LISTED", "ADDED", "MODIFIED", "DELETED", "GONE"]

#: Events that say why a container ended or a pod went, by the kind of object that they are about.
_TELLING = {
    "Pod": {
        "Killing",
        "Unhealthy",
        "Evicted",
        "Preempted",
        "TaintManagerEviction",
        "DeadlineExceeded",
        "Failed",
        "NodeNotReady",
    },
    "ReplicaSet": {"SuccessfulDelete"},
    "StatefulSet": {"SuccessfulDelete"},
    "DaemonSet": {"SuccessfulDelete"},
    "Job": {"SuccessfulDelete"},
    "Deployment": {"ScalingReplicaSet"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a container ended, in Kubernetes' words; its times are whole seconds, cut off and not rounded."""

    container_id: str
    exit_code: int
    signal: int
    reason: str
    message: str
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container of a pod as it was seen at a moment: which claims it mounts (by path), and its status.

    `enabled` and `run` are settings of the recorder; None when the pod does not write them out, so that the image, a
    ConfigMap or nobody says them. `running_since` and `ended` exclude each other, and a waiting container has neither.
    """

    name: str
    claims: Mapping[str, str]
    enabled: str | None
    directory: str | None
    run: str | None
    container_id: str
    restarts: int
    running_since: datetime | None
    ended: Ended | None
    last: Ended | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod as it was seen at a moment.

    `deletion` is when it has to be gone, `grace` seconds after somebody asked for that; `disruption` is reason and
    message of the condition DisruptionTarget; `owner` is kind and name of its controller.
    """

    name: str
    namespace: str
    uid: str
    node: str
    deletion: datetime | None
    grace: int | None
    phase: str
    reason: str
    message: str
    disruption: tuple[str, str] | None
    owner: tuple[str, str] | None
    is_ours: bool
    containers: tuple[Container, ...]

    @classmethod
    def of(cls, document: Document) -> Pod:
        """Return what `keep_pod` kept; `ValueError` when *document* is anything else."""
        try:
            return _pod(document)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"not a pod: {type(error).__name__} {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event as it was seen; when it recurs it is seen again, with a higher `count` and a later `last`."""

    kind: str
    name: str
    uid: str
    field: str
    reason: str
    message: str
    count: int
    first: datetime | None
    last: datetime | None

    @classmethod
    def of(cls, document: Document) -> Event:
        """Return what `keep_event` kept; `ValueError` when *document* is anything else."""
        try:
            return _event(document)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"not an event: {type(error).__name__} {error}") from None


def keep_pod(raw: Document) -> Document:
    """Return what a ledger needs of a pod."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    claims = [volume for volume in spec.get("volumes") or () if "persistentVolumeClaim" in volume]
    return {
        "metadata": {
            **_part(metadata, "name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"),
            "labels": _part(metadata.get("labels") or {}, OWN_LABEL),
            "ownerReferences": [
                _part(owner, "kind", "name", "controller") for owner in metadata.get("ownerReferences") or ()
            ],
        },
        "spec": {
            **_part(spec, "nodeName"),
            "volumes": [
                {"name": volume["name"], "persistentVolumeClaim": _part(volume["persistentVolumeClaim"], "claimName")}
                for volume in claims
            ],
            **{
                kind: [_kept_container(each, {volume["name"] for volume in claims}) for each in spec[kind]]
                for kind in ("containers", "initContainers")
                if kind in spec
            },
        },
        "status": {
            **_part(status, "phase", "reason", "message"),
            "conditions": [
                _part(condition, "type", "status", "reason", "message", "lastTransitionTime")
                for condition in status.get("conditions") or ()
                if condition.get("type") == "DisruptionTarget"
            ],
            **{
                kind: [_kept_status(each) for each in status[kind]]
                for kind in ("containerStatuses", "initContainerStatuses")
                if kind in status
            },
        },
    }


def keep_event(raw: Document) -> Document | None:
    """Return what a ledger needs of an event; None when it needs none of it, as of most."""
    if raw.get("reason") not in _TELLING.get(raw["involvedObject"].get("kind", ""), ()):
        return None
    return {
        "involvedObject": _part(raw["involvedObject"], "kind", "name", "uid", "fieldPath"),
        "metadata": _part(raw["metadata"], "uid"),
        **_part(raw, "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime"),
        **({"series": _part(raw["series"], "count", "lastObservedTime")} if raw.get("series") else {}),
    }


def parse_time(text: str | None) -> datetime | None:
    """Return the time that Kubernetes writes as *text*; None for nothing; `ValueError` for anything else."""
    if text is None or text == "":
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def _kept_container(raw: Document, volumes: set[str]) -> Document:
    return {
        "name": raw["name"],
        **_part(raw, "restartPolicy"),
        "env": [
            {"name": each["name"], "value": each.get("value", "")}
            for each in raw.get("env") or ()
            if each.get("name") in {ENABLED, DIRECTORY, RUN} and "valueFrom" not in each
        ],
        "volumeMounts": [
            _part(mount, "name", "mountPath") for mount in raw.get("volumeMounts") or () if mount["name"] in volumes
        ],
    }


def _kept_status(raw: Document) -> Document:
    return _part(raw, "name", "containerID", "restartCount", "image", "state", "lastState")


def _part(document: Document, *names: str) -> Document:
    return {name: document[name] for name in names if name in document}


def _pod(document: Document) -> Pod:
    metadata, spec, status = document["metadata"], document["spec"], document["status"]
    claims = {
        str(volume["name"]): str(volume["persistentVolumeClaim"]["claimName"]) for volume in spec.get("volumes", ())
    }
    statuses = {
        each["name"]: each for kind in ("containerStatuses", "initContainerStatuses") for each in status.get(kind, ())
    }
    disruption = next((each for each in status.get("conditions", ()) if each.get("status") == "True"), None)
    owner = next((each for each in metadata.get("ownerReferences", ()) if each.get("controller")), None)
    grace = metadata.get("deletionGracePeriodSeconds")
    return Pod(
        name=str(metadata["name"]),
        namespace=str(metadata.get("namespace", "")),
        uid=str(metadata["uid"]),
        node=str(spec.get("nodeName", "")),
        deletion=parse_time(metadata.get("deletionTimestamp")),
        grace=None if grace is None else int(grace),
        phase=str(status.get("phase", "")),
        reason=str(status.get("reason", "")),
        message=str(status.get("message", "")),
        disruption=(str(disruption.get("reason", "")), str(disruption.get("message", ""))) if disruption else None,
        owner=(str(owner["kind"]), str(owner["name"])) if owner else None,
        is_ours=metadata.get("labels", {}).get(OWN_LABEL) == OWN_VALUE,
        containers=tuple(
            _container(each, claims, statuses.get(each["name"], {}))
            for each in (*spec.get("containers", ()), *spec.get("initContainers", ()))
        ),
    )


def _container(spec: Document, claims: Mapping[str, str], status: Document) -> Container:
    settings = {each["name"]: str(each["value"]) for each in spec.get("env", ())}
    state = status.get("state", {})
    running = state.get("running")
    return Container(
        name=str(spec["name"]),
        claims={str(each["mountPath"]): claims[each["name"]] for each in spec.get("volumeMounts", ())},
        enabled=settings.get(ENABLED),
        directory=settings.get(DIRECTORY),
        run=settings.get(RUN),
        container_id=str(status.get("containerID", "")),
        restarts=int(status.get("restartCount", 0)),
        running_since=parse_time(running.get("startedAt")) if running else None,
        ended=_ended(state.get("terminated")),
        last=_ended(status.get("lastState", {}).get("terminated")),
    )


def _ended(document: Document | None) -> Ended | None:
    if not document:
        return None
    return Ended(
        container_id=str(document.get("containerID", "")),
        exit_code=int(document["exitCode"]),
        signal=int(document.get("signal", 0)),
        reason=str(document.get("reason", "")),
        message=str(document.get("message", "")),
        started_at=parse_time(document.get("startedAt")),
        finished_at=parse_time(document.get("finishedAt")),
    )


def _event(document: Document) -> Event:
    about = document["involvedObject"]
    series = document.get("series", {})
    first = document.get("firstTimestamp") or document.get("eventTime")
    return Event(
        kind=str(about.get("kind", "")),
        name=str(about.get("name", "")),
        uid=str(about.get("uid", "")),
        field=str(about.get("fieldPath", "")),
        reason=str(document.get("reason", "")),
        message=str(document.get("message", "")),
        count=int(series.get("count") or document.get("count") or 1),
        first=parse_time(first),
        last=parse_time(series.get("lastObservedTime") or document.get("lastTimestamp") or first),
    )


def claims_of(container: Container) -> set[str]:
    """Return the claim that the recorder of *container* writes to, if any; all it mounts when nobody says where to."""
    if container.directory is None or not container.directory.startswith("/"):
        return set(container.claims.values())
    folder = f"{container.directory.rstrip('/')}/"
    holding = [path for path in container.claims if folder.startswith(f"{path.rstrip('/')}/")]
    return {container.claims[max(holding, key=len)]} if holding else set()
