"""What is entered of a recording of which nobody says anything: by its mode, its marker, its machine and its beat."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.volume import machine
from coverage_hooks.volume.manifest import Mode, Unrecorded, timestamp
from tests.unit.collect.building import Project, Recording, record
from tests.unit.collect.conftest import Clock, Run
from tests.unit.collect.test_clocks import moments

PARENT = "operator-0-20260131T235900Z-00000000"


def killed(volume: Path, mode: Mode, *, complete: bool = True, **changes: Any) -> Recording:
    """Write a recording whose beat stands still, made by this machine."""
    made = record(volume, mode=mode, complete=complete, **changes)
    made = made.change(state="running", interval=0.05, **moments(datetime.now(UTC)))
    return made.change_process(boot=machine.boot_id())


def row_of(project: Project) -> dict[str, Any]:
    [row] = json.loads((project.root / "build/coverage/summary.json").read_bytes())["ledger"]
    assert isinstance(row, dict)
    return row


class TestSilent:
    def test_nothing_is_lost_where_each_line_was_written_and_the_machine_went_on(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        killed(volume, "immediate")
        result = run("collect")
        assert result.exit_code == 0, result.output
        row = row_of(project)
        assert (row["state"], row["same_boot"], row["lost_seconds"]) == ("silent", True, 0)
        assert row["note"] == (
            "beat 7 does not move: killed or hung; nothing is lost: each line was on the volume before it ran, "
            "and this machine has not restarted since"
        )
        assert row["lines"] == 8

    @pytest.mark.parametrize(("boot", "same"), [("another machine, or another start of this one", False), ("", None)])
    def test_it_is_a_loss_where_the_machine_may_have_restarted(
        self, run: Run, volume: Path, project: Project, boot: str, *, same: bool | None
    ) -> None:
        recording = killed(volume, "immediate").change_process(boot=boot)
        result = run("collect")
        assert result.exit_code == 1
        row = row_of(project)
        assert (row["state"], row["same_boot"], row["lost_seconds"]) == ("silent", same, None)
        assert f"LOSS  {recording.name}: beat 7 does not move: killed or hung. Each line was on the" in result.output
        assert "whether the machine that it ran on has restarted since is not known here" in result.output

    @pytest.mark.parametrize("mode", ["immediate", "interval"])
    def test_it_is_a_loss_where_points_may_be_missing(
        self, run: Run, volume: Path, project: Project, mode: Mode
    ) -> None:
        killed(volume, mode, complete=mode == "interval")
        assert run("collect").exit_code == 1
        row = row_of(project)
        assert (row["mode"], row["lost_seconds"]) == (mode, None)
        assert "Lost is what ran after the last snapshot, " in row["note"]

    def test_forked_children_may_have_lost_more(self, run: Run, volume: Path, project: Project) -> None:
        killed(volume, "interval").change_process(forks=1)
        assert run("collect").exit_code == 1
        assert "s ago, and what forked children of it had not written; how much is not known" in row_of(project)["note"]

    def test_in_mode_final_it_is_everything(self, run: Run, volume: Path, project: Project) -> None:
        killed(volume, "final")
        assert run("collect").exit_code == 1
        row = row_of(project)
        assert "Lost is everything that it ran: in mode final nothing is saved before the end, " in row["note"]
        assert (row["lost_seconds"], row["unsaved"] > 59) == (None, True)

    def test_a_damaged_end_is_a_loss_all_the_same(self, run: Run, volume: Path, project: Project) -> None:
        recording = killed(volume, "immediate").append(bytes(16))
        size = recording.manifest.journals[0].size
        result = run("collect")
        assert result.exit_code == 1
        row = row_of(project)
        assert (row["state"], row["lost_seconds"], row["lines"]) == ("silent", None, 8)
        assert row["note"].startswith(f"journal-0 is damaged behind byte {size}")
        assert "nothing is lost" not in result.output


class TestBeating:
    """A process that lives, and whose saves fail."""

    @pytest.mark.parametrize(("complete", "lost"), [(True, False), (False, True)])
    def test_late_saves_are_no_loss_where_each_line_is_written(
        self, run: Run, volume: Path, clock: Clock, *, complete: bool, lost: bool
    ) -> None:
        now = datetime.now(UTC)
        late = {"snapshot_at": timestamp(now - timedelta(seconds=40)), "published_at": timestamp(now)}
        problems = ["recorded, but not saved: No space left on device"]
        clock.let_beat(killed(volume, "immediate", complete=complete).change(**late, problems=problems))
        result = run("collect")
        assert result.exit_code == (1 if lost else 0)
        assert ("it beats, but nothing was saved for 40.0 s: recorded, but not saved" in result.output) == lost
        assert "problem  " in result.output


class TestAnnounced:
    """A recording in whose journals nothing is, or that has none."""

    @pytest.mark.parametrize("journal", [None, b""])
    def test_it_is_a_loss(self, run: Run, volume: Path, project: Project, journal: bytes | None) -> None:
        recording = record(volume, measured={}, mode="immediate", complete=True)
        if journal is not None:
            recording.publish(journal)
        assert run("collect").exit_code == 1
        row = row_of(project)
        assert (row["state"], row["lost_seconds"]) == ("announced", None)
        assert row["note"].startswith("announced itself and published nothing; nothing of `run:source` ran")

    def test_what_no_manifest_names_yet_counts(self, run: Run, volume: Path, project: Project) -> None:
        sound = record(volume, host="a")
        content = sound.journal.read_bytes()
        record(volume, measured={}, tail=content, host="b")
        child = record(volume, measured={}, host="c")
        child.append(content, number=17)
        for made in (sound,):
            made.change(run="other")
        assert run("collect", "--run", "run-1").exit_code == 0
        rows = json.loads((project.root / "build/coverage/summary.json").read_bytes())["ledger"]
        assert [row["state"] for row in rows] == ["finished", "finished"]

    def test_what_is_named_and_not_there_was_published(self, run: Run, volume: Path, project: Project) -> None:
        record(volume).journal.write_bytes(b"")
        result = run("collect")
        assert result.exit_code == 1
        assert row_of(project)["state"] == "damaged"
        assert result.output.count("LOSS") == 1
        assert "truncated: 0 of " in result.output

    def test_in_mode_final_all_is_lost(self, run: Run, volume: Path, project: Project) -> None:
        killed(volume, "final", measured={}, problems=["coverage.py 7.0 is too old: saved at the end"])
        assert run("collect").exit_code == 1
        assert row_of(project)["note"] == (
            "announced itself and has not ended: in mode final all is saved then, so all is lost; "
            "coverage.py 7.0 is too old: saved at the end"
        )


class TestChildren:
    """What another process started."""

    @pytest.mark.parametrize(("mode", "lost"), [("immediate", False), ("interval", True)])
    def test_an_end_without_a_last_save_is_judged_as_any_other(
        self, run: Run, volume: Path, project: Project, mode: Mode, *, lost: bool
    ) -> None:
        killed(volume, mode).change_process(boot=machine.boot_id(), parent=PARENT)
        result = run("collect")
        assert result.exit_code == (1 if lost else 0)
        assert row_of(project)["parent"] == PARENT
        for name in ("summary.md", "worlds.html"):
            assert f"child of {PARENT}" in (project.root / "build/coverage" / name).read_text().replace("\\", "")

    @pytest.mark.parametrize(
        ("state", "complete", "problems", "lost"),
        [
            ("finished", False, [], False),
            ("running", True, [], False),
            ("running", False, [], True),
            ("finished", False, ["nothing can be written"], True),
        ],
    )
    def test_one_that_ran_none_of_the_code_is_no_loss(
        self, run: Run, volume: Path, project: Project, state: str, problems: list[str], *, complete: bool, lost: bool
    ) -> None:
        """As what multiprocessing starts to look after its resources."""
        made = killed(volume, "immediate", complete=complete, measured={})
        made.change(state=state, problems=problems).change_process(parent=PARENT)
        record(volume, host="z")
        assert run("collect").exit_code == (1 if lost else 0)
        row = json.loads((project.root / "build/coverage/summary.json").read_bytes())["ledger"][0]
        assert (row["state"], row["lost_seconds"]) == ("announced", None)
        assert row["note"].startswith("announced itself" if lost else "started by another process, and ran nothing")

    def test_one_that_was_not_recorded_for_a_while_may_have_run_some(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        gap = Unrecorded(since="2026-01-31T23:59:59.000000Z", until="", reason="its tracer was taken")
        made = killed(volume, "immediate", measured={}).change(state="finished", unrecorded=[gap])
        made.change_process(parent=PARENT)
        assert run("collect").exit_code == 1
        assert row_of(project)["note"].startswith("announced itself and published nothing")


def test_a_ledger_of_another_format_is_refused(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    assert run("retrieve").exit_code == 0
    path = project.root / "build/coverage/ledger.json"
    document = json.loads(path.read_bytes())
    assert document["format"] == 2
    path.write_text(json.dumps({**document, "format": 1}))
    result = run("verify", source=None)
    assert result.exit_code == 2
    assert "format 1 is not format 2; run `coverage-hooks retrieve` again" in result.output
