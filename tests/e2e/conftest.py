"""One node for the whole run, and a namespace of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.cluster import ControlPlaneError, images, wait_until
from tests.cluster.node import Node, load, node, programs
from tests.e2e.namespaces import Namespace

_IMAGES = {"operator_image": images.OPERATOR, "coverage_image": images.COVERAGE, "keycloak_image": images.KEYCLOAK}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get what a node needs before the first test: its timeout is too short for that."""
    if session.config.option.collectonly or not session.items:
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    say = session.config.get_terminal_writer().line
    try:
        programs.locate(say)
        for image in (images.SANDBOX, *(_IMAGES[name] for name in sorted(wanted & _IMAGES.keys()))):
            images.archive(image, say)
    except ControlPlaneError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def running() -> Iterator[Node]:
    """Return the node of this run."""
    with node() as running:
        yield running


@pytest.fixture(scope="session")
def operator_image(running: Node) -> str:
    """Return the name of the operator's image, which the node has."""
    load(running, images.OPERATOR)
    return str(images.OPERATOR)


@pytest.fixture(scope="session")
def coverage_image(running: Node) -> str:
    """Return the name of the operator's image with coverage.py, which the node has."""
    load(running, images.COVERAGE)
    return str(images.COVERAGE)


@pytest.fixture(scope="session")
def keycloak_image(running: Node) -> str:
    """Return the name of Keycloak's image, which the node has."""
    load(running, images.KEYCLOAK)
    return str(images.KEYCLOAK)


@pytest.fixture
def namespace(running: Node) -> Iterator[Namespace]:
    """Return a namespace that no other test uses, with the strictest rules for pods."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    running.kubectl("create", "namespace", name)
    running.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    namespace = Namespace(running, name)
    wait_until(lambda: namespace.find("serviceaccount", "default"), "there is a default service account")
    try:
        yield namespace
    finally:
        running.kubectl("delete", "namespace", name, "--wait=false")
