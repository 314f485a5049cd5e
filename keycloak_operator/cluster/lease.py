"""A Lease of Kubernetes, as far as leading by it takes."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, CoordinationV1Api, V1LeaseSpec
from kubernetes_asyncio.client.exceptions import ApiException

from keycloak_operator.cluster.connecting import connected
from keycloak_operator.cluster.election import Record
from keycloak_operator.errors import ClusterError

_NOT_FOUND, _CONFLICT = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT


class Lease:
    """Implements `keycloak_operator.cluster.election.Leases`; one request may take *seconds*. `close` it."""

    def __init__(self, api: ApiClient, namespace: str, name: str, seconds: float) -> None:
        self._api = api
        # Any: the client's types know neither its own _content_type nor bodies that are plain documents.
        self._leases: Any = CoordinationV1Api(api)
        self._namespace, self._name = namespace, name
        self._seconds = seconds

    @classmethod
    async def connect(cls, namespace: str, name: str, seconds: float) -> Lease:
        """Return one with connections of its own: renewing must not wait until others have been answered.

        A request may take *seconds*.
        """
        return cls(await connected(), namespace, name, seconds)

    def __str__(self) -> str:
        return f"Lease {self._namespace}/{self._name}"

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def read(self) -> Record | None:
        """Return what it says, None if it does not exist."""
        return await self._asked(self._leases.read_namespaced_lease, self._name, self._namespace, none=(_NOT_FOUND,))

    async def write(self, holder: str, seconds: float, over: Record | None) -> Record | None:
        """Have *holder* hold it for *seconds*, if it still is *over*; None if it is not."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {"holderIdentity": holder, "leaseDurationSeconds": math.ceil(seconds), "renewTime": now}
        if over is None or over.holder != holder:
            transitions = over.transitions + bool(holder) if over else 0
            spec |= {"acquireTime": now, "leaseTransitions": transitions}
        metadata = {"name": self._name, "namespace": self._namespace}
        if over is None:
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            return await self._asked(self._leases.create_namespaced_lease, self._namespace, body, none=(_CONFLICT,))
        # With the version it was read at, the API server refuses a patch of anything newer.
        body = {"metadata": {"resourceVersion": over.version}, "spec": spec}
        return await self._asked(
            self._leases.patch_namespaced_lease,
            self._name,
            self._namespace,
            body,
            none=(_NOT_FOUND, _CONFLICT),
            _content_type="application/merge-patch+json",
        )

    async def _asked(self, call: Any, *arguments: Any, none: Collection[int], **options: Any) -> Record | None:
        """Return what the API server answers, None if its status is among *none*."""
        try:
            answer = await call(*arguments, _request_timeout=self._seconds, **options)
        except ApiException as error:
            if error.status in none:
                return None
            raise ClusterError(f"the Kubernetes API refused: {error.status} {error.reason}") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterError(f"the Kubernetes API does not answer: {error or type(error).__name__}") from None
        spec = answer.spec or V1LeaseSpec()
        return Record(
            holder=spec.holder_identity or "",
            seconds=spec.lease_duration_seconds or 0,
            version=answer.metadata.resource_version,
            transitions=spec.lease_transitions or 0,
        )
