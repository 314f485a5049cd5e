"""The images as they are built: what is in them, who they run as, and what they say of themselves."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import images
from tests.cluster.images import Image

ROOT = Path(__file__).parents[3]
TITLES = {images.OPERATOR: "keycloak-operator", images.COVERAGE: "keycloak-operator-coverage"}

#: Building takes longer than a test may.
pytestmark = pytest.mark.usefixtures("operator_image", "coverage_image")


def configuration(image: Image) -> dict[str, Any]:
    """Return what *image* says of itself."""
    with tarfile.open(images.archive(image, print)) as tar:
        names = tar.extractfile("manifest.json")
        assert names is not None
        file = tar.extractfile(json.load(names)[0]["Config"])
        assert file is not None
        document: dict[str, Any] = json.load(file)["config"]
        return document


@pytest.mark.parametrize("image", TITLES, ids=str)
def test_labels_say_what_it_is_and_where_it_comes_from(image: Image) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    labels = configuration(image)["Labels"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.title"] == TITLES[image]
    assert labels[f"{prefix}.licenses"] == project["license"]
    assert labels[f"{prefix}.version"] == project["version"]
    assert labels[f"{prefix}.revision"].removesuffix("-dirty") == head.strip()
    assert labels[f"{prefix}.description"]


def test_the_one_that_records_starts_as_the_other_does() -> None:
    product, recording = (configuration(image) for image in TITLES)
    for name in ("User", "Entrypoint", "WorkingDir"):
        assert product[name] == recording[name]
    assert product["User"] == "65532:65532"
    assert product["Entrypoint"] == ["python", "-m", "keycloak_operator"]
    assert "Cmd" not in recording
    # It learns its revision, and nothing that coverage.py would start by.
    revision = recording["Labels"]["org.opencontainers.image.revision"]
    assert set(recording["Env"]) - set(product["Env"]) == {f"COVERAGE_HOOKS_REVISION={revision}"}
