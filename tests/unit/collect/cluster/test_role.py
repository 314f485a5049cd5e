"""The Role that is printed: what is in it, for whom, and for which names."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from coverage_hooks.cli import commands
from coverage_hooks.collect.cluster.pod import name_for

READER = "coverage-hooks-reader-recordings"


def printed(*options: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(commands, ["role", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.output))


def allowed(role: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (verb, resource, name)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
    }


def test_only_what_no_name_can_narrow_is_allowed_for_all() -> None:
    [role] = printed("--claim=recordings", "--namespace=shop")
    assert role["metadata"] == {"name": "coverage-hooks-retrieve-recordings", "namespace": "shop"}
    assert {(verb, resource) for verb, resource, name in allowed(role) if name == "*"} == {
        ("list", "pods"), ("watch", "pods"), ("create", "pods"), ("list", "events"), ("watch", "events"),
    }  # fmt: skip
    assert {entry for entry in allowed(role) if entry[2] != "*"} == {
        ("get", "persistentvolumeclaims", "recordings"),
        ("get", "pods", READER), ("delete", "pods", READER), ("get", "pods/log", READER),
        ("get", "pods/portforward", READER), ("create", "pods/portforward", READER),
    }  # fmt: skip


def test_who_uses_a_reader_that_is_there_makes_and_deletes_nothing() -> None:
    [role] = printed("--claim=recordings", "--by-hand")
    assert "namespace" not in role["metadata"]
    assert {(verb, resource) for verb, resource, _ in allowed(role) if verb in {"create", "delete"}} == {
        ("create", "pods/portforward")
    }
    assert not any(resource == "pods/exec" for _, resource, _ in allowed(role))


@pytest.mark.parametrize(
    ("option", "subject"),
    [
        ("--service-account=ci", {"kind": "ServiceAccount", "name": "ci", "namespace": "shop"}),
        ("--service-account=tools:ci", {"kind": "ServiceAccount", "name": "ci", "namespace": "tools"}),
        ("--user=me", {"kind": "User", "name": "me", "apiGroup": "rbac.authorization.k8s.io"}),
    ],
)
def test_it_is_bound_to_whom_one_names(option: str, subject: dict[str, str]) -> None:
    role, binding = printed("--claim=recordings", "--namespace=shop", option)
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["metadata"] == role["metadata"]
    assert binding["subjects"] == [subject]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "exactly one of --release, --claim"),
        (["--claim=a", "--release=b"], "exactly one of --release, --claim"),
        (["--release=b"], "say where release 'b' is"),
        (["--claim=a", "--service-account=x"], "--service-account NAMESPACE:x"),
        (["--claim=a", "--service-account=x:y", "--user=z"], "exclude each other"),
    ],
)
def test_wrong_use_is_told(options: list[str], said: str) -> None:
    result = CliRunner().invoke(commands, ["role", *options])
    assert result.exit_code == 2
    assert said in result.output


def test_the_name_of_a_reader_follows_from_the_claim_and_fits() -> None:
    long = "x" * 60
    names = [name_for(claim) for claim in ("recordings", long, long + "y")]
    assert names[0] == READER
    assert len(set(names)) == 3
    assert all(len(name) <= 63 for name in names)
    assert name_for(long) == names[1]
