"""Clocks that were set back, or never agreed: what is counted by two of them is unknown, and called so."""

from __future__ import annotations

import dataclasses
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect.pods.expected import loss_of
from coverage_hooks.collect.runs import Found
from coverage_hooks.volume.manifest import Mode, parse_timestamp, timestamp
from tests.unit.collect.building import Project, Recording, pod, record
from tests.unit.collect.conftest import Clock, Run
from tests.unit.collect.test_endings import mode
from tests.unit.collect.test_retrieve import retrieved
from tests.unit.collect.witnessed import LISTED, Document, join, lines, pods, read, recordings

HOURS = timedelta(hours=2)


def moments(now: datetime, *, started: float = 60, snapshot: float = 1.25, published: float = 1) -> dict[str, str]:
    """Return the times of a manifest, each so many seconds before *now*."""
    ago = {"started_at": started, "snapshot_at": snapshot, "published_at": published}
    return {name: timestamp(now - timedelta(seconds=seconds)) for name, seconds in ago.items()}


def running(volume: Path, times: dict[str, str], **changes: Any) -> Recording:
    snapshot, published = times["snapshot_at"], times["published_at"]
    return record(
        volume, state="running", interval=0.05, started_at=parse_timestamp(times["started_at"]), snapshot_at=snapshot,
        published_at=published, **changes,
    )  # fmt: skip


def row_of(project: Project) -> Document:
    [row] = retrieved(project.root / "build/coverage")["rows"]
    assert isinstance(row, dict)
    return row


class TestHere:
    """The clock of the pod and the one here, of a recording whose beat stands still."""

    def test_clocks_that_agree_are_believed(self, run: Run, volume: Path, project: Project) -> None:
        running(volume, moments(datetime.now(UTC)))
        assert run("retrieve").exit_code == 1
        row = row_of(project)
        assert (row["clock"], row["lost_seconds"]) == ("", None)
        assert row["unsaved"] >= 1
        assert row["beat_age"] >= 0

    @pytest.mark.parametrize("ahead", [-HOURS, HOURS])
    def test_a_pod_of_another_time_lost_no_hours(
        self, run: Run, volume: Path, project: Project, ahead: timedelta
    ) -> None:
        recording = running(volume, moments(datetime.now(UTC) + ahead), pod=pod())
        result = run("collect")
        assert result.exit_code == 1
        row = row_of(project)
        assert (row["state"], row["beat_age"], row["unsaved"], row["lost_seconds"]) == ("silent", None, None, None)
        assert "the clocks differ, or the file was copied" in row["note"]
        assert f"LOSS  {recording.name} (pod shop/operator-0): beat 7 does not move" in result.output
        assert "snapshot; how long ago that was is unknown: by the clock of its pod it was written" in result.output

    def test_a_file_of_a_time_to_come_has_no_age(self, run: Run, volume: Path, project: Project) -> None:
        """As after the clock here was set back."""
        recording = running(volume, moments(datetime.now(UTC) + HOURS))
        later = time.time() + HOURS.total_seconds()
        os.utime(recording.manifest_path, (later, later))
        assert run("collect").exit_code == 1
        row = row_of(project)
        assert (row["beat_age"], row["unsaved"]) == (None, None)
        assert "how long ago that was is unknown: its file was written at a time that is yet to come" in row["note"]
        status = run("status").output
        assert "unknown" in status
        assert "silent?" not in status
        assert "-7" not in status.replace(recording.name, "")


class TestInThePod:
    """A clock that was set back while the process ran."""

    @pytest.mark.parametrize(
        "times",
        [
            {"started": 60, "snapshot": -7000, "published": 1},  # between the snapshot and the publish
            {"started": -7000, "snapshot": 1.25, "published": 1},  # before, and who knows what became of it
        ],
    )
    def test_seconds_by_it_are_unknown(self, run: Run, volume: Path, project: Project, times: dict[str, float]) -> None:
        running(volume, moments(datetime.now(UTC), **times))
        result = run("collect")
        assert result.exit_code == 1
        row = row_of(project)
        assert (row["state"], row["lost_seconds"], row["unsaved"]) == ("silent", None, None)
        assert row["clock"].startswith("the clock of its pod was set back while it ran")
        assert f"how long ago that was is unknown: {row['clock']}" in result.output

    def test_saves_that_fail_are_a_loss_of_unknown_length(self, run: Run, volume: Path, clock: Clock) -> None:
        times = moments(datetime.now(UTC), snapshot=-7000, published=1)
        clock.let_beat(running(volume, times, problems=["recorded, but not saved: No space left on device"]))
        result = run("collect")
        assert result.exit_code == 1
        assert "it beats, but for how long nothing was saved is unknown: the clock of its pod was set" in result.output
        assert "No space left on device" in result.output

    @pytest.mark.parametrize("state", ["finished", "running"])
    def test_nothing_is_unknown_of_what_is_whole(
        self, run: Run, volume: Path, project: Project, clock: Clock, state: str
    ) -> None:
        recording = running(volume, moments(datetime.now(UTC), started=-7000)).change(state=state)
        clock.let_beat(recording)
        assert run("collect").exit_code == 0
        assert row_of(project)["state"] == state


class TestEndings:
    """What Kubernetes says of the end, by the clock of the node, which is that of the pod."""

    def test_an_end_before_the_last_snapshot_costs_an_unknown_time(self, tmp_path: Path) -> None:
        documents = lines("killed-on-the-node")
        move(documents, "finishedAt", "2026-11-23T08:56:44Z")
        ledger = join(read(tmp_path / "w", documents), recordings("killed"))
        row = ledger.rows[0]
        assert (row.state, row.cause, row.lost_seconds, row.restart) == ("killed", "killed", None, 0)
        assert row.clock.startswith("its container ended at 2026-11-23T08:")
        assert f"how much is lost is not known: {row.clock}" in loss_of(row)
        assert [each.state for each in ledger.rows if each.state == "missing"] == []

    def test_a_clock_that_was_set_back_before_and_put_right_later_costs_no_hours(self, tmp_path: Path) -> None:
        [found] = recordings("late")
        assert found.manifest is not None
        before = timestamp(parse_timestamp(found.manifest.snapshot_at) - HOURS)
        changed = with_changes(found, snapshot_at=before, published_at=before)
        row = join(read(tmp_path / "w", lines("active-deadline")), [changed]).rows[0]
        assert (row.state, row.lost_seconds) == ("killed", None)
        assert "the clock of its pod was set back while it ran" in loss_of(row)

    @pytest.mark.parametrize("how", ["immediate", "interval"])
    @pytest.mark.parametrize(
        ("ended", "lost"),
        [
            ("10:56:30", None),  # set back, by less than passed since the last snapshot
            ("10:57:30", None),  # set ahead
            ("10:56:40", 15.0),  # as much as a node may take to tell
        ],
    )
    def test_a_clock_that_was_set_after_the_last_beat_is_noticed_by_the_witness(
        self, tmp_path: Path, how: Mode, ended: str, lost: float | None
    ) -> None:
        """It was told of the end at 10:56:45, of a process that wrote nothing for long before."""
        documents = lines("killed-on-the-node")
        move(documents, "finishedAt", f"2026-11-23T{ended}Z")
        row = join(read(tmp_path / "w", documents), [early("killed", how)], complete=True).rows[0]
        assert (row.state, row.lost_seconds, row.lost_nothing) == ("killed", lost, False)
        assert ("a clock was set, or it was told late" in loss_of(row)) == (lost is None)

    @pytest.mark.parametrize("missed", ["it was there when the watch began", "the watch was cut off", "nothing"])
    def test_only_what_was_told_at_once_tells_of_a_clock(self, tmp_path: Path, missed: str) -> None:
        documents = lines("killed-on-the-node")
        move(documents, "finishedAt", "2026-11-23T10:56:30Z")
        if missed.startswith("it was there"):
            for document in documents:
                if document.get("change") == "MODIFIED":
                    document["change"] = "LISTED"
        elif missed.startswith("the watch"):  # from 10:56:35 until it was told of the end
            documents = [each for each in documents if "confirmed" not in each or not "35" < each["at"][17:] < "45.5"]
        row = join(read(tmp_path / "w", documents), [early("killed", "interval")]).rows[0]
        assert (row.state, row.lost_seconds) == ("killed", None if missed == "nothing" else 5.0)

    def test_an_end_that_was_told_late_is_no_loss_where_each_line_was_written(self, tmp_path: Path) -> None:
        """The beat had not stopped before it by so much, whichever of both it was."""
        documents = lines("killed-on-the-node")
        move(documents, "finishedAt", "2026-11-23T10:56:37Z")
        times = dict.fromkeys(("snapshot_at", "published_at"), "2026-11-23T10:56:36.500000Z")
        found = with_changes(mode(recordings("killed")[0], "immediate"), **times)
        row = join(read(tmp_path / "w", documents), [found], complete=True).rows[0]
        assert (row.state, row.lost_seconds) == ("killed", 0.0)

    def test_whether_what_finished_ran_on_is_not_known_then(self, tmp_path: Path) -> None:
        documents = lines("grace-overrun")
        move(documents, "finishedAt", "2026-11-23T08:56:44Z")
        [found] = recordings("overrun")
        ledger = join(read(tmp_path / "w", documents), [with_changes(found, state="finished")])
        assert ledger.rows[0].state == "finished"
        assert "whether it ran on after that is not known: its container ended at" in ledger.rows[0].note
        assert ledger.losses == []

    @pytest.mark.parametrize("seen", ["before the volume was listed", "after"])
    def test_who_began_in_a_time_to_come_is_missed_all_the_same(self, tmp_path: Path, seen: str) -> None:
        """By a clock ahead of the one here it began after the volume was listed."""
        documents = lines("never-announced")
        for document in documents:
            if seen == "after" and "pod" in document:
                document["at"] = timestamp(LISTED + timedelta(seconds=0.5))
        move(documents, "startedAt", "2026-11-23T12:56:19Z")
        move(documents, "finishedAt", "2026-11-23T12:56:19Z")
        ledger = join(read(tmp_path / "w", documents), [], claim="coverage")
        assert [row.state for row in ledger.rows] == ["missing"]
        assert len(ledger.losses) == 1


class TestNewest:
    def test_a_run_of_a_time_to_come_is_not_the_newest_without_a_note(self, run: Run, volume: Path) -> None:
        now = datetime.now(UTC)
        record(volume, run="ahead", started_at=now + HOURS)
        record(volume, run="new", started_at=now - timedelta(minutes=1), host="b")
        result = run("collect")
        assert result.exit_code == 0
        [note] = [text for text in result.output.splitlines() if text.startswith("note  run 'ahead'")]
        assert "is taken for the newest" in note
        assert f"a process of it began at {timestamp(now + HOURS)}" in note
        assert "choose by --run" in note
        doctor = run("doctor")
        assert "note   run 'ahead' is taken for the newest" in doctor.output
        assert "is taken for the newest" not in run("collect", "--run", "ahead").output
        assert "is taken for the newest" not in run("collect", "--since", "1d").output

    def test_one_of_the_past_is(self, run: Run, volume: Path) -> None:
        record(volume, run="old", started_at=datetime.now(UTC) - HOURS)
        record(volume, run="new", started_at=datetime.now(UTC))
        assert "is taken for the newest" not in run("collect").output + run("doctor").output


def with_changes(found: Found, **changes: Any) -> Found:
    assert found.manifest is not None
    return dataclasses.replace(found, manifest=dataclasses.replace(found.manifest, **changes))


def early(pod: str, how: Mode) -> Found:
    """Return the first recording of *pod*, made in mode *how*, with a last beat of many seconds before its end."""
    found = mode(recordings(pod)[0], how)
    return with_changes(found, **dict.fromkeys(("snapshot_at", "published_at"), "2026-11-23T10:56:26.000000Z"))


def move(documents: list[Document], name: str, moment: str) -> None:
    """Let the node's clock show *moment* at the moment *name* of a container."""
    for document in pods(documents):
        for status in document["status"].get("containerStatuses", ()):
            for part in (*status["state"].values(), *status["lastState"].values()):
                if part.get(name):
                    part[name] = moment
