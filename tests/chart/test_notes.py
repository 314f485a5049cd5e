"""What Helm tells after an installation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keycloak_operator.resources import GROUP
from tests.chart import rendering
from tests.chart.rendering import Helm

Notes = Callable[..., str]

#: By their full names: other operators for Keycloak have kinds of the same short ones. Children first.
KINDS = ",".join(f"{plural}.{GROUP}" for plural in ("keycloakclients", "keycloakrealms", "keycloakconnections"))


@pytest.fixture
def notes(helm: Helm, tmp_path: Path) -> Notes:
    """Return what tells the notes of a release with some values."""
    return functools.partial(rendering.notes, helm, tmp_path)


def test_tell_the_next_command(notes: Notes) -> None:
    told = notes()
    assert told.startswith("The operator watches the namespace operators and no other")
    assert "\n  kubectl --namespace operators rollout status deployment/demo-keycloak-operator\n" in told


def test_tell_to_delete_the_resources_first(notes: Notes) -> None:
    everywhere = f"kubectl delete {KINDS} --all --all-namespaces"
    assert everywhere in notes(watchNamespaces=["*"])
    assert f"\n  kubectl delete {KINDS} --all --namespace operators\n" in notes() + "\n"
    watched = notes(watchNamespaces=["team-a", "team-b"])
    assert "watches the namespaces team-a, team-b" in watched
    assert everywhere not in watched
    for namespace in ("team-a", "team-b"):
        assert f"\n  kubectl delete {KINDS} --all --namespace {namespace}\n" in watched + "\n"


def test_say_loudly_that_all_secrets_are_within_reach(notes: Notes) -> None:
    loud = "READ, WRITE AND DELETE THE SECRETS OF EVERY NAMESPACE"
    assert notes(watchNamespaces=["*"]).startswith("WARNING: the operator watches all namespaces")
    assert loud in notes(watchNamespaces=["*"])
    for named in ([], ["team-a"], ["team-a", "team-b"]):
        assert loud not in notes(watchNamespaces=named)


def test_tell_how_to_collect_what_is_recorded(notes: Notes) -> None:
    assert "collect" not in notes()
    told = notes(coverage={"enabled": True})
    assert "on the claim demo-keycloak-operator-coverage, which is mounted at /var/lib/coverage-hooks" in told
    assert "\n  coverage-hooks collect --namespace operators --claim demo-keycloak-operator-coverage\n" in told
    chosen = notes(coverage={"enabled": True, "run": "a b", "persistence": {"existingClaim": "recordings"}})
    assert "on the claim recordings," in chosen
    assert "\n  coverage-hooks collect --namespace operators --claim recordings --run 'a b'\n" in chosen


@pytest.mark.parametrize(
    "values", [{}, {"coverage": {"enabled": True}}, {"watchNamespaces": ["a", "b"]}, {"watchNamespaces": ["*"]}]
)
def test_leave_one_empty_line_between_paragraphs(notes: Notes, values: dict[str, Any]) -> None:
    assert "\n\n\n" not in notes(**values)
    assert not notes(**values).startswith("\n")
