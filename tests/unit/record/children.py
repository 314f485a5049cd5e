"""Runs small programs as real processes with recording on, and reads what they left on the volume."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import coverage

from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Manifest, Mode
from tests import pacing
from tests.cluster.waiting import WITHIN
from tests.journals import read

RCFILE = """\
[run]
branch = {branch}
source = program
"""


@dataclass(frozen=True)
class Left:
    """One recording as it lies on the volume, with the journals of forked children."""

    folder: Path
    manifest: Manifest

    @property
    def mode(self) -> Mode:
        """How points got to the journal."""
        return self.manifest.process.journal

    @property
    def is_complete(self) -> bool:
        """Whether it says of itself that no line is missing."""
        return (self.folder / layout.COMPLETE).exists()

    def points(self) -> dict[str, set[Any]]:
        """Return the recorded lines, or arcs where branches are measured, by path."""
        found = read(self.folder).points
        if self.manifest.process.branch:
            return {path: set(arcs) for path, arcs in found.items()}
        return {path: {line for line, _ in points} for path, points in found.items()}

    def lines(self) -> dict[str, set[int]]:
        """Return the recorded lines by file name without folder."""
        branch = self.manifest.process.branch
        return {
            Path(path).name: {line for arc in points for line in arc if line > 0} if branch else points
            for path, points in self.points().items()
        }

    def arcs(self) -> dict[str, set[tuple[int, int]]]:
        """Return the recorded arcs by file name without folder; none where lines are measured."""
        branch = self.manifest.process.branch
        return {Path(path).name: points if branch else set() for path, points in self.points().items()}

    def sources(self) -> dict[str, dict[str, Any]]:
        """Return what the journals say of each file, by its name without folder."""
        return {Path(path).name: told for path, told in read(self.folder).sources.items()}

    def journals(self) -> dict[str, bytes]:
        """Return the journals by name."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("journal-*"))}

    def is_on_the_disk(self) -> bool:
        """Whether the manifest names all that is in the journals, with the right hashes."""
        named = {each.file: (each.size, each.sha256) for each in self.manifest.journals}
        there = {name: (len(text), hashlib.sha256(text).hexdigest()) for name, text in self.journals().items()}
        return named == there


def usual_mode(*, branch: bool = True) -> Mode:
    """Return how points get to the journal on this Python where the user chose nothing, and the volume is local."""
    return "immediate" if sys.version_info >= ((3, 14) if branch else (3, 12)) else "interval"


@contextmanager
def opened(data_file: Path) -> Iterator[coverage.CoverageData]:
    """Open a data file of coverage.py's for reading only."""
    data = coverage.CoverageData(basename=str(data_file))
    data.read()
    try:
        yield data
    finally:
        data.close(force=True)


def left_on(volume: Path) -> list[Left]:
    """Return every recording on *volume*."""
    folders = sorted(volume.iterdir()) if volume.is_dir() else []
    return [Left(folder, Manifest.parse((folder / "recording.json").read_bytes())) for folder in folders]


class Program:
    """A package named ``program`` in a folder of its own, started as ``python -m program``.

    The child's environment holds nothing of ours but what is given, so that a test run under coverage is no rival.
    Unless *kopf* is asked for it is hidden, as importing it takes longer than everything else such a child does.
    `tests.pacing` lies beside it, as ``pacing``.
    """

    def __init__(self, folder: Path, branch: bool = True, kopf: bool = False, /, **modules: str) -> None:
        self.folder = folder
        self.volume = folder / "volume"
        self.more_environment: dict[str, str] = {}
        package = folder / "program"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        for name, source in modules.items():
            (package / f"{name}.py").write_text(dedent(source))
        shutil.copy(pacing.__file__, folder)
        if not kopf:
            (folder / "kopf.py").write_text("raise ImportError('hidden from this child')\n")
        (folder / ".coveragerc").write_text(RCFILE.format(branch=branch))

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of a recorded child; *settings* are ``COVERAGE_HOOKS_*`` without the prefix.

        It waits for the volume as long as a test does: one that answers late is no failure.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        given = {"ENABLED": "1", "DIR": str(self.volume), "INTERVAL": "0.1", "EXIT_TIMEOUT": f"{WITHIN:g}"} | settings
        return environment | {f"COVERAGE_HOOKS_{name}": value for name, value in given.items()} | self.more_environment

    def start(self, *command: str, **settings: str) -> subprocess.Popen[str]:
        """Start the program, or another *command* of the same interpreter."""
        return subprocess.Popen(
            [sys.executable, *(command or ("-m", "program"))],
            cwd=self.folder,
            env=self.environment(**settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        with self.start(*command, **settings) as process:
            try:
                output, errors = process.communicate(timeout=WITHIN)
            finally:
                process.kill()  # or leaving the block would wait for it
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def left(self) -> list[Left]:
        """Return every recording on the volume."""
        return left_on(self.volume)

    def left_one(self) -> Left:
        """Return the only recording on the volume."""
        (left,) = self.left()
        return left
