"""An output folder on a file system that is full, or read-only."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.waiting import WITHIN
from tests.functional.volumes import Volume, volume
from tests.unit.collect.building import Project, make_project, record


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A checkout, and beside it the folder of a recording."""
    record(tmp_path / "recordings")
    return make_project(tmp_path / "checkout")


def collect(project: Project, output: Path, place: Volume) -> str:
    """Collect into *output* at *place*, which cannot be, and return the one line that says so."""
    command = [sys.executable, "-m", "coverage_hooks", "collect", "--from", str(project.root.parent / "recordings")]
    done = subprocess.run(
        [*place.enter, "env", f"--chdir={project.root}", *command, "--output", str(output)],
        capture_output=True, text=True, timeout=WITHIN, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    (said,) = done.stderr.splitlines()
    return said


@pytest.mark.parametrize("size", ["0", "8k", "40k", "80k", "120k", "180k", "240k", "280k", "320k", "340k"])
def test_a_full_disk_is_told_wherever_it_is_met(project: Project, tmp_path: Path, size: str) -> None:
    """By sizes from what has no room for the ledger to what has none for the last page; 0 is without a free inode."""
    options = f"size={size}" if size != "0" else "nr_inodes=1"
    with volume(tmp_path / "small", options) as small:
        said = collect(project, small.path, small)
    assert re.fullmatch(f"error: '{small.path}.*' cannot be written: .*; make room there, or choose another .*", said)


@pytest.mark.parametrize("name", ["", "below"])
def test_a_read_only_one_is_told(project: Project, tmp_path: Path, name: str) -> None:
    with volume(tmp_path / "fixed", "ro") as fixed:
        said = collect(project, fixed.path / name, fixed)
    where = re.escape(str(fixed.path / (name or ".lock")))
    assert re.fullmatch(f"error: '{where}' cannot be written: Read-only file system; let this user .*", said)
