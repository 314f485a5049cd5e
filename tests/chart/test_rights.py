"""What the operator may do: all that it needs, where it watches, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from keycloak_operator.handlers.kinds import KINDS
from keycloak_operator.resources import GROUP
from tests.chart.rendering import Helm, Rendered, overlays

Right = tuple[str, str, str]

OWN: set[Right] = {(verb, GROUP, kind.plural) for kind in KINDS for verb in ("get", "list", "watch", "patch")} | {
    ("patch", GROUP, f"{kind.plural}/status") for kind in KINDS
}
CORE: set[Right] = {(verb, "", "secrets") for verb in ("get", "create", "patch", "delete")} | {("create", "", "events")}
DEFINITIONS: set[Right] = {(verb, "apiextensions.k8s.io", "customresourcedefinitions") for verb in ("list", "watch")}
LEASES: set[Right] = {(verb, "coordination.k8s.io", "leases") for verb in ("create", "get", "patch")}
NAMESPACES: set[Right] = {(verb, "", "namespaces") for verb in ("list", "watch")}


def rights(role: dict[str, Any]) -> set[Right]:
    """Return what *role* allows."""
    found = [
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]
    assert len(found) == len(set(found)), "the same right twice"
    return set(found)


def test_watching_everything_takes_one_cluster_role(helm: Helm) -> None:
    rendered = helm.overlay("everywhere")
    assert rights(rendered.only("ClusterRole")) == OWN | CORE | DEFINITIONS
    assert rendered.all("Role") == rendered.all("RoleBinding") == []


@pytest.mark.parametrize("name", [name for name in overlays() if name != "everywhere"])
def test_no_right_to_anything_namespaced_is_cluster_wide_unless_asked_for(helm: Helm, name: str) -> None:
    assert rights(helm.overlay(name).only("ClusterRole")) == DEFINITIONS | NAMESPACES


def test_by_default_the_namespace_of_the_release_is_watched(helm: Helm) -> None:
    rendered = helm.template(namespace="identity")
    for kind in ("Role", "RoleBinding"):
        assert rendered.only(kind)["metadata"]["namespace"] == "identity"
    assert rights(rendered.only("Role")) == OWN | CORE
    assert rendered.environment["KEYCLOAK_OPERATOR_NAMESPACES"] == "identity"


def test_replicas_may_do_something_to_their_lease_and_to_no_other(helm: Helm) -> None:
    rendered = helm.template({"replicas": 2, "watchNamespaces": ["team-a"]})
    (role,) = (role for role in rendered.all("Role") if role["metadata"]["namespace"] == "operators")
    assert rights(role) == LEASES
    named = {verb: rule.get("resourceNames") for rule in role["rules"] for verb in rule["verbs"]}
    lease = rendered.environment["KEYCLOAK_OPERATOR_LEASE"].split("/")[1]
    assert named == {"create": None, "get": [lease], "patch": [lease]}


def test_watching_some_namespaces_takes_a_role_in_each(helm: Helm) -> None:
    rendered = helm.overlay("watched")
    assert rights(rendered.only("ClusterRole")) == DEFINITIONS | NAMESPACES
    for kind in ("Role", "RoleBinding"):
        assert [each["metadata"]["namespace"] for each in rendered.all(kind)] == ["team-a", "team-b"]
    assert [rights(role) for role in rendered.all("Role")] == [OWN | CORE] * 2


@pytest.mark.parametrize("name", overlays())
def test_nothing_is_granted_that_could_do_more(helm: Helm, name: str) -> None:
    rendered = helm.overlay(name)
    for role in rendered.all("ClusterRole") + rendered.all("Role"):
        assert all(rule.keys() - {"resourceNames"} == {"apiGroups", "resources", "verbs"} for rule in role["rules"])
        for verb, group, resource in rights(role):
            assert "*" not in verb + group + resource
            assert (verb, resource) not in {("list", "secrets"), ("watch", "secrets")}
            assert verb != "delete" or resource == "secrets"
            assert not resource.startswith(("pods", "serviceaccounts", "roles", "clusterroles"))
            assert verb not in {"escalate", "bind", "impersonate", "deletecollection"}


@pytest.mark.parametrize("name", overlays())
def test_every_role_is_bound_to_the_account_of_the_pod_alone(helm: Helm, name: str) -> None:
    rendered = helm.overlay(name)
    roles = {("ClusterRole", _name(role), None) for role in rendered.all("ClusterRole")}
    roles |= {("Role", _name(role), role["metadata"]["namespace"]) for role in rendered.all("Role")}
    bound = set()
    for binding in rendered.all("ClusterRoleBinding") + rendered.all("RoleBinding"):
        assert binding["roleRef"]["apiGroup"] == "rbac.authorization.k8s.io"
        bound.add((binding["roleRef"]["kind"], binding["roleRef"]["name"], binding["metadata"].get("namespace")))
        account = {"kind": "ServiceAccount", "name": rendered.pod["serviceAccountName"], "namespace": "operators"}
        assert binding["subjects"] == [account]
    assert bound == roles


def _name(document: dict[str, Any]) -> str:
    return str(document["metadata"]["name"])


@pytest.mark.parametrize(
    ("account", "expected", "made"),
    [
        ({}, "demo-keycloak-operator", True),
        ({"create": True, "name": "mine"}, "mine", True),
        ({"create": False, "name": "mine"}, "mine", False),
        ({"create": False}, "default", False),
    ],
)
def test_the_account_is_made_or_given(helm: Helm, account: dict[str, Any], expected: str, made: bool) -> None:
    rendered: Rendered = helm.template({f"serviceAccount.{key}": value for key, value in account.items()})
    assert rendered.pod["serviceAccountName"] == expected
    assert [_name(each) for each in rendered.all("ServiceAccount")] == [expected] * made


def test_only_the_pod_of_the_operator_gets_a_token(helm: Helm) -> None:
    rendered = helm.template()
    assert rendered.only("ServiceAccount")["automountServiceAccountToken"] is False
    assert rendered.pod["automountServiceAccountToken"] is True
