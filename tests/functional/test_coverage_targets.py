"""What people type: the targets of make and the scripts, on a folder that an operator recorded to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.waiting import WITHIN
from tests.unit.collect.building import Project, make_project, record

ROOT = Path(__file__).parents[2]
INSTALLED = Path(sys.executable).parent

UNIT = "from shop.cart import clear\n\ndef test_clear():\n    items = [1]\n    clear(items)\n    assert not items\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A checkout with unit tests and our scripts, and a volume beside it."""
    made = make_project(tmp_path / "checkout")
    shutil.copytree(ROOT / "scripts", made.root / "scripts")
    made.write({"test_unit.py": UNIT, "pytest.ini": "[pytest]\naddopts = -p no:cacheprovider\n"})
    record(tmp_path / "volume")
    return made


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST", "MAKE"))}
    environment = kept | {"PATH": f"{INSTALLED}:{os.environ['PATH']}"}
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN,
    )


def make(project: Project, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run our make in *project*, with what is installed here as its virtual environment."""
    venv = INSTALLED.parent
    given = (f"VENV={venv}", f"--assume-old={venv}/ready", "UNIT_TESTS=test_unit.py")
    return run("make", "--no-print-directory", "--file", ROOT / "Makefile", *given, *arguments, folder=project.root)


def combined(project: Project) -> float:
    summary = json.loads((project.root / "build/coverage/summary.json").read_text())
    return float(summary["totals"]["combined"]["percent"])


class TestMake:
    def test_all_of_it_at_once(self, project: Project) -> None:
        done = make(project, "coverage", "FROM=../volume")
        assert done.returncode == 0, done.stdout + done.stderr
        assert combined(project) == 70
        done = make(project, "coverage-report", "FAIL_UNDER=70.1")
        assert done.returncode != 0
        assert "under the 70.1 %" in done.stdout

    def test_step_by_step(self, project: Project) -> None:
        for step in ("coverage-unit", "coverage-retrieve", "coverage-combine", "coverage-report"):
            done = make(project, step, "FROM=../volume", "RUN=run-1")
            assert done.returncode == 0, done.stdout + done.stderr
        assert combined(project) == 70

    @pytest.mark.parametrize("given", [[], ["NAMESPACE=shop"], ["RELEASE=operator"]])
    @pytest.mark.parametrize("target", ["coverage", "coverage-retrieve"])
    def test_says_what_is_missing_before_anything_runs(self, project: Project, target: str, given: list[str]) -> None:
        done = make(project, target, *given)
        assert done.returncode == 2
        assert "say where the operator recorded: FROM=DIR, or NAMESPACE=NAME and RELEASE=NAME or" in done.stderr
        assert not (project.root / "build").exists()

    def test_a_claim_is_named_as_the_command_line_wants_it(self, project: Project) -> None:
        done = make(project, "--dry-run", "coverage-retrieve", "NAMESPACE=shop", "CLAIM=data", "RUN=7")
        (line,) = (line for line in done.stdout.splitlines() if "scripts/" in line)
        options = ["--namespace", "'shop'", "--claim", "'data'", "--run", "'7'"]
        assert line.split() == ["scripts/retrieve-coverage.sh", *options]


class TestScripts:
    def test_do_the_same_from_any_folder(self, project: Project) -> None:
        elsewhere = project.root.parent
        scripts = project.root / "scripts"
        done = run(scripts / "retrieve-coverage.sh", "--from", "volume", "--run", "run-1", folder=elsewhere)
        assert done.returncode == 0, done.stdout + done.stderr
        done = run(scripts / "combine-coverage.sh", folder=elsewhere)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (project.root / "build/coverage/cluster.coverage").is_file()

    def test_end_as_the_command_does(self, project: Project) -> None:
        script = project.root / "scripts/retrieve-coverage.sh"
        assert run(script, "--from", "nowhere", folder=project.root).returncode == 3
        assert run(script, folder=project.root).returncode == 2
        assert run(script, "--from", "../volume", "--expect", 2, folder=project.root).returncode == 1

    def test_take_the_virtual_environment_of_their_checkout(self, project: Project) -> None:
        program = project.root / ".venv/bin/coverage-hooks"
        program.parent.mkdir(parents=True)
        program.write_text('#!/bin/sh\necho "mine: $*"\n')
        program.chmod(0o755)
        for name in ("retrieve", "combine"):
            done = run(project.root / f"scripts/{name}-coverage.sh", "--help", folder=project.root.parent)
            assert done.stdout.startswith(f"mine: {name} ")
            assert done.stdout.endswith("--help\n")
