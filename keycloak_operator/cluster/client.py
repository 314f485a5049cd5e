"""The Kubernetes API, as far as the operator uses it beside what Kopf does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, CoreV1Api, CustomObjectsApi
from kubernetes_asyncio.client.exceptions import ApiException

from keycloak_operator.cluster.connecting import connected
from keycloak_operator.errors import ClusterError
from keycloak_operator.reconcile.ports import Secret
from keycloak_operator.resources import GROUP, VERSION

FIELD_MANAGER = "keycloak-operator"

_FAILURES = (ApiException, aiohttp.ClientError, TimeoutError)


class ClusterClient:
    """Implements `keycloak_operator.reconcile.ports.Cluster`; `close` it."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        # Any: the client's types know neither its own _content_type nor bodies that are plain documents.
        self._core: Any = CoreV1Api(api)
        self._objects: Any = CustomObjectsApi(api)

    @classmethod
    async def connect(cls) -> ClusterClient:
        """Return a client for the cluster that Kopf uses too: the one it runs in, else the one of the kubeconfig."""
        return cls(await connected())

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def get(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return one of our resources."""
        try:
            found: dict[str, Any] = await self._objects.get_namespaced_custom_object(
                GROUP, VERSION, namespace, plural, name
            )
        except _FAILURES as error:
            _accept_absence(error, f"get {plural} {namespace}/{name}")
            return None
        return found

    async def secret(self, namespace: str, name: str) -> Secret | None:
        """Return a Secret."""
        try:
            found = await self._core.read_namespaced_secret(name, namespace)
        except _FAILURES as error:
            _accept_absence(error, f"get Secret {namespace}/{name}")
            return None
        return Secret(
            namespace=namespace,
            name=name,
            data={key: _decoded(value) for key, value in (found.data or {}).items()},
            resource_version=found.metadata.resource_version,
            owners=frozenset(owner.uid for owner in found.metadata.owner_references or ()),
            labels=found.metadata.labels or {},
            annotations=found.metadata.annotations or {},
        )

    async def apply_secret(self, secret: Secret, owner: Mapping[str, Any]) -> None:
        """Create a Secret or bring ours up to date; what left the declaration leaves the Secret."""
        metadata = owner["metadata"]
        reference = {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": secret.name,
                "namespace": secret.namespace,
                "labels": dict(secret.labels),
                "annotations": dict(secret.annotations),
                "ownerReferences": [reference],
            },
            "type": "Opaque",
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in secret.data.items()},
        }
        try:
            await self._core.patch_namespaced_secret(
                secret.name,
                secret.namespace,
                body,
                field_manager=FIELD_MANAGER,
                force=True,
                _content_type="application/apply-patch+yaml",
            )
        except _FAILURES as error:
            raise _refused(error, f"apply Secret {secret.namespace}/{secret.name}") from None

    async def delete_secret(self, secret: Secret) -> None:
        """Delete a Secret, unless it has changed since it was read."""
        try:
            await self._core.delete_namespaced_secret(
                secret.name, secret.namespace, body={"preconditions": {"resourceVersion": secret.resource_version}}
            )
        except _FAILURES as error:
            if _status(error) != HTTPStatus.CONFLICT:
                _accept_absence(error, f"delete Secret {secret.namespace}/{secret.name}")

    async def patch_status(self, plural: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Merge *status* into the resource's status."""
        try:
            await self._objects.patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                namespace,
                plural,
                name,
                {"status": dict(status)},
                _content_type="application/merge-patch+json",
            )
        except _FAILURES as error:
            _accept_absence(error, f"patch status of {plural} {namespace}/{name}")


def _accept_absence(error: Exception, what: str) -> None:
    if _status(error) != HTTPStatus.NOT_FOUND:
        raise _refused(error, what) from None


def _status(error: Exception) -> int | None:
    """Return what the API server answered, None if nothing."""
    return error.status if isinstance(error, ApiException) else None


def _refused(error: Exception, what: str) -> ClusterError:
    if isinstance(error, ApiException):
        return ClusterError(f"the Kubernetes API refused to {what}: {error.status} {error.reason}")
    return ClusterError(f"the Kubernetes API does not answer to {what}: {str(error) or type(error).__name__}")


def _decoded(value: str) -> str:
    """Return the text of a Secret's value; what is no text cannot be a credential, and is left out."""
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
