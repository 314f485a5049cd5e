"""What the operator asks of the Kubernetes API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, ApiException, Configuration, CoreV1Api, CustomObjectsApi

from another_operator.pages import OWNER, Pages

NOT_FOUND = 404


class Cluster:
    """A connection, until `close`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        # Any: the stubs know neither dictionaries as bodies nor _content_type.
        self._core: Any = CoreV1Api(client)
        self._custom: Any = CustomObjectsApi(client)

    @classmethod
    async def connect(cls) -> Cluster:
        """Connect as the pod's service account, or else as the kubeconfig says."""
        settings = Configuration()
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(client_configuration=settings)
        return cls(ApiClient(settings))

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def pages(self, namespace: str, banner: str) -> Pages:
        """Return the data of the ConfigMaps of *banner* by their names."""
        found = await self._core.list_namespaced_config_map(namespace, label_selector=f"{OWNER}={banner}")
        return {item.metadata.name: item.data or {} for item in found.items}

    async def write(self, body: Mapping[str, Any]) -> None:
        """Create a ConfigMap, or replace the one of that name."""
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        try:
            await self._core.replace_namespaced_config_map(name, namespace, body)
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            await self._core.create_namespaced_config_map(namespace, body)

    async def delete(self, namespace: str, name: str) -> None:
        """Delete a ConfigMap that may be gone already."""
        try:
            await self._core.delete_namespaced_config_map(name, namespace)
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise

    async def set_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Merge *status* into the status of a banner that may be gone already."""
        kind = "example.com", "v1", namespace, "banners"
        try:
            await self._custom.patch_namespaced_custom_object_status(
                *kind, name, {"status": status}, _content_type="application/merge-patch+json"
            )
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
