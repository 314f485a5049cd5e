"""Where kubectl comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cluster.binaries import BinariesError
from tests.cluster.kubectl import MODULE, locate, recipe
from tests.unit.own_programs import Machine

FAKE_KUBECTL = """#!/bin/sh
[ "$*" = "version --client --output=json" ] && printf '{{"clientVersion": {{"gitVersion": "%s"}}}}' {version}
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine.of(tmp_path, locate)
    for program in ("etcd", "kube-apiserver"):
        machine.put(f"assets/{program}")
    machine.put_go()
    machine.environ["KUBEBUILDER_ASSETS"] = str(tmp_path / "assets")
    return machine


def test_takes_the_one_beside_the_server_rather_than_the_one_on_the_path(machine: Machine) -> None:
    machine.put("bin/kubectl", FAKE_KUBECTL.format(version="v1.35.0"))
    beside = machine.put("assets/kubectl")
    assert machine.locate() == beside
    assert machine.builds() == []


@pytest.mark.parametrize("version", ["v1.30.0", "v1.32.4-dispatcher", "v2.0.0"])
def test_takes_the_one_on_the_path(machine: Machine, version: str) -> None:
    program = machine.put("bin/kubectl", FAKE_KUBECTL.format(version=version))
    assert machine.locate() == program
    assert machine.builds() == []


@pytest.mark.parametrize(("version", "called"), [("v1.29.9", "v1.29.9"), ("none", "of no known version")])
def test_builds_one_when_that_is_too_old_and_says_so(machine: Machine, version: str, called: str) -> None:
    program = machine.put("bin/kubectl", FAKE_KUBECTL.format(version=version))
    assert machine.locate() != program
    assert any(f"{program} is {called}: too old" in line for line in machine.said)


def test_builds_one_once_in_the_cache_of_the_user(machine: Machine) -> None:
    built = machine.locate()
    assert built == machine.root / ".cache" / "coverage-hooks" / "kubectl" / recipe().key() / "kubectl"
    assert machine.locate() == built
    assert machine.builds() == [str(MODULE)]


def test_takes_the_one_that_is_named_rather_than_any_other(machine: Machine) -> None:
    machine.put("assets/kubectl")
    mine = machine.put("bin/kubectl-of-mine", FAKE_KUBECTL.format(version="v1.30.0"))
    machine.environ["KUBECTL"] = "kubectl-of-mine"
    assert machine.locate() == mine


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        (None, "is no program"),
        (FAKE_KUBECTL.format(version="v1.9.0"), "is v1.9.0: too old"),
        ("", "of no known version"),
    ],
)
def test_never_takes_another_than_the_named_one(machine: Machine, text: str | None, blamed: str) -> None:
    machine.put("assets/kubectl")
    if text is not None:
        machine.put("bin/mine", text)
    machine.environ["KUBECTL"] = "mine"
    with pytest.raises(BinariesError, match=f"KUBECTL=mine .*{re.escape(blamed)}"):
        machine.locate()


def test_without_kubectl_and_go_names_both_ways_out(machine: Machine) -> None:
    (machine.root / "bin" / "go").unlink()
    with pytest.raises(BinariesError) as refusal:
        machine.locate()
    for way in ("kubectl 1.30 or newer", "on the PATH", "set KUBECTL", "install Go 1.26 or newer"):
        assert way in str(refusal.value)
