"""The control plane of this run, and what operators find in it."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient

from tests.functional.conftest import api, control_plane, pytest_collection_finish
from tests.operators.operating import define

__all__ = ["api", "control_plane", "peering", "pytest_collection_finish"]


def definition(group: str, kind: str, scope: str) -> Any:
    """Return the definition of a custom resource that takes anything."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "scope": scope,
            "versions": [version],
        },
    }


@pytest.fixture
async def peering(api: ApiClient) -> None:
    """Have the kinds by which operators of Kopf find each other."""
    for kind, scope in (("KopfPeering", "Namespaced"), ("ClusterKopfPeering", "Cluster")):
        await define(api, definition("kopf.dev", kind, scope))
