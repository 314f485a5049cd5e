"""What has to be allowed to whoever retrieves from a claim, and the Role that allows it.

The one list of rights: what is printed, what is asked for before anything is done, and what a refusal names.
Nothing here may touch the operator: its pod is seen in lists, and every right to enter a pod names the reader's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import yaml
from kubernetes_asyncio.client import ApiClient, AuthorizationV1Api
from kubernetes_asyncio.client.exceptions import ApiException

from coverage_hooks.collect.cluster.connection import REQUEST_TIMEOUT, asking
from coverage_hooks.errors import SourceError

_GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One verb on one resource, such as ``pods/log``; on the object *name* only, if that is given."""

    verb: str
    resource: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a Role is bound to: a ``ServiceAccount`` (of *namespace*) or a ``User``."""

    kind: str
    name: str
    namespace: str = ""


def finding(claim: str, *, by_release: bool) -> list[Right]:
    """Return what it takes to find a claim, and who uses it."""
    rights = [
        Right(verb="get", resource="persistentvolumeclaims", name=claim),
        Right(verb="list", resource="pods"),
    ]
    return [*rights, Right(verb="list", resource="persistentvolumeclaims")] if by_release else rights


def entering(reader: str) -> list[Right]:
    """Return what it takes to read through a reader that is there."""
    return [
        Right(verb="get", resource="pods", name=reader),
        Right(verb="get", resource="pods/log", name=reader),
        # Servers differ in which of these a tunnel is to them.
        Right(verb="get", resource="pods/portforward", name=reader),
        Right(verb="create", resource="pods/portforward", name=reader),
    ]


def making(reader: str) -> list[Right]:
    """Return what it takes to make a reader, to say why it does not start, and to take it away."""
    return [
        Right(verb="create", resource="pods"),  # which no name can narrow
        Right(verb="delete", resource="pods", name=reader),
        Right(verb="list", resource="events"),
    ]


def witnessing() -> list[Right]:
    """Return what it takes to see how pods end."""
    return [Right(verb=verb, resource=resource) for resource in ("pods", "events") for verb in ("list", "watch")]


async def check(api: ApiClient, namespace: str, rights: Iterable[Right]) -> None:
    """Raise `SourceError` that names every one of *rights* that whoever asks has not, before anything is half done."""
    if lacking := await missing(api, namespace, rights):
        raise SourceError(
            f"not allowed in namespace {namespace!r}: {', '.join(map(str, lacking))}; "
            "`coverage-hooks role` prints a Role that is enough"
        )


async def missing(api: ApiClient, namespace: str, rights: Iterable[Right]) -> list[Right]:
    """Return those of *rights* that whoever asks has not; nothing is done but asking."""
    wanted = list(dict.fromkeys(rights))
    allowed = await asyncio.gather(*(_is_allowed(api, namespace, right) for right in wanted))
    return [right for right, yes in zip(wanted, allowed, strict=True) if not yes]


async def _is_allowed(api: ApiClient, namespace: str, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {"namespace": namespace, "verb": right.verb, "resource": resource}
    attributes |= {"subresource": subresource} if subresource else {}
    attributes |= {"name": right.name} if right.name else {}
    authorization: Any = AuthorizationV1Api(api)
    body = {"spec": {"resourceAttributes": attributes}}
    with asking("create", "selfsubjectaccessreviews", namespace):
        try:
            review = await authorization.create_self_subject_access_review(body, _request_timeout=REQUEST_TIMEOUT)
        except ApiException as error:
            if error.status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                raise
            return True  # not even this may be asked: the act itself will tell
    return bool(review.status.allowed)


def to_yaml(name: str, namespace: str, rights: Iterable[Right], subject: Subject | None = None) -> str:
    """Return the Role *name* with *rights*, and its binding to *subject*; *namespace* may be left to who applies it."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    role = {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": _rules(rights)}
    documents = [role]
    if subject is not None:
        bound = {"kind": subject.kind, "name": subject.name}
        bound |= {"namespace": subject.namespace} if subject.namespace else {"apiGroup": _GROUP}
        documents.append({
            "apiVersion": f"{_GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": name},
            "subjects": [bound],
        })  # fmt: skip
    return yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=None)


def _rules(rights: Iterable[Right]) -> list[dict[str, Any]]:
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in dict.fromkeys(rights):
        verbs.setdefault((right.resource, right.name), []).append(right.verb)
    return [
        {"apiGroups": [""], "resources": [resource], **({"resourceNames": [name]} if name else {}), "verbs": granted}
        for (resource, name), granted in verbs.items()
    ]
