"""What would keep `collect` from reading a claim, and its operator from writing to it: asked of the API server alone.

No pod is made, entered or changed. Reviews of access are the only objects that are created, and no server keeps those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from kubernetes_asyncio.client import ApiClient, AuthenticationV1Api, CoreV1Api
from kubernetes_asyncio.client.exceptions import ApiException

from coverage_hooks.collect.cluster import claims, granting, role
from coverage_hooks.collect.cluster.claims import Volume
from coverage_hooks.collect.cluster.connection import REQUEST_TIMEOUT, Target, asking, connect
from coverage_hooks.collect.cluster.role import Right
from coverage_hooks.doctor import mounting
from coverage_hooks.doctor.findings import UNREACHABLE, Finding, Tell, note, ok, wrong
from coverage_hooks.errors import SourceError

_ROLE = "`coverage-hooks role` prints a Role that is enough"


def examine(target: Target, tell: Tell) -> None:
    """Tell every finding about the claim that *target* means.

    Raises `SourceError` when there is no cluster or claim, and `UsageError` as `connect` and `claims.name_of` do.
    """
    asyncio.run(_examine(target, tell))


async def _examine(target: Target, tell: Tell) -> None:
    async with connect(target) as api:
        who = await _who(api, target.namespace)
        tell(ok(f"the Kubernetes API at {api.configuration.host} answers{f', and knows this as {who}' if who else ''}"))
        claim = await _claim(api, target, tell)
        if not claim:
            return
        await _rights(api, target, claim, tell)
        core: Any = CoreV1Api(api)
        with asking("get", "persistentvolumeclaims", target.namespace, claim):
            found = await core.read_namespaced_persistent_volume_claim(
                claim, target.namespace, _request_timeout=REQUEST_TIMEOUT
            )
        tell(_phase(found, target.namespace))
        tell(_annotated(found))
        with asking("list", "pods", target.namespace):
            listed = await core.list_namespaced_pod(target.namespace, _request_timeout=REQUEST_TIMEOUT)
        holders = [pod for pod in listed.items if claims.holds(pod, claim)]
        if found.status.phase == "Bound":
            await _reader(api, target, found, tell)
        for finding in mounting.mounted(holders, claim):
            tell(finding)


async def _who(api: ApiClient, namespace: str) -> str:
    """Return whom the server takes us for; nothing where it does not say."""
    authentication: Any = AuthenticationV1Api(api)
    with asking("create", "selfsubjectreviews", namespace):
        try:
            review = await authentication.create_self_subject_review({}, _request_timeout=REQUEST_TIMEOUT)
        except ApiException as error:
            if error.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:  # servers before 1.28 know no such thing
                return ""
            raise
    return str(review.status.user_info.username or "")


async def _claim(api: ApiClient, target: Target, tell: Tell) -> str:
    """Return the name of the claim; nothing, after telling why, where it may not be looked up."""
    looking = Right(verb="list", resource="persistentvolumeclaims")
    if not target.claim and await role.missing(api, target.namespace, [looking]):
        tell(wrong(f"not allowed in namespace {target.namespace!r}: {looking}, which finds the claim of a release; "
                   f"give --claim, or be allowed: {_ROLE}", UNREACHABLE))  # fmt: skip
        return ""
    return await claims.name_of(api, target)


async def _rights(api: ApiClient, target: Target, claim: str, tell: Tell) -> None:
    """Tell every right that is missing: without those of collecting nothing is read, the others are a witness's."""
    collecting = granting.retrieving(claim, by_release=target.release is not None)
    lacking = await role.missing(api, target.namespace, [*collecting, *role.witnessing()])
    for right in lacking:
        if right in collecting:
            text = f"not allowed in namespace {target.namespace!r}: {right}; {_ROLE}"
            tell(wrong(text, UNREACHABLE))
        else:
            tell(note(
                f"not allowed in namespace {target.namespace!r}: {right}; collecting needs it not, but `status "
                f"--watch` and the pytest plugin do not see how pods end, so completeness stays unproven; {_ROLE}"
            ))  # fmt: skip
    if not lacking:
        tell(ok(f"everything is allowed in namespace {target.namespace!r} that collecting and a witness need"))


def _phase(found: Any, namespace: str) -> Finding:
    name, phase = found.metadata.name, found.status.phase
    if phase == "Bound":
        return ok(f"claim {name!r} is Bound, {', '.join(found.spec.access_modes or ()) or 'without an access mode'}")
    return wrong(
        f"claim {name!r} in namespace {namespace!r} is {phase}, expected Bound: without a volume, nothing was recorded "
        f"on it; does the operator's pod run? `kubectl -n {namespace} describe pvc {name}` tells more",
        UNREACHABLE,
    )


def _annotated(found: Any) -> Finding:
    annotations = found.metadata.annotations or {}
    lacking = [key for key in (claims.IMAGE, claims.UID, claims.GID) if key not in annotations]
    if not lacking:
        return ok("the claim is annotated with the image, user and group that read it")
    return note(
        f"the claim is not annotated with {', '.join(lacking)}, as the chart does it: what is missing is taken from a "
        "pod that has it mounted, so without one give --reader-image"
    )


async def _reader(api: ApiClient, target: Target, found: Any, tell: Tell) -> None:
    """Tell what a reader would be, or why there can be none."""
    try:
        volume = await claims.look(api, target.namespace, found.metadata.name, None)
    except SourceError as error:
        tell(wrong(str(error), UNREACHABLE))
        return
    tell(_described(volume, found.spec.access_modes or ()))


def _described(volume: Volume, modes: Iterable[str]) -> Finding:
    user = "the image's own user" if volume.uid is None else f"user {volume.uid}"
    group = "its group" if volume.gid is None else f"group {volume.gid}"
    node = f"on node {volume.node}" if volume.node else "on a node that the scheduler chooses"
    text = f"a reader would run image {volume.image} as {user}, {group}, {node}"
    if "ReadWriteOncePod" in modes and volume.holders:
        return wrong(
            f"{text}, but the claim is for one pod at a time, and in use by {', '.join(volume.holders)}: delete that "
            "pod first, or use ReadWriteOnce",
            UNREACHABLE,
        )
    return ok(text)
