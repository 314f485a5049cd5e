"""Helm for every test of the chart; a control plane for those which ask one."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.config import new_client_from_config

from tests import cluster
from tests.chart.releasing import RESTRICTED, Release, make_namespace
from tests.chart.rendering import Helm
from tests.cluster import helm as helm_program
from tests.functional.keycloak_operator.users import install_crds

_LOCATE = {"control_plane": cluster.locate, "helm": helm_program.locate}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the programs before the first test: its timeout is too short for that."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if not session.config.option.collectonly:
        try:
            for name in sorted(wanted & _LOCATE.keys()):
                _LOCATE[name](session.config.get_terminal_writer().line)
        except cluster.ControlPlaneError as error:
            raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return helm."""
    return Helm(helm_program.locate(lambda _line: None), tmp_path_factory.mktemp("home"))


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
async def release(helm: Helm, control_plane: cluster.ControlPlane, api: ApiClient) -> Release:
    """Return a release that is not installed yet; the definitions are there, and belong to none."""
    await install_crds(api)
    namespace = await make_namespace(api, f"release-{uuid.uuid4().hex[:12]}", RESTRICTED)
    return Release(helm, control_plane.kubeconfig, namespace, ("crds.install=false",))
