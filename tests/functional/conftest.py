"""One control plane for the whole run, a client for it, and a namespace for each test.

Namespaces are never deleted: without a controller manager they would stay Terminating. They go with the control plane.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api, V1Namespace, V1ObjectMeta
from kubernetes_asyncio.config import new_client_from_config

from tests import cluster


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what the control plane needs before the first test: its timeout is too short for that."""
    wanted = any("control_plane" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        try:
            cluster.locate(session.config.get_terminal_writer().line)
        except cluster.BinariesError as error:
            raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def control_plane() -> Iterator[cluster.ControlPlane]:
    """Return the control plane of this run."""
    with cluster.control_plane() as plane:
        yield plane


@pytest.fixture
async def api(control_plane: cluster.ControlPlane) -> AsyncIterator[ApiClient]:
    """Return a client that may do everything."""
    async with await new_client_from_config(str(control_plane.kubeconfig)) as client:
        yield client


@pytest.fixture
async def namespace(api: ApiClient) -> str:
    """Return the name of a namespace that no other test uses."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    await CoreV1Api(api).create_namespace(V1Namespace(metadata=V1ObjectMeta(name=name)))
    return name
