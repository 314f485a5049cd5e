"""``status`` and ``prune``: what lies on a volume, and how it leaves."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from coverage_hooks.cli import commands
from tests.unit.collect.building import STARTED, Recording, record
from tests.unit.collect.conftest import Clock, Run
from tests.unit.collect.test_retrieve import running


def names(volume: Path) -> set[str]:
    return {path.name for path in volume.iterdir()}


class TestStatus:
    def test_everything_is_listed(self, run: Run, volume: Path) -> None:
        recording = record(volume, problems=["one", "two"])
        silent = running(volume, host="b", measured={}, mode="immediate")
        broken = record(volume, host="c")
        broken.manifest_path.write_bytes(b"{")
        result = run("status")
        assert result.exit_code == 0
        lines = {line.split()[0]: line for line in result.output.splitlines()}
        assert "run-1" in lines[recording.name]
        assert "2: two" in lines[recording.name]
        assert lines[recording.name].split()[2:4] == ["finished", "interval"]
        assert f"  {recording.journal.stat().st_size} B  " in lines[recording.name]
        assert lines[silent.name].split()[3] == "immediate"
        assert "none yet" in lines[silent.name]
        assert "not JSON" in lines[broken.name]

    def test_a_beat_that_stopped_long_ago_is_doubted(self, run: Run, volume: Path) -> None:
        old, new, done = (record(volume, host=host) for host in ("old", "new", "done"))
        for each in (old, new):
            each.change(state="running")
        stopped = time.time() - 385
        for each, at in ((old, stopped), (new, stopped + 3600), (done, stopped)):  # new stays so, however slow this is
            os.utime(each.manifest_path, (at, at))
        lines = {line.split("-")[0]: line.split() for line in run("status").output.splitlines()}
        assert [lines[host][2] for host in ("old", "new", "done")] == ["silent?", "running", "finished"]
        assert 385 <= float(lines["old"][5]) <= round(time.time() - stopped, 1)

    def test_of_many_the_newest_are_listed(self, run: Run, volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("coverage_hooks.commands.volume.LISTED", 2)
        oldest, *newest = [record(volume, started_at=STARTED + timedelta(seconds=number)).name for number in range(3)]
        printed = run("status").output
        assert "3 recordings; the newest 2 are:" in printed
        assert oldest not in printed
        assert all(name in printed for name in newest)

    def test_an_empty_volume_says_so(self, run: Run) -> None:
        assert "no recording in " in run("status").output

    def test_no_volume_is_an_unreachable_source(self, run: Run, tmp_path: Path) -> None:
        assert run("status", source=tmp_path / "absent").exit_code == 3


class TestPrune:
    def test_a_run_is_deleted_and_others_stay(self, run: Run, volume: Path) -> None:
        record(volume, run="old", mode="immediate", complete=True).append(b"of a child", 7)
        other = record(volume, run="new")
        result = run("prune", "--run", "old", "--yes")
        assert result.exit_code == 0
        assert "deleted 1 of 1 recordings" in result.output
        assert names(volume) == {other.name}

    def test_what_is_older_is_deleted(self, run: Run, volume: Path) -> None:
        record(volume)
        other = record(volume, started_at=STARTED + timedelta(hours=1))
        assert run("prune", "--older-than", "2026-02-01T00:30:00Z", "--yes").exit_code == 0
        assert names(volume) == {other.name}

    def test_all_means_the_unreadable_too_and_nothing_else(self, run: Run, volume: Path) -> None:
        record(volume)
        record(volume, host="b").manifest_path.write_bytes(b"{")
        (volume / "precious").mkdir()
        assert run("prune", "--all", "--yes").exit_code == 0
        assert names(volume) == {"precious"}

    def test_it_asks_first(self, volume: Path) -> None:
        recording = record(volume)
        arguments = ["prune", "--from", str(volume), "--all"]
        assert CliRunner().invoke(commands, arguments, input="n\n").exit_code == 1
        assert names(volume) == {recording.name}
        assert CliRunner().invoke(commands, arguments, input="y\n").exit_code == 0
        assert names(volume) == set()

    @pytest.mark.parametrize("arguments", [[], ["--all", "--run", "x"], ["--run", "x", "--older-than", "1h"]])
    def test_what_to_delete_has_to_be_said_once(self, run: Run, volume: Path, arguments: list[str]) -> None:
        record(volume)
        result = run("prune", "--yes", *arguments)
        assert result.exit_code == 2
        assert "exactly one of --run, --older-than, --all" in result.output
        assert len(names(volume)) == 1

    def test_of_many_some_are_listed(self, run: Run, volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("coverage_hooks.commands.volume.LISTED", 1)
        for number in range(3):
            (record(volume, started_at=STARTED + timedelta(seconds=number)).path / "notes.txt").touch()
        printed = run("prune", "--all", "--yes").output
        assert printed.count(STARTED.strftime("%Y%m%dT")) == 2, "one is listed, and said to be refused"
        assert "refused  " in printed
        assert "and 2 more" in printed
        assert "deleted 0 of 3" in printed

    def test_nothing_to_delete_is_fine(self, run: Run) -> None:
        assert run("prune", "--all", "--yes").exit_code == 0

    def test_what_is_being_written_is_refused_unless_forced(self, run: Run, volume: Path, clock: Clock) -> None:
        recording = running(volume)
        clock.let_beat(recording)
        result = run("prune", "--all", "--yes")
        assert result.exit_code == 1
        assert f"refused  {recording.name}: it is being written" in result.output
        assert recording.journal.is_file()

    def test_forcing_does_not_ask_whether_it_is_being_written(
        self, run: Run, volume: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = running(volume)
        monkeypatch.setattr("coverage_hooks.commands.volume.await_beats", lambda *_, **__: set())  # all of them live
        assert run("prune", "--all", "--yes").exit_code == 1
        assert names(volume) == {recording.name}
        assert run("prune", "--all", "--yes", "--force").exit_code == 0
        assert names(volume) == set()

    def test_a_recording_that_stands_still_is_deleted(self, run: Run, volume: Path) -> None:
        running(volume)
        assert run("prune", "--all", "--yes").exit_code == 0
        assert names(volume) == set()

    @pytest.mark.parametrize(
        "name", ["notes.txt", "folder/", "journal-0.bak", "data-3.coverage", "complete.txt", ".hidden"]
    )
    def test_a_recording_with_anything_else_in_it_is_left_alone(self, run: Run, volume: Path, name: str) -> None:
        recording = record(volume)
        extra = recording.path / name
        extra.mkdir() if name.endswith("/") else extra.write_text("mine")
        result = run("prune", "--all", "--yes")
        assert result.exit_code == 1
        assert "which no recorder writes; nothing was deleted" in result.output
        assert recording.journal.is_file()

    def test_a_folder_with_a_name_of_ours_is_left_alone(self, run: Run, volume: Path) -> None:
        recording = record(volume)
        (recording.path / "journal-9").mkdir()
        assert run("prune", "--all", "--yes").exit_code == 1
        assert recording.journal.is_file()
        assert recording.manifest_path.is_file()

    def test_links_are_not_followed(self, run: Run, volume: Path, tmp_path: Path) -> None:
        elsewhere = record(tmp_path / "elsewhere")
        (volume / elsewhere.name).symlink_to(elsewhere.path)
        inside = record(volume, host="b")
        precious = tmp_path / "precious"
        precious.write_text("mine")
        inside.journal.unlink()
        inside.journal.symlink_to(precious)
        result = run("prune", "--all", "--yes")
        assert result.exit_code == 1
        assert f"refused  {elsewhere.name}: " in result.output
        assert names(volume) == {elsewhere.name}
        assert precious.read_text() == "mine"
        assert elsewhere.journal.is_file()

    def test_what_a_recorder_left_half_written_goes_too(self, run: Run, volume: Path) -> None:
        recording = record(volume)
        (recording.path / ".recording.json.1.0123abcd.tmp").write_bytes(b"half")
        recording.complete.touch()
        os.mkfifo(recording.path / "journal-17")
        assert run("prune", "--all", "--yes").exit_code == 0
        assert names(volume) == set()

    def test_a_recording_that_cannot_be_deleted_is_named(
        self, run: Run, volume: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording: Recording = record(volume)

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("os.unlink", refuse)
        result = run("prune", "--all", "--yes")
        assert result.exit_code == 1
        assert f"refused  {recording.name}: '{recording.name}' cannot be deleted: Permission denied" in result.output
