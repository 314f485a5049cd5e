"""The workflow of every push: sound for GitHub, and made of commands and files that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflows.actionlint import complaints

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load(workflow.read_text())
    return [step for job in document["jobs"].values() for step in job["steps"]]


def test_there_is_one() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
class TestWorkflow:
    def test_is_sound(self, actionlint: Path, workflow: Path) -> None:
        assert complaints(actionlint, workflow) == []

    def test_makes_targets_that_there_are(self, workflow: Path) -> None:
        targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        made = [re.findall(r"\bmake ((?:[a-z0-9-]+\b ?)+)", step.get("run", "")) for step in steps(workflow)]
        used = {target for found in made for words in found for target in words.split()} - {"FROM"}
        assert used
        assert used <= targets

    def test_keys_of_caches_name_files_that_there_are(self, workflow: Path) -> None:
        keys = [step["with"]["key"] for step in steps(workflow) if step.get("uses", "").startswith("actions/cache@")]
        patterns = {pattern for key in keys for pattern in re.findall(r"'([^']+)'", key)}
        assert patterns
        assert all(list(ROOT.glob(pattern)) for pattern in patterns)

    def test_may_write_nothing_and_ends(self, workflow: Path) -> None:
        document = yaml.safe_load(workflow.read_text())
        assert document["permissions"] == {"contents": "read"}
        assert all(job["timeout-minutes"] <= 90 for job in document["jobs"].values())


@pytest.mark.parametrize(
    ("sound", "broken", "complaint"),
    [
        ("needs: unit", "needs: units", 'needs job "units" which does not exist'),
        ("github.ref", "github.reff", 'property "reff" is not defined'),
        ("timeout-minutes:", "timeout-minute:", 'unexpected key "timeout-minute"'),
        ("name: unit-data", "nam: unit-data", 'input "nam" is not defined'),
    ],
)
def test_a_broken_workflow_is_refused(
    actionlint: Path, tmp_path: Path, sound: str, broken: str, complaint: str
) -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    assert sound in text
    changed = tmp_path / "ci.yml"
    changed.write_text(text.replace(sound, broken, 1))
    assert any(complaint in line for line in complaints(actionlint, changed))
