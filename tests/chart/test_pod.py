"""The pod: how it is replaced, judged alive and confined, and what it is called."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import Helm, Rendered, overlays
from tests.chart.values import CHART

LONGEST_RELEASE, LONGEST_NAMESPACE = "r" * 53, "n" * 63


@pytest.mark.parametrize("replicas", [0, 1, 2])
def test_there_are_never_two_versions_at_a_time(helm: Helm, replicas: int) -> None:
    spec = helm.template({"replicas": replicas}).only("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (replicas, {"type": "Recreate"})


def test_replicas_take_turns_by_a_lease(helm: Helm) -> None:
    told = helm.template({"replicas": 2, "leaderElection.leaseSeconds": 7.5}).environment
    assert told["KEYCLOAK_OPERATOR_LEASE"] == "operators/demo-keycloak-operator"
    assert told["KEYCLOAK_OPERATOR_LEASE_SECONDS"] == "7.5"


@pytest.mark.parametrize("replicas", [0, 1])
def test_one_alone_needs_no_lease(helm: Helm, replicas: int) -> None:
    rendered = helm.template({"replicas": replicas})
    assert not {name for name in rendered.environment if "LEASE" in name}
    assert "leases" not in rendered.without_definitions()


def test_the_selector_selects_the_pod_and_nothing_of_another_release(helm: Helm) -> None:
    spec = helm.overlay("everything").only("Deployment")["spec"]
    selector = spec["selector"]["matchLabels"]
    assert selector.items() <= spec["template"]["metadata"]["labels"].items()
    assert selector["app.kubernetes.io/instance"] == "demo"
    assert selector["app.kubernetes.io/name"] == "identity"


def test_the_probes_ask_where_kopf_answers(helm: Helm) -> None:
    rendered = helm.template()
    container = rendered.container
    (port,) = container["ports"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["port"] == port["name"]
        endpoint = f"http://0.0.0.0:{port['containerPort']}{asked['path']}"
        assert rendered.environment["KEYCLOAK_OPERATOR_LIVENESS"] == endpoint


@pytest.mark.parametrize("name", [name for name in overlays() if name != "everything"])
def test_the_pod_is_restricted(helm: Helm, name: str) -> None:
    rendered = helm.overlay(name)
    pod, container = rendered.pod["securityContext"], rendered.container["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["runAsUser"] > 0
    assert pod["runAsGroup"] > 0
    assert container == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & rendered.pod.keys()


def test_a_platform_that_chooses_the_user_can_be_left_to_it(helm: Helm) -> None:
    rendered = helm.template({"podSecurityContext": {"runAsUser": None, "runAsGroup": None}})
    assert rendered.pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_the_image_starts_itself(helm: Helm) -> None:
    assert not {"command", "args"} & helm.template().container.keys()


def test_kopf_is_told_its_name(helm: Helm) -> None:
    """Without it, Kopf asks for the name of the user, and ends if there is none."""
    assert helm.template().environment["POD_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_the_image_is_that_of_the_version(helm: Helm) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == chart["version"] == project["project"]["version"]
    assert helm.template().container["image"] == f"keycloak-operator:{chart['appVersion']}"
    assert helm.template({"image.tag": "26"}).container["image"] == "keycloak-operator:26"


def test_a_digest_takes_the_place_of_the_tag(helm: Helm) -> None:
    digest = f"sha256:{64 * 'a'}"
    values = {"image.tag": "26", "image.digest": digest}
    assert helm.template(values).container["image"] == f"keycloak-operator@{digest}"
    # It is that of another image.
    assert helm.template({**values, "coverage.enabled": True}).container["image"] == "keycloak-operator:26-coverage"
    recorded = {**values, "coverage.enabled": True, "coverage.image.digest": f"sha256:{64 * 'b'}"}
    assert helm.template(recorded).container["image"] == f"keycloak-operator@sha256:{64 * 'b'}"


def test_pods_are_spread_among_those_of_the_release(helm: Helm) -> None:
    constraint = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    chosen = {**constraint, "labelSelector": {"matchLabels": {"app": "mine"}}}
    rendered = helm.template({"topologySpreadConstraints": [constraint, chosen]})
    selector = rendered.only("Deployment")["spec"]["selector"]
    assert rendered.pod["topologySpreadConstraints"] == [{**constraint, "labelSelector": selector}, chosen]


@pytest.mark.parametrize("unavailable", [1, 0, "50%"])
def test_a_budget_says_how_many_pods_may_be_away(helm: Helm, unavailable: int | str) -> None:
    assert helm.template().all("PodDisruptionBudget") == []
    rendered = helm.template({"podDisruptionBudget": {"enabled": True, "maxUnavailable": unavailable}})
    spec = rendered.only("PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == unavailable
    assert spec["selector"] == rendered.only("Deployment")["spec"]["selector"]


def _names(rendered: Rendered) -> list[str]:
    pod = rendered.pod
    labels = [value for each in rendered.documents for value in each["metadata"].get("labels", {}).values()]
    named = [*pod["containers"], *pod.get("volumes", ())]
    names = [str(each["metadata"]["name"]) for each in rendered.documents if each["kind"] != "CustomResourceDefinition"]
    return [*names, *labels, *(str(each["name"]) for each in named)]


@pytest.mark.parametrize("name", overlays())
def test_no_name_is_too_long(helm: Helm, name: str) -> None:
    options = ["--set=fullnameOverride="]
    rendered = helm.overlay(name, options=options, namespace=LONGEST_NAMESPACE, release=LONGEST_RELEASE)
    assert LONGEST_RELEASE in _names(rendered)
    assert [each for each in _names(rendered) if len(each) > 63 or each.endswith("-")] == []


@pytest.mark.parametrize(
    ("values", "name", "label"),
    [
        ({}, "demo-keycloak-operator", "keycloak-operator"),
        ({"nameOverride": "identity"}, "demo-identity", "identity"),
        ({"nameOverride": "dem"}, "demo", "dem"),
        ({"fullnameOverride": "mine"}, "mine", "keycloak-operator"),
        ({"fullnameOverride": "mine", "nameOverride": "identity"}, "mine", "identity"),
    ],
)
def test_names_can_be_chosen(helm: Helm, values: dict[str, str], name: str, label: str) -> None:
    rendered = helm.template({**values, "coverage.enabled": True, "podDisruptionBudget.enabled": True})
    inside = {
        each["metadata"]["name"]
        for each in rendered.documents
        if each["kind"] in {"Deployment", "PodDisruptionBudget", "ServiceAccount"}
    }
    assert inside == {name}
    assert rendered.only("PersistentVolumeClaim")["metadata"]["name"] == f"{name}-coverage"
    assert rendered.only("ClusterRole")["metadata"]["name"] == f"operators-{name}"
    labels = rendered.only("Deployment")["spec"]["selector"]["matchLabels"]
    assert labels == {"app.kubernetes.io/name": label, "app.kubernetes.io/instance": "demo"}


@pytest.mark.parametrize("kind", ["ClusterRole", "Deployment"])
def test_names_that_are_cut_stay_different(helm: Helm, kind: str) -> None:
    def name(release: str, namespace: str) -> Any:
        rendered = helm.template(release=release, namespace=namespace)
        return rendered.only(kind)["metadata"]["name"]

    # The Deployment is in the namespace, so only there must the release tell them apart.
    others = [name("r" * 52 + "s", LONGEST_NAMESPACE), name(LONGEST_RELEASE, "n" * 62 + "m")]
    mine = name(LONGEST_RELEASE, LONGEST_NAMESPACE)
    assert mine not in others[: None if kind == "ClusterRole" else 1]


def test_a_release_that_is_called_like_the_chart_says_it_once(helm: Helm) -> None:
    assert helm.template(release="keycloak-operator").only("Deployment")["metadata"]["name"] == "keycloak-operator"
