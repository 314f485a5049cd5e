"""Which cluster end-to-end tests use: the one that was named, and never the one that kubectl would talk to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import ControlPlaneError, images
from tests.cluster.cluster import given


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """Return the environment of somebody who has a kubectl, and a cluster that it talks to."""
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.touch(mode=0o755)
    (tmp_path / "config").touch()
    return {"PATH": str(kubectl.parent), "KUBECONFIG": str(tmp_path / "config")}


def test_the_cluster_of_kubectl_is_not_taken(machine: dict[str, str]) -> None:
    assert given(machine) is None
    assert given({**machine, "E2E_KUBECONFIG": ""}) is None


def test_the_one_that_is_named_is_taken(machine: dict[str, str]) -> None:
    cluster = given({**machine, "E2E_KUBECONFIG": machine["KUBECONFIG"]})
    assert cluster is not None
    assert str(cluster.kubeconfig) == cluster.environ["KUBECONFIG"] == machine["KUBECONFIG"]
    assert cluster.command("get", "pods") == [f"{machine['PATH']}/kubectl", "get", "pods"]
    assert cluster.name_of(images.COVERAGE) == "localhost/keycloak-operator:tests-coverage"


def test_its_images_may_have_other_names(machine: dict[str, str]) -> None:
    named = {"E2E_KUBECONFIG": machine["KUBECONFIG"], "E2E_IMAGE_PREFIX": "registry.example.com/team/"}
    cluster = given(machine | named)
    assert cluster is not None
    assert cluster.name_of(images.OPERATOR) == "registry.example.com/team/keycloak-operator:tests"


def test_one_that_is_not_there_is_an_error(machine: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneError, match="no such file"):
        given({**machine, "E2E_KUBECONFIG": str(tmp_path / "nowhere")})


def test_without_kubectl_it_cannot_be_used(machine: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneError, match="no kubectl is on the PATH"):
        given({"PATH": str(tmp_path), "E2E_KUBECONFIG": machine["KUBECONFIG"]})
