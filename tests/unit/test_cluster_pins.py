"""Which versions of the servers there are to choose from, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import ControlPlaneError, keycloak_binaries
from tests.cluster.binaries import recipe
from tests.cluster.pins import PINS, Pin, chosen

DOCUMENT = Path(__file__).parents[2] / "docs/keycloak-operator.md"


@pytest.mark.parametrize(
    ("environ", "pin"),
    [({}, "newest"), ({"SERVER_VERSIONS": ""}, "newest"), *(({"SERVER_VERSIONS": pin}, pin) for pin in PINS)],
    ids=str,
)
def test_the_newest_unless_the_others_are_asked_for(environ: dict[str, str], pin: Pin) -> None:
    assert chosen(environ) == pin


def test_another_choice_is_refused() -> None:
    with pytest.raises(ControlPlaneError, match=r"SERVER_VERSIONS=older is no .*; expected newest or oldest"):
        chosen({"SERVER_VERSIONS": "older"})


def test_the_document_of_the_operator_names_what_is_tested() -> None:
    def row(name: str, oldest: str, newest: str) -> str:
        supported = " to ".join(version.rpartition(".")[0] for version in (oldest, newest))
        return f"| {name} | {supported} | {oldest} and {newest} |"

    kubernetes = {pin: recipe.pinned("k8s.io/kubernetes", recipe.module(pin)).removeprefix("v") for pin in PINS}
    keycloak = {pin: keycloak_binaries.pinned(pin) for pin in PINS}
    lines = DOCUMENT.read_text().splitlines()
    assert row("Keycloak", **keycloak) in lines
    assert row("Kubernetes", **kubernetes) in lines
