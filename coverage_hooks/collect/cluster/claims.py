"""Which claim is meant, and what whoever reads it has to be.

The chart annotates its claim with that, so that the claim can be read when nothing else of the release is left; what
it does not say, a pod that mounts the claim does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from kubernetes_asyncio.client import ApiClient, CoreV1Api
from kubernetes_asyncio.client.exceptions import ApiException

from coverage_hooks.collect.cluster.answers import TRANSPORT_ERRORS
from coverage_hooks.collect.cluster.connection import (
    REQUEST_TIMEOUT,
    Target,
    asking,
    connect,
    is_absent,
)
from coverage_hooks.errors import SourceError, UsageError

DOMAIN = "coverage-hooks.vriesdemichael.github.io"
IMAGE, UID, GID, PULL_SECRETS = (f"{DOMAIN}/{name}" for name in ("image", "uid", "gid", "image-pull-secrets"))

#: On every reader, which is how it is told from what it reads.
MANAGED = {"app.kubernetes.io/managed-by": "coverage-hooks"}
READER = {**MANAGED, "app.kubernetes.io/component": "reader"}

#: Seconds that a fresh claim has for getting its volume.
BOUND_WITHIN = 15.0

_POLL = 0.25
_LARGEST_ID = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A claim, who has it mounted, and what a pod that reads it has to be; None where the cluster is to decide."""

    namespace: str
    claim: str
    image: str
    uid: int | None = None
    gid: int | None = None
    node: str | None = None
    tolerations: list[dict[str, Any]] = field(default_factory=list)
    pull_secrets: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)


async def name_of(api: ApiClient, target: Target) -> str:
    """Return the name of the claim that *target* means; the claim of a release is the one that is annotated.

    Raises `UsageError` when several are, and `SourceError` when none is; both say what there is.
    """
    if target.claim:
        return target.claim
    with asking("list", "persistentvolumeclaims", target.namespace):
        listed = await _all(api, target.namespace)
    mine = [claim for claim in listed if _is_of(target, claim)]
    annotated = [claim.metadata.name for claim in mine if _is_annotated(claim)]
    if len(annotated) == 1:
        return str(annotated[0])
    if annotated:
        raise UsageError(
            f"release {target.release!r} has several claims of recordings in namespace {target.namespace!r}: "
            f"{', '.join(sorted(annotated))}; choose with --claim"
        )
    raise SourceError(
        f"release {target.release!r} has no claim of recordings in namespace {target.namespace!r}: expected one "
        f"labelled app.kubernetes.io/instance={target.release} and annotated with {IMAGE}; "
        f"{_listed('of the release', mine)}, {_listed('in the namespace', listed)}; "
        "install the chart with coverage.enabled=true, or give --claim"
    )


def awaited(target: Target, say: Callable[[str], object]) -> None:
    """Return when the claim that *target* means has its volume and, if it was not there, its first pod; however late.

    *say* is told once what is waited for. Raises `SourceError` when we may not ask; that the API server does not answer
    for a while does not matter, as whoever waits does so from before an installation until after it.
    """
    asyncio.run(_await(target, say))


async def _await(target: Target, say: Callable[[str], object]) -> None:
    async with connect(target) as api:
        told = False
        # A reader that mounts a new claim first would take it from its operator: a ReadWriteOncePod one altogether, of
        # others the ownership that the first mount gives.
        while not (claim := await _with_volume(api, target)) or (told and not await _is_mounted(api, target, claim)):
            if not told:
                whose = f"claim {target.claim!r}" if target.claim else f"the claim of release {target.release!r}"
                say(f"waiting for {whose} in namespace {target.namespace!r} to be there and Bound")
                told = True
            await asyncio.sleep(_POLL)


async def _is_mounted(api: ApiClient, target: Target, claim: str) -> bool:
    """Return whether a pod that is no reader has had *claim*."""
    core: Any = CoreV1Api(api)
    with asking("list", "pods", target.namespace):
        try:
            pods = await core.list_namespaced_pod(target.namespace, _request_timeout=REQUEST_TIMEOUT)
        except TRANSPORT_ERRORS:
            return False
    return any(
        pod.status.phase in {"Running", "Succeeded", "Failed"}
        and not READER.items() <= (pod.metadata.labels or {}).items()
        and list(volumes_of(pod.spec, claim))
        for pod in pods.items
    )


async def _with_volume(api: ApiClient, target: Target) -> str:
    """Return the claim that *target* means if it is past waiting; what is wrong with it opening it will tell."""
    core: Any = CoreV1Api(api)
    verb, name = ("get", target.claim) if target.claim else ("list", "")
    with asking(verb, "persistentvolumeclaims", target.namespace, name):
        try:
            if target.claim:
                found = [
                    await core.read_namespaced_persistent_volume_claim(
                        target.claim, target.namespace, _request_timeout=REQUEST_TIMEOUT
                    )
                ]
            else:
                found = [each for each in await _all(api, target.namespace) if _is_of(target, each)]
                found = [each for each in found if _is_annotated(each)]
        except TRANSPORT_ERRORS:
            return ""
        except ApiException as error:
            if is_absent(error):
                return ""
            raise
    return next((str(each.metadata.name) for each in found if each.status.phase in {"Bound", "Lost"}), "")


async def _all(api: ApiClient, namespace: str) -> list[Any]:
    core: Any = CoreV1Api(api)
    listed = await core.list_namespaced_persistent_volume_claim(namespace, _request_timeout=REQUEST_TIMEOUT)
    return list(listed.items)


def _is_of(target: Target, claim: Any) -> bool:
    released = {"app.kubernetes.io/instance": target.release}.items()
    return released <= (claim.metadata.labels or {}).items()


def _is_annotated(claim: Any) -> bool:
    return IMAGE in (claim.metadata.annotations or {})


async def look(api: ApiClient, namespace: str, claim: str, image: str | None) -> Volume:
    """Return what is known of *claim*; *image* goes before what it is annotated with.

    Raises `SourceError` when it is not there, has no volume, or nothing says which image reads it.
    """
    core: Any = CoreV1Api(api)
    found = await _bound(core, namespace, claim)
    with asking("list", "pods", namespace):
        pods = await core.list_namespaced_pod(namespace, _request_timeout=REQUEST_TIMEOUT)
    holders = [pod for pod in pods.items if holds(pod, claim)]
    holder = next(iter(holders), None)
    container = _container(holder, claim) if holder else None
    annotations = found.metadata.annotations or {}
    named = image or annotations.get(IMAGE) or (container.image if container else None)
    if not named:
        raise SourceError(
            f"nothing says which image can read claim {claim!r}: it has no annotation {IMAGE}, and no pod has it "
            "mounted; give --reader-image, an image with coverage_hooks in it"
        )
    shared = any(mode.endswith("Many") for mode in found.spec.access_modes or ())
    return Volume(
        namespace=namespace,
        claim=claim,
        image=named,
        uid=_id(annotations, UID, _own(holder, container, "run_as_user")),
        gid=_id(annotations, GID, _own(holder, container, "fs_group") or _own(holder, container, "run_as_group")),
        node=holder.spec.node_name if holder and not shared else None,
        tolerations=_tolerations(api, holder) if holder else [],
        pull_secrets=_pull_secrets(annotations, holder),
        holders=[pod.metadata.name for pod in holders],
    )


async def _bound(core: Any, namespace: str, claim: str) -> Any:
    """Return *claim* when it has its volume: a reader that is its first user would choose the operator's node."""
    deadline = time.monotonic() + BOUND_WITHIN
    while True:
        with asking("get", "persistentvolumeclaims", namespace, claim):
            found = await core.read_namespaced_persistent_volume_claim(
                claim, namespace, _request_timeout=REQUEST_TIMEOUT
            )
        if found.status.phase == "Bound":
            return found
        if found.status.phase == "Lost" or time.monotonic() > deadline:
            raise SourceError(
                f"claim {claim!r} in namespace {namespace!r} is {found.status.phase}, expected Bound: without a "
                "volume, nothing was recorded on it; does the operator's pod run? "
                f"`kubectl -n {namespace} describe pvc {claim}` tells more"
            )
        await asyncio.sleep(_POLL)


def holds(pod: Any, claim: str) -> bool:
    """Return whether *pod*, which is no reader, has *claim* mounted now."""
    live = pod.spec.node_name and pod.status.phase in {"Pending", "Running"}
    return bool(
        live and not READER.items() <= (pod.metadata.labels or {}).items() and list(volumes_of(pod.spec, claim))
    )


def volumes_of(spec: Any, claim: str) -> Iterable[str]:
    """Yield the names by which the containers of pod *spec* mount *claim*."""
    for volume in spec.volumes or ():
        if volume.persistent_volume_claim and volume.persistent_volume_claim.claim_name == claim:
            yield volume.name


def _container(pod: Any, claim: str) -> Any:
    """Return the container that writes to *claim*, which is one with coverage_hooks in it."""
    volumes = set(volumes_of(pod.spec, claim))
    for container in pod.spec.containers:
        if any(mount.name in volumes for mount in container.volume_mounts or ()):
            return container
    return None


def _own(pod: Any, container: Any, name: str) -> int | None:
    """Return *name* of the security context of *container*, or else of its *pod*."""
    for part in (container, pod and pod.spec):
        value = getattr(part.security_context, name, None) if part and part.security_context else None
        if value is not None:
            return int(value)
    return None


def _pull_secrets(annotations: dict[str, str], pod: Any) -> list[str]:
    """Return the names of Secrets to pull the image with: those of the annotation, or else of the *pod*."""
    if PULL_SECRETS in annotations:
        return [name for each in annotations[PULL_SECRETS].split(",") if (name := each.strip())]
    return [each.name for each in pod.spec.image_pull_secrets or ()] if pod else []


def _tolerations(api: ApiClient, pod: Any) -> list[dict[str, Any]]:
    """Return those of *pod* that are its own; the others every pod is given."""
    own = [each for each in pod.spec.tolerations or () if not (each.key or "").startswith("node.kubernetes.io/")]
    return [api.sanitize_for_serialization(each) for each in own]


def _id(annotations: dict[str, str], key: str, otherwise: int | None) -> int | None:
    text = annotations.get(key)
    if text is None:
        return otherwise
    if not text.isdecimal() or not text.isascii() or int(text) > _LARGEST_ID:
        raise SourceError(f"the claim's annotation {key} is {text!r}, expected the number of a user or group")
    return int(text)


def _listed(where: str, claims: list[Any]) -> str:
    names = ", ".join(sorted(claim.metadata.name for claim in claims))
    return f"found {where}: {names or 'none'}"
