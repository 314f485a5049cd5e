"""Which recordings are chosen, which of the running ones live, and how a set is copied while it changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect import outputs, runs
from coverage_hooks.collect.retrieve import copies as retrieving
from coverage_hooks.collect.retrieve.copies import Patience, await_beats, retrieve
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.collect.runs import Choice
from coverage_hooks.collect.source import Limits
from coverage_hooks.errors import VolumeError
from coverage_hooks.volume import access, layout, machine
from coverage_hooks.volume.manifest import Unrecorded, parse_timestamp, timestamp
from tests.unit.collect.building import LINES, STARTED, Project, Recording, named, pod, record
from tests.unit.collect.conftest import Clock, Run
from tests.unit.record.children import opened

HOUR = timedelta(hours=1)
BRIEF = Patience(minimum=0.3, intervals=1, poll=0.02)


def running(volume: Path, **changes: Any) -> Recording:
    return record(volume, state="running", interval=0.05, **changes)


def retrieved(output: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((output / "ledger.json").read_bytes())
    return document


class TestRuns:
    def test_the_newest_run_is_chosen_and_earlier_ones_are_listed(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        old = record(volume, run="old")
        new = record(volume, run="new", started_at=STARTED + HOUR)
        newer = record(volume, run="new", started_at=STARTED + 2 * HOUR, host="b")
        result = run("retrieve")
        assert result.exit_code == 0
        ledger = retrieved(project.root / "build/coverage")
        assert [row["recording"] for row in ledger["rows"]] == sorted([new.name, newer.name])
        assert [each["recording"] for each in ledger["earlier"]] == [old.name]
        assert f"earlier, not combined  {old.name} run old" in result.output

    @pytest.mark.parametrize("count", [5, 12])
    def test_of_many_earlier_ones_the_newest_are_listed_and_the_rest_is_counted(
        self, run: Run, volume: Path, project: Project, count: int
    ) -> None:
        for number in range(count):
            record(volume, run="old", host=f"h{-number % 7}", started_at=STARTED + number * HOUR)
        record(volume, run="new", started_at=STARTED + count * HOUR)
        output = run("collect").output
        listed = [line for line in output.splitlines() if line.startswith("earlier, not combined  h")]
        assert len(listed) == 5
        assert ("earlier, not combined  and 7 more, which ledger.json has; `coverage-hooks prune`" in output) == (
            count == 12
        )
        days = {f"{STARTED + number * HOUR:%Y%m%dT%H}" for number in range(count - 5, count)}
        assert {line.split("-")[1][:11] for line in listed} == days
        text = (project.root / "build/coverage/summary.md").read_text()
        assert text.count("- earlier, not combined") == (5 if count == 5 else 6)
        assert len(retrieved(project.root / "build/coverage")["earlier"]) == count

    def test_a_run_is_chosen_by_id(self, run: Run, volume: Path, project: Project) -> None:
        old = record(volume, run="old")
        record(volume, run="new", started_at=STARTED + HOUR)
        assert run("retrieve", "--run", "old").exit_code == 0
        assert [row["recording"] for row in retrieved(project.root / "build/coverage")["rows"]] == [old.name]

    def test_everything_since_a_time_is_chosen_whatever_its_run(self, run: Run, volume: Path, project: Project) -> None:
        record(volume, run="a", started_at=STARTED - HOUR)
        chosen = {record(volume, run=each, host=each).name for each in ("a", "b")}
        assert run("retrieve", "--since", "2026-01-31T23:59:00Z").exit_code == 0
        assert {row["recording"] for row in retrieved(project.root / "build/coverage")["rows"]} == chosen

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--run", "absent"), "for run 'absent'; the volume holds 'run-1'"),
            (("--since", "1h"), "1 recording is older"),
        ],
    )
    def test_nothing_chosen_is_a_loss(self, run: Run, volume: Path, options: tuple[str, ...], reason: str) -> None:
        record(volume)
        result = run("collect", *options)
        assert result.exit_code == 1
        assert "LOSS  nothing was recorded" in result.output
        assert reason in result.output

    @pytest.mark.parametrize(("age", "lost"), [(timedelta(0), True), (HOUR, True), (-HOUR, False)])
    def test_an_unreadable_manifest_counts_by_the_time_in_its_name(
        self, run: Run, volume: Path, age: timedelta, *, lost: bool
    ) -> None:
        record(volume)
        broken = record(volume, host="broken", started_at=STARTED + age)
        broken.manifest_path.write_bytes(b"{")
        result = run("retrieve")
        assert result.exit_code == (1 if lost else 0)
        assert f"{'LOSS ' if lost else 'earlier, not combined '} {broken.name}" in result.output

    def test_only_unreadable_manifests_are_all_losses(self, run: Run, volume: Path) -> None:
        for host in "ab":
            record(volume, host=host).manifest_path.unlink()
        result = run("collect")
        assert result.exit_code == 1
        assert result.output.count("LOSS  ") == 2

    def test_what_is_not_named_as_a_recording_is_not_one(self, run: Run, volume: Path) -> None:
        record(volume)
        (volume / "lost+found").mkdir()
        (volume / ".x-20260131T235959Z-00000000").mkdir()
        assert run("retrieve").exit_code == 0

    @pytest.mark.parametrize("name", ["../../escaped", "/etc", "", "a b", "x" * 300, ".", "\x1b[31m", "ü\ud800"])
    def test_a_run_id_cannot_leave_the_output_folder(self, volume: Path, tmp_path: Path, name: str) -> None:
        record(volume, run=name)
        ledger = retrieve(Directory(volume), tmp_path / "output", Choice())
        [folder] = (tmp_path / "output/raw").iterdir()
        assert ledger.rows[0].folder == f"raw/{folder.name}/{ledger.rows[0].recording}"
        assert ledger.run == name

    def test_no_two_run_ids_share_a_folder(self, volume: Path, tmp_path: Path) -> None:
        names = ["a b", "a/b", "a-b", "", "unnamed"]
        for name in names:
            record(volume, run=name)
        retrieve(Directory(volume), tmp_path / "output", Choice(since=STARTED))
        assert len(list((tmp_path / "output/raw").iterdir())) == len(names)


class TestBeats:
    def test_a_beat_that_moves_is_alive(self, run: Run, volume: Path, project: Project, clock: Clock) -> None:
        clock.let_beat(running(volume))
        result = run("collect")
        assert result.exit_code == 0
        assert retrieved(project.root / "build/coverage")["rows"][0]["state"] == "running"

    def test_waiting_ends_as_soon_as_the_beat_moved_twice(self, volume: Path, clock: Clock) -> None:
        recording = running(volume)
        clock.let_beat(recording)
        assert await_beats(Directory(volume), [recording.manifest], Patience(poll=0.5)) == set()
        assert clock.now == 1

    def test_a_beat_that_stands_still_is_silent_and_its_data_is_reported(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        recording = running(volume, pod=pod(), published_at="2026-02-01T00:00:59.000000Z")
        published = parse_timestamp("2026-02-01T00:00:59.000000Z").timestamp()
        os.utime(recording.manifest_path, (published, published))
        result = run("collect")
        assert result.exit_code == 1
        assert f"LOSS  {recording.name} (pod shop/operator-0): beat 7 is " in result.output
        [row] = retrieved(project.root / "build/coverage")["rows"]
        assert row["state"] == "silent"
        assert row["beat_age"] < row["unsaved"]
        assert f"after the last snapshot, {row['unsaved']:.10g} s ago" in result.output  # as digits, however long ago
        totals = json.loads((project.root / "build/coverage/summary.json").read_bytes())["totals"]
        assert totals["cluster"]["lines"] == 60

    def test_how_much_is_lost_is_unknown_where_nobody_saw_the_end(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        """Its interval and its last save do not tell: the next one may have hung until the end."""
        now = datetime.now(UTC)
        running(volume, snapshot_at=timestamp(now - timedelta(seconds=0.3)), published_at=timestamp(now))
        result = run("collect", "--silent-after", 0.1)
        assert (result.exit_code, "how much is not known, as nobody saw its end" in result.output) == (1, True)
        assert " at most " not in result.output
        [row] = retrieved(project.root / "build/coverage")["rows"]
        assert row["lost_seconds"] is None
        assert "| unknown |" in (project.root / "build/coverage/summary.md").read_text()

    @pytest.mark.parametrize(("problems", "code"), [(["recorded, but not saved: No space left on device"], 1), ([], 0)])
    def test_beats_of_a_process_whose_saves_fail_are_no_comfort(
        self, run: Run, volume: Path, clock: Clock, problems: list[str], code: int
    ) -> None:
        recording = running(
            volume,
            snapshot_at="2026-02-01T00:00:10.000000Z",
            published_at="2026-02-01T00:01:10.000000Z",
            problems=problems,
        )
        clock.let_beat(recording)
        result = run("collect")
        assert result.exit_code == code
        assert ("nothing was saved for 60.0 s: recorded, but not saved: No space left" in result.output) == bool(code)

    @pytest.mark.parametrize(("behind", "code"), [(5.9, 0), (6.1, 1)])
    def test_saves_fail_from_four_intervals_and_one_save_on(
        self, run: Run, volume: Path, clock: Clock, behind: float, code: int
    ) -> None:
        recording = record(
            volume,
            state="running",
            interval=1.0,
            publish_seconds=2.0,
            published_at=timestamp(STARTED + timedelta(seconds=behind)),
            problems=["recorded, but not saved: No space left on device"],
        )
        clock.let_beat(recording)
        result = run("collect")
        assert result.exit_code == code
        assert (f"nothing was saved for {behind} s" in result.output) == bool(code)

    def test_a_beat_that_moved_once_only_is_silent(self, volume: Path, clock: Clock) -> None:
        recording = running(volume)
        clock.happens = lambda: recording.change(beat=recording.manifest.beat + 1)
        assert await_beats(Directory(volume), [recording.manifest], BRIEF) == {recording.name}

    def test_all_are_waited_for_at_once(self, volume: Path, clock: Clock) -> None:
        silent = [running(volume, host=f"h{number}") for number in range(10)]
        found = await_beats(Directory(volume), [each.manifest for each in silent], BRIEF)
        assert clock.now < 2 * BRIEF.minimum
        assert found == {each.name for each in silent}

    @pytest.mark.usefixtures("clock")
    def test_who_is_waited_for_is_said_once_when_it_takes_long(
        self, volume: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retrieving, "LONG_WAIT", 0.1)
        names = sorted(running(volume, host=f"h{number}").name for number in range(4))
        said: list[str] = []
        found = runs.look(Directory(volume))
        await_beats(Directory(volume), [each.manifest for each in found if each.manifest], BRIEF, say=said.append)
        whom = f"{', '.join(names[:3])} and 1 more"
        assert said == [f"waiting up to 0.3 s for the beats of 4 running recordings: {whom}", ""]

    @pytest.mark.usefixtures("clock")
    def test_a_short_wait_is_not_worth_a_word(self, volume: Path) -> None:
        said: list[str] = []
        patience = Patience(minimum=retrieving.LONG_WAIT, intervals=0)
        await_beats(Directory(volume), [running(volume).manifest], patience, say=said.append)
        assert said == []

    @pytest.mark.usefixtures("clock")
    def test_a_log_has_a_line_of_the_wait(self, run: Run, volume: Path) -> None:
        name = running(volume).name
        result = run("collect", "--silent-after", 2.5)
        said = f"waiting up to 2.5 s for the beats of 1 running recording: {name}\n"
        assert result.output.count(said) == result.output.count("waiting") == 1

    def test_a_recording_that_finishes_meanwhile_is_finished(self, volume: Path, tmp_path: Path, clock: Clock) -> None:
        recording = running(volume)
        clock.happens = lambda: recording.change(state="finished")
        ledger = retrieve(Directory(volume), tmp_path / "output", Choice(), patience=Patience(poll=0.5))
        assert clock.now == 0.5
        assert [row.state for row in ledger.rows] == ["finished"]
        assert ledger.losses == []

    def test_patience_is_three_intervals_and_ten_seconds_at_least(self) -> None:
        assert Patience().seconds(1) == 10
        assert Patience().seconds(30) == 90
        assert Patience().seconds(3600) == 180  # a claim that no recorder makes does not stop the collector for hours


class TestSets:
    def test_a_set_is_read_again_when_the_publisher_moved_on(
        self, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = record(volume)
        _between(monkeypatch, lambda: publish_next(recording))
        ledger = retrieve(Directory(volume), tmp_path, Choice())
        assert ledger.losses == []
        folder = tmp_path / ledger.rows[0].folder
        assert {path.name for path in folder.iterdir()} == {"recording.json", "journal-4"}
        assert json.loads((folder / "recording.json").read_bytes())["journals"][0]["file"] == "journal-4"

    def test_a_publisher_that_never_rests_is_given_up(
        self, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = record(volume)
        recording.journal.unlink()
        beat = iter(range(100, 1000))
        _between(monkeypatch, lambda: recording.change(beat=next(beat)), always=True)
        ledger = retrieve(Directory(volume), tmp_path, Choice())
        assert [loss.file for loss in ledger.losses] == ["journal-0"]
        assert next(beat) <= 100 + 2 * retrieving.ATTEMPTS

    def test_a_journal_that_the_manifest_names_and_nobody_has_is_a_loss_by_name(
        self, volume: Path, tmp_path: Path
    ) -> None:
        recording = record(volume).publish(b"", 12)
        (recording.path / "journal-12").unlink()
        ledger = retrieve(Directory(volume), tmp_path, Choice())
        assert [(loss.file, loss.reason) for loss in ledger.losses] == [
            ("journal-12", "'journal-12': No such file or directory")
        ]
        assert (ledger.rows[0].state, ledger.rows[0].folder) == ("damaged", "")

    def test_journals_that_the_manifest_does_not_name_are_copied_too(self, volume: Path, tmp_path: Path) -> None:
        recording = record(volume).append(b"behind")
        recording.append(b"of a child", 40)
        (recording.path / "journal-40.old").touch()
        ledger = retrieve(Directory(volume), tmp_path, Choice())
        assert ledger.losses == []
        folder = tmp_path / ledger.rows[0].folder
        assert {path.name for path in folder.iterdir()} == {"recording.json", "journal-0", "journal-40"}
        assert (folder / "journal-40").read_bytes() == b"of a child"
        assert (folder / "journal-0").read_bytes() == recording.journal.read_bytes()

    def test_a_journal_of_a_child_that_cannot_be_had_is_lost_alone(self, volume: Path, tmp_path: Path) -> None:
        recording = record(volume)
        recording.append(b"of a child", 9)
        recording.append(bytes(recording.journal.stat().st_size + 1), 30)
        (recording.path / "journal-40").symlink_to(recording.journal)
        limits = Limits(journal=recording.journal.stat().st_size)
        ledger = retrieve(Directory(volume), tmp_path, Choice(), limits=limits)
        assert [(loss.recording, loss.file) for loss in ledger.losses] == [
            (recording.name, "journal-30"),
            (recording.name, "journal-40"),
        ]
        assert f"more than the {limits.journal} allowed" in ledger.losses[0].reason
        assert "is a link" in ledger.losses[1].reason
        folder = tmp_path / ledger.rows[0].folder
        assert ledger.rows[0].state == "finished"
        assert {path.name for path in folder.iterdir()} == {"recording.json", "journal-0", "journal-9"}

    @pytest.mark.parametrize(
        ("recorded", "again"), [({}, False), ({"tail": bytes(16)}, True), ({"state": "running"}, True)]
    )
    @pytest.mark.usefixtures("clock")
    def test_what_is_here_is_copied_again_unless_the_manifest_has_the_last_word(
        self, volume: Path, tmp_path: Path, recorded: dict[str, Any], *, again: bool
    ) -> None:
        record(volume, **recorded)
        copy = tmp_path / retrieve(Directory(volume), tmp_path, Choice()).rows[0].folder / "journal-0"
        before = copy.stat()
        retrieve(Directory(volume), tmp_path, Choice())
        assert (copy.stat().st_mtime_ns != before.st_mtime_ns) is again

    def test_what_is_here_and_not_as_the_manifest_says_is_copied_again(self, volume: Path, tmp_path: Path) -> None:
        recording = record(volume)
        copy = tmp_path / retrieve(Directory(volume), tmp_path, Choice()).rows[0].folder / "journal-0"
        content = recording.journal.read_bytes()
        for spoilt in (content[:-16], content[:-1] + b"x"):
            copy.write_bytes(spoilt)
            retrieve(Directory(volume), tmp_path, Choice())
            assert copy.read_bytes() == content

    def test_more_than_allowed_is_not_copied(self, volume: Path, tmp_path: Path) -> None:
        recording = record(volume)
        ledger = retrieve(Directory(volume), tmp_path / "output", Choice(), limits=Limits(journal=100))
        [loss] = ledger.losses
        assert (loss.recording, loss.file) == (recording.name, "journal-0")
        assert "more than the 100 allowed" in loss.reason
        assert not list((tmp_path / "output").rglob("journal-0"))

    def test_the_limit_is_an_option(self, run: Run, volume: Path) -> None:
        recording = record(volume)
        recording.publish(recording.journal.read_bytes() + bytes(1 << 20))
        assert "more than the 1048576 allowed" in run("retrieve", "--journal-limit", 1).output
        assert "allowed" not in run("retrieve", "--journal-limit", 2).output


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


class TestCopies:
    """Of a folder, where a journal changes after its first bytes were read."""

    def test_a_journal_that_grows_is_copied_as_it_was_at_first(
        self, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = record(volume)
        content = recording.journal.read_bytes()
        _while_copied(monkeypatch, lambda: recording.append(bytes(16)))
        Directory(volume).copy(recording.name, "journal-0", tmp_path / "copy", limit=len(content))
        assert (tmp_path / "copy").read_bytes() == content
        assert len(recording.journal.read_bytes()) > len(content) + 16

    def test_a_journal_that_grew_before_it_was_measured_is_cut_off_at_the_limit(
        self, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = record(volume)
        content = recording.journal.read_bytes()
        real = outputs.replacing

        def replacing(target: Path) -> Any:
            recording.append(bytes(16))
            return real(target)

        monkeypatch.setattr(outputs, "replacing", replacing)
        Directory(volume).copy(recording.name, "journal-0", tmp_path / "copy", limit=len(content))
        assert (tmp_path / "copy").read_bytes() == content

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda path: os.truncate(path, 0), "became shorter while it was copied"),
            (lambda path: os.truncate(path, path.stat().st_size - 1), "became shorter while it was copied"),
            (_replace, "was replaced while it was copied"),
            (lambda path: path.unlink(), "No such file"),
        ],
    )
    def test_a_journal_that_does_anything_else_is_no_copy(
        self,
        volume: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        change: Callable[[Path], object],
        reason: str,
    ) -> None:
        recording = record(volume)
        _while_copied(monkeypatch, lambda: change(recording.journal), once=True)
        with pytest.raises(VolumeError, match=f"'journal-0'.*{reason}"):
            Directory(volume).copy(recording.name, "journal-0", tmp_path / "copy", limit=1 << 20)
        assert list(tmp_path.glob("*copy*")) == []


class TestKnown:
    """What is entered of a recording beside its manifest."""

    def test_its_marker_is_copied_as_long_as_it_is_there(self, volume: Path, tmp_path: Path) -> None:
        recording = record(volume, mode="immediate", complete=True)
        row = retrieve(Directory(volume), tmp_path, Choice()).rows[0]
        copy = tmp_path / row.folder / layout.COMPLETE
        assert (row.mode, row.complete, copy.read_bytes()) == ("immediate", True, b"")
        recording.complete.unlink()
        assert retrieve(Directory(volume), tmp_path, Choice()).rows[0].complete is False
        assert not copy.exists()

    def test_a_marker_that_goes_while_the_journal_is_copied_does_not_count(
        self, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = record(volume, mode="immediate", complete=True)
        _while_copied(monkeypatch, recording.complete.unlink, once=True)
        assert retrieve(Directory(volume), tmp_path, Choice()).rows[0].complete is False

    @pytest.mark.parametrize(
        ("recorded", "reads", "same"), [("a", "a", True), ("a", "b", False), ("", "a", None), ("a", "", None)]
    )
    def test_whether_the_machine_was_started_again_is_known_if_both_say(
        self,
        volume: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        recorded: str,
        reads: str,
        *,
        same: bool | None,
    ) -> None:
        record(volume).change_process(boot=recorded)
        (tmp_path / "boot_id").write_text(f"{reads}\n")
        monkeypatch.setattr(machine, "BOOT_ID", tmp_path / "boot_id")
        assert retrieve(Directory(volume), tmp_path, Choice()).rows[0].same_boot is same


class TestLedger:
    @pytest.mark.parametrize(("expected", "code"), [(1, 0), (2, 0), (3, 1)])
    def test_the_expected_number_is_compared(self, run: Run, volume: Path, expected: int, code: int) -> None:
        record(volume, host="a")
        record(volume, host="b")
        result = run("retrieve", "--expect", expected)
        assert result.exit_code == code
        assert ("LOSS  3 recordings were expected, 2 announced themselves" in result.output) == (code == 1)
        assert ("note  2 recordings, 1 expected" in result.output) == (expected == 1)

    @pytest.mark.parametrize("waived", ["recording", "pod"])
    def test_a_loss_is_waived_by_name(self, run: Run, volume: Path, waived: str) -> None:
        record(volume)
        silent = running(volume, host="b", pod=pod("operator-b"))
        name = silent.name if waived == "recording" else "operator-b"
        result = run("collect", "--allow-missing", name)
        assert result.exit_code == 0
        assert f"waived  {silent.name}" in result.output
        assert run("collect", "--allow-missing", "operator-c").exit_code == 1

    def test_one_that_never_appeared_is_waived_by_name(self, run: Run, volume: Path) -> None:
        record(volume)
        assert run("retrieve", "--expect", 2, "--allow-missing", "operator-b").exit_code == 0

    @pytest.mark.parametrize("named", ["recording", "pod", "pod with its namespace"])
    def test_a_waiver_of_one_that_is_there_makes_up_for_no_other(self, run: Run, volume: Path, named: str) -> None:
        there = record(volume, pod=pod("operator-a"))
        names = {"recording": there.name, "pod": "operator-a", "pod with its namespace": "shop/operator-a"}
        assert run("retrieve", "--expect", 2, "--allow-missing", names[named]).exit_code == 1

    def test_announced_and_nothing_published_is_a_loss(self, run: Run, volume: Path) -> None:
        recording = record(volume, measured={})
        result = run("collect")
        assert result.exit_code == 1
        assert f"LOSS  {recording.name}: announced itself and published nothing" in result.output

    @pytest.mark.parametrize(
        ("before", "lost"),
        [
            (["shop", "shop.main"], []),
            (["shop.cart", "shop", "shop.main"], ["shop.cart"]),
            (["sho", "shop.main.deeper"], ["sho", "shop.main.deeper"]),
        ],
    )
    def test_what_ran_before_the_start_is_lost_unless_somebody_had_to_start(
        self, run: Run, volume: Path, before: list[str], lost: list[str]
    ) -> None:
        recording = record(volume, imported_before_start=before, start_modules=["__main__", "shop.main"])
        result = run("collect")
        assert result.exit_code == (1 if lost else 0)
        if lost:
            assert f"LOSS  {recording.name} {', '.join(lost)}: imported before recording started" in result.output
        begun = ", ".join(module for module in before if module not in lost)
        assert (f"note  {begun} began before coverage_hooks.start()" in result.output) == bool(begun)

    @pytest.mark.parametrize("until", ["2026-01-31T23:59:59.000000Z", ""])
    def test_what_was_not_recorded_for_a_while_is_a_loss_with_its_time(
        self, run: Run, volume: Path, until: str
    ) -> None:
        gap = Unrecorded(reason="other code took it", since="2026-01-31T23:59:58.000000Z", until=until)
        recording = record(volume, unrecorded=[gap])
        result = run("collect")
        assert result.exit_code == 1
        span = f"between {gap.since} and {until}" if until else f"from {gap.since} on"
        assert f"{recording.name}: not all that ran {span} was recorded: other code took it" in " ".join(
            result.output.split()
        )

    @pytest.mark.parametrize(
        ("before", "advice"),
        [
            (["shop.cart"], "call coverage_hooks.start() first"),
            (["__kopf_script_0__handlers.py"], "run the file by `coverage-hooks kopf-run`"),
            (["shop.cart", "__kopf_script_1__shop/main.py"], "run the file by `coverage-hooks kopf-run`"),
        ],
    )
    def test_a_file_that_kopf_loaded_before_the_hook_has_a_command_of_its_own(
        self, run: Run, volume: Path, before: list[str], advice: str
    ) -> None:
        record(volume, imported_before_start=before)
        [loss] = [line for line in run("retrieve").output.splitlines() if line.startswith("LOSS")]
        assert advice in loss

    def test_of_what_began_before_recording_there_is_one_note_for_all_alike(self, run: Run, volume: Path) -> None:
        for number in range(3):
            record(volume, host=f"h{number}", imported_before_start=["shop"], start_modules=["shop.main"])
        record(volume, host="other", imported_before_start=["shop", "shop.cart"], start_modules=["shop.cart"])
        notes = [line for line in run("retrieve").output.splitlines() if line.startswith("note  ")]
        assert [
            note.partition(" began before coverage_hooks.start() was called, as they have to")[0] for note in notes
        ] == [
            "note  shop",
            "note  shop, shop.cart",
        ]

    def test_problems_and_forks_are_shown_and_are_no_losses(self, run: Run, volume: Path) -> None:
        recording = record(volume, problems=["sigterm was overridden"])
        recording.change_process(forks=2)
        result = run("collect")
        assert result.exit_code == 0
        assert f"problem  {recording.name}: sigterm was overridden" in result.output
        assert "completeness  unproven" in result.output

    def test_identical_data_is_combined_once_and_no_loss(self, run: Run, volume: Path, project: Project) -> None:
        first, second = sorted([record(volume, host="a").name, record(volume, host="b").name])
        result = run("collect")
        assert result.exit_code == 0
        [note] = [row["note"] for row in retrieved(project.root / "build/coverage")["rows"] if row["note"]]
        assert note == f"the same data as {first}: combined once"
        assert [path.name for path in (project.root / "build/coverage/data").iterdir()] == [f".coverage.{first}"]
        assert second in result.output

    @pytest.mark.parametrize(("python", "said"), [("3.11.7", True), ("3.12.1", False)])
    def test_what_python_3_11_does_not_tell_is_said(self, run: Run, volume: Path, python: str, said: bool) -> None:
        recording = record(volume)
        recording.change_process(python=python)
        result = run("collect")
        assert (result.exit_code, "recorded on Python 3.11" in result.output) == (0, said)

    def test_lines_of_asyncio_are_explained_on_python_3_11(self, run: Run, volume: Path, project: Project) -> None:
        recording = record(volume, measured={**LINES, "shop/cart.py": {1, 606}})
        recording.change_process(python="3.11.7")
        result = run("collect")
        assert result.exit_code == 1
        said = " ".join(result.output.split())
        assert "line 606 of a file with" in said
        assert "Python 3.11 gave it lines of asyncio" in said
        assert "damaged" not in said
        with opened(project.root / "build/coverage/cluster.coverage") as data:
            used = {
                Path(file).relative_to(project.root).as_posix() for file in data.measured_files() if data.lines(file)
            }
        assert used == set(LINES) - {"shop/cart.py"}

    def test_a_run_without_id_says_so(self, run: Run, volume: Path) -> None:
        record(volume, run="")
        assert "note  these recordings carry no run id" in run("retrieve").output


def publish_next(recording: Recording) -> None:
    """Begin another journal, as a recorder does that finds its own spoilt, and take the old one away at once."""
    content = recording.journal.read_bytes()
    (recording.path / "journal-4").write_bytes(content)
    recording.change(journals=[named("journal-4", content)])
    recording.journal.unlink()


def _while_copied(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, once: bool = False) -> None:
    """Let something happen on the volume after each record that is copied of a journal, or after the first."""
    real = access.read_range
    done: list[bool] = []

    def read_range(*arguments: Any) -> bytes:
        content = real(*arguments)
        if not (once and done):
            act()
            done.append(True)
        return content

    monkeypatch.setattr(access, "CHUNK", 16)
    monkeypatch.setattr(access, "read_range", read_range)


def _between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, always: bool = False) -> None:
    """Let something happen on the volume after the manifest was read and before its files are opened."""
    real = retrieving._copy_set
    done: list[bool] = []

    def copy_set(*arguments: Any) -> tuple[bool, dict[str, str]]:
        if always or not done:
            act()
            done.append(True)
        return real(*arguments)

    monkeypatch.setattr(retrieving, "_copy_set", copy_set)
