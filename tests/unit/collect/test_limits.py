"""A volume that is made to exhaust the collector stays cheap: here with limits that are lower than they are.

`python -m tests.benchmarks.hostile` measures what volumes of a gigabyte take.
"""

from __future__ import annotations

import dataclasses
import io
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from coverage_hooks.collect import ledger as ledgers
from coverage_hooks.collect import runs
from coverage_hooks.collect.data import journals as reading
from coverage_hooks.collect.data import verify as verifying
from coverage_hooks.collect.data import workers
from coverage_hooks.collect.data.journals import Journals
from coverage_hooks.collect.ledger import Ledger, Row
from coverage_hooks.collect.mapping import remap
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.reporting import summary, terminal
from coverage_hooks.collect.reporting.analysis import Report
from coverage_hooks.collect.reporting.page import overview
from coverage_hooks.collect.retrieve import copies
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.errors import ManifestError, VolumeError
from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import Name
from coverage_hooks.volume.manifest import Begun, Manifest
from tests.unit.collect.building import SOURCES, STARTED, Project, journal_bytes, point, record
from tests.unit.collect.conftest import Run
from tests.unit.collect.test_collect import summary as summary_of

WAIVED = Row(recording="waived")
ONE, OTHER = Row(recording="one"), Row(recording="other")


def lost(count: int, row: Row = ONE, **about: object) -> Ledger:
    ledger = Ledger(waivers=["waived"], rows=[ONE, OTHER, WAIVED], **about)  # type: ignore[arg-type]
    for number in range(count):
        ledger.lose("combine", row, f"no source file {number}", file=f"/app/{number}.py")
    return ledger


class TestLedger:
    def test_losses_beyond_the_limit_are_counted(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(ledgers, "MOST_LOSSES", 10)
        ledger = lost(25)
        ledger.lose("combine", WAIVED, "of no matter")
        ledger.lose("verify", OTHER, "damaged")
        ledger.save(tmp_path)
        for each in (ledger, Ledger.load(tmp_path)):
            assert [(loss.step, loss.count, loss.waived) for loss in each.losses[10:]] == [
                ("combine", 15, False),
                ("combine", 1, True),
                ("verify", 1, False),
            ]
            assert each.losses[10].reason.startswith("15 more")
            assert summary.verdict(each) == "26 losses"

    def test_one_recording_does_not_fill_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledgers, "MOST_OF_ONE", 10)
        monkeypatch.setattr(ledgers, "MOST_LOSSES", 20)
        ledger = lost(25)
        ledger.lose("combine", OTHER, "no source file", file="/app/a.py")
        assert [loss.file for loss in ledger.losses if loss.recording == "other"] == ["/app/a.py"]
        assert summary.verdict(ledger) == "26 losses"

    def test_a_loss_that_is_only_counted_is_an_open_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledgers, "MOST_LOSSES", 10)
        ledger = lost(10, WAIVED)
        assert not ledger.open_losses
        ledger.lose("combine", ONE, "open")
        assert summary.verdict(ledger) == "1 loss"

    def test_a_step_that_is_repeated_counts_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledgers, "MOST_LOSSES", 10)
        ledger = lost(25)
        ledger.begin("combine")
        assert ledger.losses == []
        for _ in range(12):
            ledger.lose("combine", ONE, "open")
        assert summary.verdict(ledger) == "12 losses"

    @pytest.mark.parametrize("again", [False, True])
    def test_texts_have_a_limit_together(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, again: bool) -> None:
        monkeypatch.setattr(ledgers, "MOST_TEXT", 500)
        ledger = Ledger()
        ledger.enter(Row(recording="one", problems=["x" * 100] * 3))
        if again:  # what there is counts after loading, too
            ledger.save(tmp_path)
            ledger = Ledger.load(tmp_path)
        ledger.lose("combine", ONE, "y" * 150)
        ledger.lose("combine", ONE, "y" * 150)
        ledger.note("combine", "z" * 51)
        ledger.enter(Row(recording="other", problems=["first" * 10, "last" * 5]))
        assert [loss.count for loss in ledger.losses] == [1, 1]
        assert "too many" in ledger.losses[1].reason
        assert "too many" in ledger.notes[0].text
        assert ledger.rows[-1].problems == ["1 more, for which ledger.json has no room", "last" * 5]

    def test_one_text_has_a_limit(self) -> None:
        ledger = Ledger()
        ledger.lose("combine", ONE, "r" * 100_000, file="f" * 100_000)
        ledger.note("combine", "n" * 100_000)
        assert max(map(len, (ledger.losses[0].reason, ledger.losses[0].file, ledger.notes[0].text))) < 5000

    def test_notes_beyond_the_limit_are_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledgers, "MOST_NOTES", 3)
        ledger = Ledger()
        for number in range(9):
            ledger.note("combine", f"note {number}")
        assert [note.text for note in ledger.notes[:3]] == ["note 0", "note 1", "note 2"]
        assert len(ledger.notes) == 4


def printed(ledger: Ledger, *, width: int = terminal.LOG_WIDTH, is_terminal: bool = False) -> list[str]:
    written = io.StringIO()
    out = Console(file=written, highlight=False, width=width, force_terminal=is_terminal)
    terminal.show_ledger(out, ledger)
    terminal.show_losses(out, ledger)
    return written.getvalue().splitlines()


@pytest.mark.parametrize(("width", "is_terminal"), [(160, False), (80, True), (200, True)])
def test_what_is_printed_has_an_end(width: int, *, is_terminal: bool) -> None:
    ledger = lost(5000, run="run-1")
    for number in range(500):
        ledger.enter(
            Row(recording=f"bad-{number}", pod="p" * 200, note="n" * 900, ending="e" * 900, problems=["p"] * 20)
        )
        ledger.lose("verify", ledger.rows[-1], "damaged")
        ledger.note("combine", f"note {number}")
    lines = printed(ledger, width=100_000 if is_terminal else width, is_terminal=is_terminal)
    assert len(lines) <= 200
    lines = printed(ledger, width=width, is_terminal=is_terminal)
    assert sum(line.startswith(("LOSS", "note", "problem")) for line in lines) <= 130
    assert [line for line in lines if "LOSS  bad-" in line], "one recording hides the others"


def test_what_is_left_out_is_said_and_counted() -> None:
    ledger = lost(5000)
    lines = printed(ledger)
    assert sum(line.startswith("LOSS  one /app/") for line in lines) == 100
    assert "LOSS  and 4900 more losses: ledger.json has 400 of them" in lines


def test_documents_have_an_end() -> None:
    ledger = lost(5000)
    for number in range(500):
        ledger.enter(Row(recording=f"bad-{number}"))
        ledger.note("combine", f"note {number}")
    nothing = Report(
        totals=dict.fromkeys(("unit", "cluster", "combined")), files={}, compared={}, paths={}, omitted={},
        excluded_lines=0,
    )  # fmt: skip
    document = "\n".join(summary._lines(ledger, nothing, None))
    assert len(document.splitlines()) < 1000
    assert "4700 more losses" in document
    page = overview.fields(ledger, nothing, None)
    assert page["losses"].count("<li>") == 301
    assert page["ledger"].count("<tr>") == 301
    assert "4700 more losses" in page["losses"]


class TestVolume:
    def test_no_more_manifests_are_kept_than_there_is_room_for(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for number in range(6):
            record(tmp_path, host=f"h{number}", revision="r" * 1000, problems=["first", "last"], begun=[
                Begun(path="/a.py", lines=[1])
            ])  # fmt: skip
        [one, *_] = found = runs.look_briefly(Directory(tmp_path))
        assert one.manifest is not None
        assert all(each.manifest for each in found)
        assert (one.manifest.journals, one.manifest.begun, one.manifest.problems) == ([], [], ["last"])
        monkeypatch.setattr(runs, "MOST_TEXT", 4000)
        found = runs.look_briefly(Directory(tmp_path))
        assert [each.manifest is None for each in found] == [False] * 3 + [True] * 3
        assert "more text than is kept" in found[-1].reason

    def test_recordings_beyond_the_limit_are_a_loss(
        self, run: Run, volume: Path, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(copies, "MOST_RECORDINGS", 3)
        for number in range(3):
            record(volume, host=f"h{number}", measured={"shop/cart.py": {number + 1}})
        assert run("collect").exit_code == 0
        record(volume, host="h3")
        assert run("collect").exit_code == 1
        [loss] = summary_of(project)["losses"]
        assert loss["reason"].startswith("1 of the recordings that are asked for are not collected")

    def test_journals_beyond_the_limit_are_a_loss(
        self, run: Run, volume: Path, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(copies, "MOST_JOURNALS", 3)
        recording = record(volume)
        content = journal_bytes({"/app/shop/cart.py": {8}}, {"/app/shop/cart.py": SOURCES["shop/cart.py"]})
        for number in (1, 2, 3):
            recording.append(content, number)
        assert run("collect").exit_code == 0
        for number in (4, 5):
            recording.append(content, number)
        assert run("collect").exit_code == 1
        [loss] = summary_of(project)["losses"]
        assert (loss["file"], loss["reason"]) == (
            "journal-4",
            "this and 1 more are not read: only 3 of a recording are",
        )
        copied = project.root / "build/coverage/raw/run-1" / recording.name
        assert {path.name for path in copied.glob("journal-*")} == {f"journal-{number}" for number in range(4)}

    def test_the_runs_that_a_volume_holds_are_named_up_to_some(self, run: Run, volume: Path) -> None:
        for number in range(30):
            record(volume, host=f"h{number}", run=f"run-{number:02}")
        run("collect", "--run", "another")
        assert "'run-19', and 10 more" in run("collect", "--run", "another").output

    def test_a_file_has_no_more_arcs_than_a_program(
        self, run: Run, volume: Path, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remap, "_ARCS_OF_LINE", 1)
        monkeypatch.setattr(remap, "_ARCS_BESIDES", 2)
        project.write({".coveragerc": "[run]\nsource = shop\nbranch = true\n"})
        arcs = [(1, line) for line in range(2, 9)]
        most = {"shop/cart.py": {*arcs, (-1, 1), (8, -7), (8, -1)}}  # ten between eight lines
        record(volume, measured=most, branch=True)
        assert run("collect").exit_code == 0
        record(volume, measured={"shop/cart.py": {*most["shop/cart.py"], (2, -1)}}, branch=True, host="more")
        assert run("collect").exit_code == 1
        [loss] = summary_of(project)["losses"]
        assert loss["reason"] == "damaged: holds 11 arcs between 8 lines"

    def test_of_a_manifest_no_file_has_begun_twice(self, volume: Path) -> None:
        begun = [Begun(path="/a.py", lines=[]), Begun(path="/b.py", lines=[])]
        manifest = record(volume, begun=begun).manifest
        assert Manifest.parse(manifest.to_bytes()) == manifest
        again = dataclasses.replace(manifest, begun=[*begun, Begun(path="/a.py", lines=[1])])
        with pytest.raises(ManifestError, match="each path once"):
            Manifest.parse(again.to_bytes())


class TestJournals:
    def test_of_names_there_are_no_more_than_of_any_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MOST_NAMES", 3)
        names = [Name(number=number, path=f"/{number}").to_bytes() for number in range(1, 5)]
        Journals(branch=False).read(memoryview(b"".join(names[:3] * 2)))
        with pytest.raises(VolumeError, match="more than any program has"):
            Journals(branch=False).read(memoryview(b"".join(names)))

    def test_a_long_name_is_not_kept(self) -> None:
        reading._parsed.cache_clear()
        for path in ("/short", "/" + "x" * 2000):
            Journals(branch=False).read(memoryview(Name(number=1, path=path).to_bytes()))
        assert reading._parsed.cache_info().currsize == 1

    @pytest.mark.parametrize("branch", [False, True])
    def test_of_a_large_one_no_more_is_in_memory_than_is_looked_at(self, tmp_path: Path, *, branch: bool) -> None:
        path = tmp_path / "journal-0"
        with path.open("wb") as written:
            written.write(Name(number=1, path="/a.py").to_bytes())
            for _ in range(32):
                written.write(point(1, (1, 2) if branch else 1) * (1 << 16))
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            journal = memoryview(mapped)
            verifying._checked(journal, None)
            assert resident(path) < 4 << 10
            journals = Journals(branch=branch)
            assert journals.read(journal) == (path.stat().st_size, "")
            assert resident(path) < 4 << 10
            journal.release()
        assert (journals.content().line_count, journals.content().arc_count) == ((2, 1) if branch else (1, 0))

    @pytest.mark.parametrize("most", [0, 1 << 20])
    def test_large_ones_are_looked_at_one_at_a_time(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, most: int
    ) -> None:
        folders = [record(tmp_path, host=f"h{number}").path for number in range(3)]
        by_others: list[Path] = []

        def mapped(function: Callable[[Path], object], items: list[Path], **_: int) -> Iterator[object]:
            by_others.extend(items)
            return map(function, items)

        monkeypatch.setattr(verifying, "MANY", 1)
        monkeypatch.setattr(verifying, "WORKERS", 2)
        monkeypatch.setattr(verifying, "SMALL", most)
        monkeypatch.setattr(workers, "mapped", mapped)
        assert len(list(verifying._looked(folders))) == 3
        assert by_others == (folders if most else [])


def resident(path: Path) -> int:
    """Return how many KiB of file *path* are in this process's memory."""
    told = Path("/proc/self/smaps").read_text().split(str(path))[1:]
    return sum(int(each.partition("\nRss:")[2].split()[0]) for each in told)


class TestRawCopies:
    """What is verified is what was copied, and no link to anything else."""

    @pytest.mark.parametrize("name", [layout.MANIFEST, "journal-0"])
    def test_a_link_in_place_of_a_file_is_not_followed(self, tmp_path: Path, name: str) -> None:
        recording = record(tmp_path / "volume")
        (tmp_path / "real").write_bytes((recording.path / name).read_bytes())
        (recording.path / name).unlink()
        (recording.path / name).symlink_to(tmp_path / "real")
        found = verifying._look(recording.path)
        assert isinstance(found, VolumeError)
        assert "the raw copy cannot be read" in str(found)

    def test_a_link_in_place_of_the_folder_is_not_followed(self, tmp_path: Path) -> None:
        recording = record(tmp_path / "volume")
        recording.path.rename(tmp_path / "real")
        recording.path.symlink_to(tmp_path / "real")
        found = verifying._look(recording.path)
        assert isinstance(found, VolumeError)
        assert "no folder of raw copies" in str(found)


class TestWatchLog:
    def test_no_more_of_it_is_read_than_a_limit(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        path, at = tmp_path / watchlog.NAME, "2026-01-31T23:59:59.000000Z"
        header = watchlog.Header(namespace="shop", server="s", namespace_uid="", started_at=STARTED)
        with watchlog.Notebook(path, header) as book:
            for number in range(100):
                book.add({"gap": "pods", "since": at, "reason": f"{number}"})
        whole = watchlog.read(path)
        assert whole is not None
        assert (len(whole.gaps("pods")), whole.stopped) == (100, None)
        monkeypatch.setattr(watchlog, "FILE_LIMIT", path.stat().st_size // 2)
        some = watchlog.read(path)
        assert some is not None
        assert 40 < len(some.gaps("pods")) < 60
        assert "the rest was not read" in (some.stopped or "")
