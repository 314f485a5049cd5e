"""The workflows of every push and of every night: sound for GitHub, and made of commands and files that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import pins
from tests.cluster.binaries.recipe import GO_AT_LEAST
from tests.environments.interpreters import VERSIONS
from tests.environments.running import LOGS
from tests.workflows.actionlint import complaints

ROOT = Path(__file__).parents[2]
PUSH, NIGHT = (ROOT / ".github/workflows" / name for name in ("ci.yml", "nightly.yml"))

#: The first major version of each action that runs with Node 24: runners have no older one any more.
NODE_24 = {
    "actions/cache": 5,
    "actions/checkout": 5,
    "actions/download-artifact": 7,
    "actions/setup-go": 6,
    "actions/setup-java": 5,
    "actions/setup-python": 6,
    "actions/upload-artifact": 6,
    "codecov/codecov-action": 6,
}


#: What others change, and no push: a red night tells it, and keeps nothing from being merged.
NIGHTLY = {"test-pythons", "test-versions"}


def steps(workflow: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load(workflow.read_text())
    return [step for job in document["jobs"].values() for step in job["steps"]]


def targets() -> set[str]:
    """Return what `make` can make."""
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def made(workflow: Path) -> set[str]:
    """Return what *workflow* makes."""
    pattern = r"\bmake (?:[A-Z]+=\S+ )*((?:[a-z0-9-]+\b ?)+)"
    found = [re.findall(pattern, step.get("run", "")) for step in steps(workflow)]
    return {target for each in found for words in each for target in words.split()} - {"FROM"}


def tiers() -> set[str]:
    """Return the targets that test something."""
    return {target for target in targets() if target.startswith("test-")} | {"lint", "types", "e2e"}


def pythons(job: dict[str, Any]) -> list[str]:
    """Return the versions that *job* sets up."""
    [setup] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@")]
    return str(setup["with"]["python-version"]).split()


def made_by(job: dict[str, Any], word: str) -> bool:
    return any(f"make coverage-{word}" in step.get("run", "") for step in job["steps"])


def artifacts(job: dict[str, Any], way: str) -> list[str]:
    """Return the names of what *job* uploads or downloads."""
    return [
        step["with"]["name"] for step in job["steps"] if step.get("uses", "").startswith(f"actions/{way}-artifact@")
    ]


def test_there_are_two() -> None:
    assert sorted((ROOT / ".github/workflows").iterdir()) == [PUSH, NIGHT]


@pytest.mark.parametrize("workflow", [PUSH, NIGHT], ids=lambda path: path.name)
class TestWorkflow:
    def test_is_sound(self, actionlint: Path, workflow: Path) -> None:
        assert complaints(actionlint, workflow) == []

    def test_makes_targets_that_there_are(self, workflow: Path) -> None:
        assert made(workflow)
        assert made(workflow) <= targets()

    def test_uses_no_action_that_wants_an_old_node(self, workflow: Path) -> None:
        used = {step["uses"] for step in steps(workflow) if "uses" in step}
        assert used
        for action, _, version in (each.partition("@v") for each in used):
            assert int(version) >= NODE_24[action], f"{action}@v{version}"

    def test_downloads_what_a_job_before_it_uploads(self, workflow: Path) -> None:
        jobs = yaml.safe_load(workflow.read_text())["jobs"]
        for job in jobs.values():
            wanted = set(artifacts(job, "download"))
            assert wanted <= set(artifacts(jobs[job["needs"]], "upload") if wanted else ())

    def test_may_write_nothing_and_ends(self, workflow: Path) -> None:
        document = yaml.safe_load(workflow.read_text())
        assert document["permissions"] == {"contents": "read"}
        assert all(job["timeout-minutes"] <= 90 for job in document["jobs"].values())


class TestEveryPush:
    def test_runs_every_tier_of_ours(self) -> None:
        assert tiers() - NIGHTLY <= made(PUSH)

    def test_runs_unit_tests_on_every_python(self) -> None:
        assert yaml.safe_load(PUSH.read_text())["jobs"]["unit"]["strategy"]["matrix"]["python"] == [*VERSIONS]

    def test_a_loss_keeps_nothing_from_being_reported_and_kept(self) -> None:
        [job] = [job for job in yaml.safe_load(PUSH.read_text())["jobs"].values() if made_by(job, "retrieve")]
        first = next(number for number, step in enumerate(job["steps"]) if "coverage-retrieve" in step.get("run", ""))
        after = job["steps"][first + 1 :]
        assert [step.get("if") for step in after] == ["${{ !cancelled() }}"] * len(after)
        assert any("coverage-report" in step.get("run", "") for step in after)
        assert artifacts({"steps": after}, "upload") == ["coverage"]

    def test_sets_up_a_go_that_can_build_everything(self) -> None:
        steps_with_go = [step for step in steps(PUSH) if step.get("uses", "").startswith("actions/setup-go@")]
        assert {step["with"]["go-version"] for step in steps_with_go} == {"{}.{}".format(*GO_AT_LEAST)}

    def test_shows_the_summary_once(self) -> None:
        runs = [step.get("run", "") for step in steps(PUSH)]
        assert not [run for run in runs if "summary.md" in run]  # `report` puts it there
        assert [run for run in runs if "make demo" in run] == ["env --unset=GITHUB_STEP_SUMMARY make demo"]

    def test_what_runs_as_root_is_told_what_the_job_says(self) -> None:
        for job in yaml.safe_load(PUSH.read_text())["jobs"].values():
            for step in job["steps"]:
                if "sudo env" in step.get("run", "") and "e2e" in step["run"]:
                    assert all(f'"{name}=${name}"' in step["run"] for name in ("PATH", "HOME", *job["env"]))

    def test_keys_of_caches_name_files_that_there_are(self) -> None:
        keys = [step["with"]["key"] for step in steps(PUSH) if step.get("uses", "").startswith("actions/cache@")]
        patterns = {pattern for key in keys for pattern in re.findall(r"'([^']+)'", key)}
        assert patterns
        assert all(list(ROOT.glob(pattern)) for pattern in patterns)


class TestEveryNight:
    def test_runs_what_others_change(self) -> None:
        assert made(NIGHT) == NIGHTLY

    def test_has_every_python(self) -> None:
        job = yaml.safe_load(NIGHT.read_text())["jobs"]["pythons"]
        assert pythons(job) == [*VERSIONS]

    def test_keeps_what_tells_why_it_is_red(self) -> None:
        for job in yaml.safe_load(NIGHT.read_text())["jobs"].values():
            last = job["steps"][-1]
            assert last["if"] == "${{ !cancelled() }}"
            assert last["with"]["path"] == str(LOGS.relative_to(ROOT))


def test_what_has_to_pass_before_anything_lands_is_every_tier() -> None:
    run = re.findall(r"^make ([a-z0-9-]+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    [test] = re.findall(r"^test: (.*?) ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert tiers() <= {*run, *test.split()}


def test_the_oldest_servers_are_asked_for_by_the_name_that_is_read() -> None:
    [recipe] = re.findall(r"^test-oldest:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe.startswith(f"{pins.VARIABLE}=oldest $(PARALLEL) tests/functional/keycloak_operator ")


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
    text = PUSH.read_text()
    assert sound in text
    changed = tmp_path / "ci.yml"
    changed.write_text(text.replace(sound, broken, 1))
    assert any(complaint in line for line in complaints(actionlint, changed))
