"""A checkout to stand in, and a volume to read."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coverage_hooks.cli import commands
from coverage_hooks.collect.retrieve import copies
from tests.unit.collect.building import Project, Recording, make_project

Run = Callable[..., Result]


@dataclass
class Clock:
    """A clock that goes on during a sleep, and at no other time; *happens* meanwhile."""

    now: float = 0.0
    happens: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.happens()

    def let_beat(self, recording: Recording) -> None:
        """Let the beat of *recording* move at each sleep."""
        beats = itertools.count(recording.manifest.beat + 1)
        self.happens = lambda: recording.change(beat=next(beats))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which beats are waited for."""
    made = Clock()
    monkeypatch.setattr(copies, "time", made)
    return made


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The checkout that the others are copies of: four calls of git for every test would take most of the time."""
    return make_project(tmp_path_factory.mktemp("template") / "checkout")


@pytest.fixture
def project(template: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A checkout, which is also the working folder."""
    made = Project(Path(shutil.copytree(template.root, tmp_path / "checkout")))
    monkeypatch.chdir(made.root)
    return made


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """An empty volume."""
    folder = tmp_path / "volume"
    folder.mkdir()
    return folder


@pytest.fixture
def run(volume: Path, project: Project) -> Run:
    """Call a command in the checkout, with the volume as its source; silence shows after a fraction of a second."""

    assert Path.cwd() == project.root

    def call(command: str, *arguments: object, source: Path | None = volume) -> Result:
        reading = ["--from", str(source)] if source else []
        if command in {"collect", "retrieve", "prune"}:
            reading += ["--silent-after", "0.3"]
        result = CliRunner().invoke(commands, [command, *reading, *map(str, arguments)], catch_exceptions=False)
        assert "Traceback" not in result.output
        return result

    return call
