"""How the operator gets to the Kubernetes API, for every client of it."""

from __future__ import annotations

from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient


async def connected() -> ApiClient:
    """Return a client for the cluster that Kopf uses too: the one it runs in, else the one of the kubeconfig."""
    try:
        config.load_incluster_config()  # type: ignore[no-untyped-call]  # the client leaves it without types
    except config.ConfigException:
        await config.load_kube_config()
    return ApiClient()
