"""What docs/your-operator.md shows is what the recorder and the reader of claims look for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from coverage_hooks import settings
from coverage_hooks.collect.cluster import claims
from tests.pages import blocks

PAGE = "docs/your-operator.md"
CLAIM, PATCH = (yaml.safe_load(text) for text in blocks(PAGE, "yaml"))
POD: dict[str, Any] = PATCH["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
#: With the path of a field for its value.
ENVIRON = {each["name"]: each.get("value") or each["valueFrom"]["fieldRef"]["fieldPath"] for each in CONTAINER["env"]}


def test_its_environment_records_to_the_claim_and_names_the_pod() -> None:
    found = settings.Settings.from_environment(ENVIRON)
    assert found.problems == []
    assert settings.strangers(ENVIRON) == {}
    assert found.enabled
    assert found.run
    assert found.pod == settings.PodIdentity(
        name="metadata.name",
        namespace="metadata.namespace",
        uid="metadata.uid",
        node="spec.nodeName",
        container=CONTAINER["name"],
    )
    (mount,), (volume,) = CONTAINER["volumeMounts"], POD["volumes"]
    assert Path(mount["mountPath"]) == found.directory
    assert mount["name"] == volume["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
    assert POD["terminationGracePeriodSeconds"] == 30 + found.exit_timeout


def test_its_claim_says_what_a_reader_has_to_be() -> None:
    annotations = CLAIM["metadata"]["annotations"]
    assert annotations.keys() == {claims.IMAGE, claims.UID, claims.GID, claims.PULL_SECRETS}
    assert annotations[claims.IMAGE] == CONTAINER["image"]
    assert int(annotations[claims.UID]) == POD["securityContext"]["runAsUser"]
    assert int(annotations[claims.GID]) == POD["securityContext"]["fsGroup"]
    assert CLAIM["metadata"]["labels"] == {"app.kubernetes.io/instance": "operator"}


def test_its_image_is_made_as_images_should_be(tmp_path: Path) -> None:
    (text,) = blocks(PAGE, "dockerfile")
    (tmp_path / "Dockerfile").write_text(text)
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), tmp_path / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    number = POD["securityContext"]["runAsUser"]
    assert text.splitlines()[-1] == f"USER {number}:{POD['securityContext']['runAsGroup']}"
    assert "COVERAGE_HOOKS_RCFILE=/app/.coveragerc" in text
