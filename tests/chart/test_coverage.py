"""The switch ``coverage.enabled``: what it adds to the manifests, and that it adds nothing else."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.settings import PodIdentity, Settings
from tests.chart.rendering import GOLDEN, Helm, Rendered

DIRECTORY = "/var/lib/coverage-hooks"
CLAIM = "demo-keycloak-operator-coverage"
ANNOTATION = "coverage-hooks.vriesdemichael.github.io"
KEEP = {"helm.sh/resource-policy": "keep"}


def on(helm: Helm, **options: Any) -> Rendered:
    """Return what switching coverage on renders to, with more values below ``coverage``."""
    values = {f"coverage.{name.replace('__', '.')}": value for name, value in options.items()}
    return helm.template({"coverage.enabled": True, **values})


def test_switched_on_adds_what_it_needs_and_nothing_else(helm: Helm) -> None:
    off, found = helm.template().documents, on(helm).documents
    expected = copy.deepcopy(off)
    (deployment,) = (each for each in expected if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pod["terminationGracePeriodSeconds"] += 5
    pod["securityContext"] |= {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
    pod["volumes"] = [{"name": "coverage", "persistentVolumeClaim": {"claimName": CLAIM}}]
    container["image"] += "-coverage"
    container["volumeMounts"] = [{"name": "coverage", "mountPath": DIRECTORY}]
    container["env"] += [each for each in on(helm).container["env"] if each["name"].startswith("COVERAGE_HOOKS_")]
    assert [each for each in found if each not in expected] == on(helm).all("PersistentVolumeClaim")
    assert [each for each in expected if each not in found] == []


@pytest.mark.parametrize("name", ["default", "everything", "watched"])
def test_switched_off_no_byte_is_different(helm: Helm, name: str) -> None:
    options = ("--set=coverage.enabled=false", "--set=coverage.run=x", "--set=coverage.persistence.size=2Gi")
    golden = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    assert helm.overlay(name, options=options).without_definitions() == golden
    assert "coverage" not in golden.lower()


def _recorded(rendered: Rendered) -> Settings:
    """Return the settings that the hooks read in the pod, whose references stand for themselves."""
    told = {
        key: value if isinstance(value, str) else value["fieldRef"]["fieldPath"]
        for key, value in rendered.environment.items()
    }
    return Settings.from_environment(told)


POD = PodIdentity(
    name="metadata.name", namespace="metadata.namespace", uid="metadata.uid", node="spec.nodeName", container="operator"
)


def test_the_hooks_accept_what_the_chart_tells_them(helm: Helm) -> None:
    assert _recorded(on(helm)) == Settings(enabled=True, directory=Path(DIRECTORY), pod=POD)


def test_the_hooks_are_told_what_is_set(helm: Helm) -> None:
    settings = _recorded(helm.overlay("everything", options=["--set=coverage.enabled=true"]))
    expected = Settings(enabled=True, interval=0.5, exit_timeout=12.5, run="nightly", context="handler", pod=POD)
    assert settings == replace(expected, directory=Path(DIRECTORY), children=True)


def test_recording_children_adds_one_variable(helm: Helm) -> None:
    off, found = on(helm), on(helm, children=True)
    assert on(helm, children=False).text == off.text
    line = '            - name: COVERAGE_HOOKS_CHILDREN\n              value: "1"\n'
    assert found.text.count(line) == 1
    assert found.text.replace(line, "") == off.text


def test_switched_off_the_hooks_hear_nothing(helm: Helm) -> None:
    assert _recorded(helm.template()) == Settings.from_environment({})


@pytest.mark.parametrize("seconds", [0, 5, 12.5, 3600])
def test_there_is_time_to_stop_and_to_save(helm: Helm, seconds: float) -> None:
    grace = helm.template().pod["terminationGracePeriodSeconds"]
    assert on(helm, exitTimeout=seconds).pod["terminationGracePeriodSeconds"] == grace + math.ceil(seconds)


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, "keycloak-operator:0.1.0-coverage"),
        ({"image.tag": "26"}, "keycloak-operator:26-coverage"),
        ({"image.repository": "images.example/a"}, "images.example/a:0.1.0-coverage"),
        ({"coverage.image.tag": "traced"}, "keycloak-operator:traced"),
        ({"coverage.image.repository": "b", "image.repository": "a"}, "b:0.1.0-coverage"),
    ],
)
def test_the_image_is_one_that_can_record(helm: Helm, values: dict[str, Any], image: str) -> None:
    rendered = helm.template({"coverage.enabled": True, **values})
    assert rendered.container["image"] == image
    assert rendered.only("PersistentVolumeClaim")["metadata"]["annotations"][f"{ANNOTATION}/image"] == image


def test_the_claim_says_who_can_read_it(helm: Helm) -> None:
    rendered = on(helm)
    claim, context = rendered.only("PersistentVolumeClaim")["metadata"], rendered.pod["securityContext"]
    assert claim["name"] == CLAIM
    assert claim["annotations"] == KEEP | {
        f"{ANNOTATION}/image": rendered.container["image"],
        f"{ANNOTATION}/uid": str(context["runAsUser"]),
        f"{ANNOTATION}/gid": str(context["fsGroup"]),
    }


def test_the_claim_says_what_its_image_is_pulled_with(helm: Helm) -> None:
    rendered = helm.template({"coverage.enabled": True, "imagePullSecrets": [{"name": "one"}, {"name": "two"}]})
    annotations = rendered.only("PersistentVolumeClaim")["metadata"]["annotations"]
    assert annotations[f"{ANNOTATION}/image-pull-secrets"] == "one,two"


def test_large_ids_are_told_as_numbers(helm: Helm) -> None:
    context = {"runAsUser": 1000660000, "runAsGroup": 0, "fsGroup": 1000670000}
    rendered = helm.template({"coverage.enabled": True, "podSecurityContext": context})
    annotations = rendered.only("PersistentVolumeClaim")["metadata"]["annotations"]
    assert annotations[f"{ANNOTATION}/uid"] == "1000660000"
    assert annotations[f"{ANNOTATION}/gid"] == "1000670000"
    assert rendered.pod["securityContext"]["fsGroup"] == 1000670000


def test_nobody_is_named_when_the_platform_chooses_the_user(helm: Helm) -> None:
    context = {"runAsUser": None, "runAsGroup": None}
    rendered = helm.template({"coverage.enabled": True, "podSecurityContext": context})
    assert "fsGroup" not in rendered.pod["securityContext"]
    assert rendered.only("PersistentVolumeClaim")["metadata"]["annotations"].keys() == {*KEEP, f"{ANNOTATION}/image"}


def test_the_claim_is_as_it_is_asked_for(helm: Helm) -> None:
    spec = on(helm).only("PersistentVolumeClaim")["spec"]
    assert spec == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    asked = {"size": "64Mi", "storageClass": "fast", "accessModes": ["ReadWriteOncePod"], "keep": False}
    claim = on(helm, **{f"persistence__{name}": value for name, value in asked.items()}).only("PersistentVolumeClaim")
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOncePod"],
        "resources": {"requests": {"storage": "64Mi"}},
        "storageClassName": "fast",
    }
    assert not KEEP.items() <= claim["metadata"]["annotations"].items()


def test_a_claim_that_exists_is_used_as_it_is(helm: Helm) -> None:
    rendered = on(helm, persistence__existingClaim="recordings")
    assert rendered.all("PersistentVolumeClaim") == []
    assert rendered.pod["volumes"] == [{"name": "coverage", "persistentVolumeClaim": {"claimName": "recordings"}}]


def test_volumes_variables_and_mounts_of_others_stay(helm: Helm) -> None:
    off = helm.overlay("everything")
    found = helm.overlay("everything", options=["--set=coverage.enabled=true"])
    assert [each["name"] for each in found.pod["volumes"]] == ["coverage", "authorities"]
    assert [each["name"] for each in found.container["volumeMounts"]] == ["coverage", "authorities"]
    assert found.container["env"][-1] == off.container["env"][-1]
    assert found.pod["securityContext"] == off.pod["securityContext"] | {"fsGroupChangePolicy": "OnRootMismatch"}
