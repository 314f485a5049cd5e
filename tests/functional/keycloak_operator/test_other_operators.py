"""Beside the kinds of every other operator for Keycloak, what is documented concerns ours and no others."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from keycloak_operator.resources import GROUP
from keycloak_operator.resources.crds import CATEGORY, KINDS
from tests.chart.rendering import Helm, notes
from tests.cluster import control_plane
from tests.functional.keycloak_operator import documented, other_operators
from tests.functional.keycloak_operator.crowd import NAME, NAMESPACES, Crowd

ROOT = documented.ROOT
#: Where a reader has a namespace of their own: as it is written, and the one of the release that has the notes.
PLACEHOLDERS = ("NAMESPACE", "operators")
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for pattern in ("*.md", "docs/*.md", "charts/**/*.md", "examples/*.yaml", "examples/*.md")
    for path in sorted(ROOT.glob(pattern))
}
#: Each of them has a command about our kinds; where none is found any more, the file is not read as it should be.
EXPECTED = {"docs/keycloak-operator.md", "charts/keycloak-operator/README.md", "examples/connection.yaml"}
NOTES: dict[str, dict[str, Any]] = {
    "notes": {},
    "notes, two namespaces": {"watchNamespaces": list(NAMESPACES)},
}


@pytest.fixture(scope="module")
def crowd(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Return an API of its own: what is installed here would stay for all other tests."""
    with control_plane() as plane:
        crowd = Crowd(plane, kubectl, tmp_path_factory.mktemp("home"))
        crowd.populate()
        yield crowd


def about_our_kinds(text: str) -> list[str]:
    return [each for each in documented.commands(text) if documented.about_our_kinds(each)]


WRITTEN = {name: found for name, text in FILES.items() if (found := about_our_kinds(text))}


def run_each(crowd: Crowd, commands: list[str]) -> None:
    """Run *commands* as they are written, each with objects of every kind there."""
    theirs = crowd.theirs()
    for command in commands:
        assert not documented.without_group(command), f"{command}: another operator may have a kind of that name"
        crowd.restore()
        words = [NAMESPACES[0] if word in PLACEHOLDERS else word for word in shlex.split(command)]
        ran = crowd.kubectl(*words[1:])
        assert ran.code == 0, f"{command}: exit code {ran.code}\n{ran.output}{ran.warnings}"
        assert crowd.theirs() == theirs, f"{command}: changed what is not ours"
        assert other_operators.NAME not in ran.output, f"{command}: showed what is not ours\n{ran.output}"
        assert ran.groups - {"apiextensions.k8s.io"} <= {GROUP}, f"{command}: asked for {sorted(ran.groups)}"
        assert ran.groups, f"{command}: asked for nothing"
        assert ran.warnings == "", command


def test_every_place_with_commands_is_read() -> None:
    assert set(WRITTEN) >= EXPECTED


@pytest.mark.parametrize("name", WRITTEN)
def test_a_documented_command_concerns_our_kinds_alone(crowd: Crowd, name: str) -> None:
    run_each(crowd, WRITTEN[name])


@pytest.mark.parametrize("name", NOTES)
def test_a_command_in_the_notes_concerns_our_kinds_alone(crowd: Crowd, helm: Helm, tmp_path: Path, name: str) -> None:
    commands = about_our_kinds(notes(helm, tmp_path, **NOTES[name]))
    assert len(commands) >= 3
    run_each(crowd, commands)


def test_deleting_all_of_ours_leaves_all_of_theirs(crowd: Crowd) -> None:
    """Whatever is documented: this is what makes the tests above mean something."""
    crowd.restore()
    theirs = crowd.theirs()
    assert len(theirs) > len(other_operators.KINDS)
    resources = ",".join(f"{kind.definition.plural}.{GROUP}" for kind in KINDS)
    assert crowd.kubectl("delete", resources, "--all", "--all-namespaces").code == 0
    assert crowd.ours() == set()
    assert crowd.theirs() == theirs


@pytest.mark.parametrize("short_name", documented.SHORT_NAMES)
def test_a_short_name_is_that_of_our_kind_and_of_no_other(crowd: Crowd, short_name: str) -> None:
    crowd.restore()
    kind = documented.SHORT_NAMES[short_name]
    got = crowd.kubectl("get", short_name, "--output=name")
    assert got.warnings == ""
    assert f"{kind.definition.singular}.{GROUP}/{NAME}" in got.output.split()
    assert got.groups == {GROUP}
    explained = crowd.kubectl("explain", short_name)
    assert explained.warnings == ""
    assert [line.split() for line in explained.output.splitlines()[:2]] == [
        ["GROUP:", GROUP],
        ["KIND:", kind.definition.kind],
    ]


def test_the_category_is_that_of_all_our_kinds_and_of_no_other(crowd: Crowd) -> None:
    crowd.restore()
    got = crowd.kubectl("get", CATEGORY, "--all-namespaces", "--output=name")
    assert got.groups == {GROUP}
    assert {each.split("/")[0] for each in got.output.split()} == {
        f"{kind.definition.singular}.{GROUP}" for kind in KINDS
    }


def test_no_other_kind_has_a_name_by_which_ours_are_chosen() -> None:
    ours = {*documented.SHORT_NAMES, CATEGORY}
    assert {kind.resource: kind.names & ours for kind in other_operators.KINDS if kind.names & ours} == {}


@pytest.mark.parametrize(
    ("command", "bare"),
    [
        ("kubectl get keycloakrealms", {"keycloakrealms"}),
        ("kubectl get pods,keycloakrealms --all-namespaces", {"keycloakrealms"}),
        ("kubectl delete KeycloakClient/shop", {"KeycloakClient"}),
        ("kubectl explain keycloakrealms.spec.realm", {"keycloakrealms.spec.realm"}),
        (f"kubectl explain keycloakrealms.spec --api-version={GROUP}/v1alpha1", set()),
        (f"kubectl get keycloakrealms.{GROUP}", set()),
        ("kubectl get kkrealm,kopf-keycloak", set()),
    ],
)
def test_a_bare_name_is_noticed(command: str, bare: set[str]) -> None:
    assert documented.about_our_kinds(command)
    assert documented.without_group(command) == bare


def test_a_command_is_found_however_it_is_written() -> None:
    text = """
    A paragraph with `kubectl get
    one`, and kubectl two, which is prose.

```console
$ kubectl three \\
    --with=more
kubectl four
```
#   kubectl five \\
#     --with=more
"""
    assert documented.commands(dedent(text)) == [
        "kubectl three --with=more",
        "kubectl four",
        "kubectl five --with=more",
        "kubectl get one",
    ]
