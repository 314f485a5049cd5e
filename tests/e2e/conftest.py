"""One cluster for the whole run, also when several processes share it; a namespace of its own for each test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from typing import Any

import pytest
from kubernetes_asyncio.config import new_client_from_config

from tests.chart.rendering import Helm
from tests.cluster import ControlPlaneError, images
from tests.cluster import helm as helm_program
from tests.cluster.cluster import Cluster
from tests.cluster.images import Image
from tests.e2e.keycloak import KeycloakPod, keycloak_pod
from tests.e2e.namespaces import Namespace, using_namespace
from tests.e2e.releases import OperatorRelease
from tests.e2e.session import IMAGES, Session, starting
from tests.e2e.stage import Stage
from tests.functional.keycloak_operator.users import User

_SESSION = pytest.StashKey[Session]()
_ENDING = pytest.StashKey[contextlib.ExitStack]()
# A test that asks for the first needs the second.
_NEEDED = {"operator_image": images.OPERATOR, "coverage_image": images.COVERAGE, "keycloak": images.KEYCLOAK}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process that xdist is about to start which session it is part of."""
    node.workerinput["e2e"] = _start(node.config, IMAGES).as_input()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the cluster before the first test: its timeout is too short for that."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "shared" not in wanted or session.config.option.collectonly:
        return
    if document := getattr(session.config, "workerinput", {}).get("e2e"):
        session.config.stash[_SESSION] = Session.from_input(document)
    else:
        _start(session.config, [image for name, image in _NEEDED.items() if name in wanted])
    if "helm" in wanted:
        helm_program.locate(session.config.get_terminal_writer().line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was started for this run."""
    if _ENDING in config.stash:
        config.stash[_ENDING].close()


def _start(config: pytest.Config, wanted: Iterable[Image]) -> Session:
    if _SESSION not in config.stash:
        config.stash[_ENDING] = contextlib.ExitStack()
        started = starting(wanted, config.get_terminal_writer().line)
        try:
            config.stash[_SESSION] = config.stash[_ENDING].enter_context(started)
        except ControlPlaneError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[_SESSION]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the cluster knows of it, while it knows."""
    report = yield
    namespace = getattr(item, "funcargs", {}).get("namespace")
    if report.failed and report.when != "teardown" and isinstance(namespace, Namespace):
        report.sections.append((f"namespace {namespace.name}", namespace.evidence()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests measured: how each scenario ended, and what it cost."""
    reports = [each for group in ("passed", "failed") for each in terminalreporter.stats.get(group, ())]
    measured = sorted(f"{name}: {value}" for report in reports for name, value in report.user_properties)
    if measured:
        terminalreporter.section("measured")
        terminalreporter.write("\n".join(measured) + "\n")


@pytest.fixture(scope="session")
def shared(pytestconfig: pytest.Config) -> Session:
    """Return what all tests of this run share."""
    return pytestconfig.stash[_SESSION]


@pytest.fixture(scope="session")
def cluster(shared: Session) -> Cluster:
    """Return the cluster of this run."""
    return shared.cluster


@pytest.fixture(scope="session")
def operator_image(cluster: Cluster) -> str:
    """Return the name of the operator's image."""
    return cluster.name_of(images.OPERATOR)


@pytest.fixture(scope="session")
def coverage_image(cluster: Cluster) -> str:
    """Return the name of the operator's image with coverage.py."""
    return cluster.name_of(images.COVERAGE)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return helm."""
    return Helm(helm_program.locate(lambda _line: None), tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def keycloak(shared: Session) -> Iterator[KeycloakPod]:
    """Return the Keycloak of this run, in a namespace of its own; each test has realms of its own."""
    with keycloak_pod(shared) as server:
        yield server


@pytest.fixture
def namespace(shared: Session, operator_image: str) -> Iterator[Namespace]:
    """Return a namespace that no other test uses, with the strictest rules for pods."""
    with using_namespace(shared, operator_image) as namespace:
        yield namespace


@pytest.fixture
def release(helm: Helm, namespace: Namespace) -> Iterator[OperatorRelease]:
    """Return a release of the operator that is not installed yet; its rights outside of the namespace go, too."""
    release = OperatorRelease.of(helm, namespace)
    yield release
    release.chart.uninstall("--ignore-not-found")


@pytest.fixture
def stage(release: OperatorRelease, user: User, keycloak: KeycloakPod) -> Stage:
    """Return everything that a test of the operator needs; nothing is installed yet."""
    return Stage(release, user, keycloak)


@pytest.fixture
async def user(cluster: Cluster, namespace: Namespace) -> AsyncIterator[User]:
    """Return somebody who works in the namespace."""
    async with await new_client_from_config(str(cluster.kubeconfig)) as client:
        yield User(client, namespace.name)
