"""A volume that this user may not read: nothing is lost that another user could read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.collect import barred
from tests.unit.collect.building import Project, Recording, record
from tests.unit.test_doctor import lines

#: What is taken its mode, by what is read first.
PLACES: dict[str, Callable[[Recording], Path]] = {
    "volume": lambda recording: recording.path.parent,
    "recording": lambda recording: recording.path,
    "manifest": lambda recording: recording.manifest_path,
}


@pytest.fixture
def shut() -> Iterator[Callable[[Path, int], None]]:
    """Change a mode; undone at the end, or the folder could not be removed."""
    before: dict[Path, int] = {}

    def change(path: Path, mode: int) -> None:
        before[path] = path.stat().st_mode & 0o7777
        path.chmod(mode)

    yield change
    for path, mode in reversed(before.items()):
        path.chmod(mode)


@pytest.mark.parametrize("command", ["collect", "retrieve", "doctor"])
@pytest.mark.parametrize("place", PLACES)
def test_what_this_user_may_not_read_is_out_of_reach(
    volume: Path, project: Project, shut: Callable[[Path, int], None], place: str, command: str
) -> None:
    recording = record(volume)
    path = PLACES[place](recording)
    shut(path, 0o200)
    done = barred.run(project.root, command, "--from", volume)
    said = done.stderr if command != "doctor" else done.stdout.partition("\nsource\n")[2]
    assert done.returncode == 3, done.stdout + done.stderr
    shown = str(path) if place == "volume" else path.name
    assert f"{shown!r}: Permission denied: it {barred.whose('200')}" in said
    assert "let this user read it, or run this as one who may" in said
    assert "prune" not in said
    assert not list((project.root / "build").rglob("*.json"))


@pytest.mark.parametrize("name", ["volume", "recording"])
def test_what_may_be_listed_and_not_entered_is_out_of_reach(
    volume: Path, project: Project, shut: Callable[[Path, int], None], name: str
) -> None:
    recording = record(volume)
    shut(PLACES[name](recording), 0o400)
    done = barred.run(project.root, "collect", "--from", volume)
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"Permission denied: it is in a folder that {barred.whose('400')}" in done.stderr


def test_a_folder_above_that_may_not_be_entered_is_named(
    volume: Path, project: Project, shut: Callable[[Path, int], None]
) -> None:
    below = volume / "a/b"
    record(below)
    shut(volume / "a", 0o600)
    done = barred.run(project.root, "collect", "--from", below)
    assert done.returncode == 3
    assert f"{str(below)!r}: Permission denied: it is in a folder that {barred.whose('600')}" in done.stderr


@pytest.mark.parametrize("place", ["recording", "manifest", "journal"])
def test_one_of_several_is_a_loss_with_its_owner_and_the_rest_is_reported(
    volume: Path, project: Project, shut: Callable[[Path, int], None], place: str
) -> None:
    record(volume)
    closed = record(volume, host="closed")
    path = closed.journal if place == "journal" else PLACES[place](closed)
    shut(path, 0)
    done = barred.run(project.root, "collect", "--from", volume)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"LOSS  {closed.name} " in done.stdout
    assert f"{path.name!r}: Permission denied: it {barred.whose('0')}" in done.stdout
    assert json.loads((project.root / "build/coverage/summary.json").read_bytes())["totals"]["cluster"]["lines"] == 60
    doctor = barred.run(project.root, "doctor", "--from", volume)
    (wrong,) = lines(doctor.stdout.partition("\nsource\n")[2], "wrong")
    assert doctor.returncode == 1
    assert barred.whose("0") in wrong
    assert "let this user read it" in wrong
    assert "prune" not in wrong


def test_what_is_broken_may_be_pruned(volume: Path, project: Project) -> None:
    record(volume).manifest_path.write_bytes(b"{")
    doctor = barred.run(project.root, "doctor", "--from", volume)
    assert doctor.returncode == 1
    assert "`coverage-hooks prune` deletes it" in doctor.stdout
