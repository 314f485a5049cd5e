"""Where helm comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cluster.binaries import BinariesError
from tests.cluster.binaries.recipe import pinned
from tests.cluster.helm import MODULE, locate, recipe
from tests.unit.own_programs import Machine

FAKE_HELM = '#!/bin/sh\n[ "$1 $2" = "version --template" ] && printf "%s" {version}\n'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine.of(tmp_path, locate)


@pytest.fixture
def with_go(machine: Machine) -> Machine:
    machine.put_go()
    return machine


@pytest.mark.parametrize("version", ["v3.14.0", "v3.20.0+g1234", "v4.0.1"])
def test_takes_the_one_on_the_path(with_go: Machine, version: str) -> None:
    program = with_go.put("bin/helm", FAKE_HELM.format(version=version))
    assert with_go.locate() == program
    assert with_go.builds() == []


@pytest.mark.parametrize("version", ["v3.13.3", "v2.17.0", "none"])
def test_builds_one_when_that_is_too_old_and_says_so(with_go: Machine, version: str) -> None:
    program = with_go.put("bin/helm", FAKE_HELM.format(version=version))
    assert with_go.locate() != program
    assert any(f"{program} is {version}: too old" in line for line in with_go.said)


def test_builds_one_once_in_the_cache_of_the_user(with_go: Machine) -> None:
    built = with_go.locate()
    assert built == with_go.root / ".cache" / "coverage-hooks" / "helm" / recipe().key() / "helm"
    assert with_go.locate() == built
    assert with_go.builds() == [str(MODULE)]


def test_a_finished_build_needs_no_go(with_go: Machine) -> None:
    built = with_go.locate()
    (with_go.root / "bin" / "go").unlink()
    assert with_go.locate() == built


@pytest.mark.parametrize("named", ["helm-of-mine", "{root}/bin/helm-of-mine"])
def test_takes_the_one_that_is_named(with_go: Machine, named: str) -> None:
    with_go.put("bin/helm", FAKE_HELM.format(version="v3.20.0"))
    mine = with_go.put("bin/helm-of-mine", FAKE_HELM.format(version="v3.14.0"))
    with_go.environ["HELM"] = named.format(root=with_go.root)
    assert with_go.locate() == mine


@pytest.mark.parametrize(
    ("text", "blamed"),
    [(None, "is no program"), (FAKE_HELM.format(version="v3.9.0"), "is v3.9.0: too old"), ("", "of no known version")],
)
def test_never_takes_another_than_the_named_one(with_go: Machine, text: str | None, blamed: str) -> None:
    with_go.put("bin/helm", FAKE_HELM.format(version="v3.20.0"))
    if text is not None:
        with_go.put("bin/mine", text)
    with_go.environ["HELM"] = "mine"
    with pytest.raises(BinariesError, match=f"HELM=mine .*{re.escape(blamed)}"):
        with_go.locate()


def test_without_helm_and_go_names_both_ways_out(machine: Machine) -> None:
    with pytest.raises(BinariesError) as refusal:
        machine.locate()
    for way in ("helm 3.14 or newer", "on the PATH", "set HELM", "install Go 1.26 or newer"):
        assert way in str(refusal.value)


def test_stamps_the_versions_that_are_pinned() -> None:
    (flags,) = (argument for argument in recipe().arguments() if argument.startswith("-ldflags="))
    minor = pinned("k8s.io/client-go", MODULE).split(".")[1]
    assert f"version.version={pinned('helm.sh/helm/v3', MODULE)} " in flags
    assert f"chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={minor} " in flags
