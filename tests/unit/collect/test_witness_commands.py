"""What a witness saw, in `retrieve`, `collect` and `status`: rows, losses, exit codes, and evil texts."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect import pipeline
from coverage_hooks.collect.pipeline import Request
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.pods.expected import Witness
from coverage_hooks.collect.pods.watchlog import Testimony as Told
from coverage_hooks.collect.retrieve.copies import Patience
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.errors import SourceError
from tests.cluster import wait_until
from tests.unit.collect.building import Project, Recording, record
from tests.unit.collect.conftest import Run
from tests.unit.collect.test_retrieve import running
from tests.unit.collect.test_showing import EVIL
from tests.unit.collect.witnessed import lines, pods, recordings


@contextmanager
def beating(recording: Recording) -> Iterator[None]:
    """Move the beat of *recording* as its pulse would."""
    stop = threading.Event()

    def pulse() -> None:
        for beat in itertools.count(recording.manifest.beat + 1):
            if stop.wait(0.05):
                return
            recording.change(beat=beat)

    thread = threading.Thread(target=pulse)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def write(project: Project, name: str, *, until: str = "2999-01-31T23:59:59.000000Z", **changes: Any) -> None:
    """Put what the witness wrote of ending *name* where `collect` looks for it; it watches until long after now."""
    path = project.root / "build/coverage" / watchlog.NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    documents = lines(name)
    for document in pods(documents):
        document["metadata"] |= changes
    documents.append({"at": until, "confirmed": "pods", "version": "99999"})
    path.write_text("".join(f"{json.dumps(document)}\n" for document in documents))


def make(volume: Path, pod: str, **how: Any) -> None:
    """Put the recordings that *pod* made on the volume; *how* they were made as `record` has it."""
    for found in recordings(pod):
        assert found.manifest is not None
        made = record(volume, **how)
        wanted = dataclasses.asdict(found.manifest)
        kept = {
            name: wanted[name] for name in ("recording", "run", "state", "started_at", "snapshot_at", "published_at")
        }
        assert found.manifest.pod is not None
        made.change(**kept, pod=found.manifest.pod, interval=0.05)
        made.path.rename(volume / found.recording)


def test_a_kill_is_a_loss_with_its_seconds_unless_its_pod_is_waived(run: Run, volume: Path, project: Project) -> None:
    make(volume, "late")
    write(project, "active-deadline")
    result = run("collect")
    assert result.exit_code == 1
    assert "LOSS  late-2026" in result.output
    assert "lost is what ran in its last 1.1 s at most" in result.output
    assert "completeness  proven: namespace shop was watched without a gap" in result.output
    again = run("collect", "--allow-missing", "late")
    assert again.exit_code == 0
    assert "waived  late-2026" in again.output
    summary = json.loads((project.root / "build/coverage/summary.json").read_text())
    assert summary["proven"]
    row = summary["ledger"][0]
    assert (row["state"], row["cause"], row["exit_code"], row["lost_seconds"]) == ("killed", "deadline", 137, 1.1)
    text = (project.root / "build/coverage/summary.md").read_text()
    assert "\\<\\= 1.1 s" in text
    assert "ended at the deadline of its pod \\(activeDeadlineSeconds\\)" in text


def test_an_exit_without_the_last_save_is_a_loss(run: Run, volume: Path, project: Project) -> None:
    make(volume, "aborted")
    write(project, "exit-without-save")
    result = run("collect")
    assert result.exit_code == 1
    assert "LOSS  aborted-2026" in result.output
    [row] = json.loads((project.root / "build/coverage/summary.json").read_text())["ledger"]
    assert (row["state"], row["cause"], row["exit_code"], row["lost_seconds"]) == ("ended", "exited", 4, 0.5)


def test_a_kill_is_no_loss_when_each_line_was_written_before_it_ran(run: Run, volume: Path, project: Project) -> None:
    make(volume, "late", mode="immediate", complete=True)
    write(project, "active-deadline")
    result = run("collect")
    assert result.exit_code == 0, result.output
    assert "LOSS" not in result.output
    output = project.root / "build/coverage"
    [row] = json.loads((output / "summary.json").read_text())["ledger"]
    assert (row["state"], row["mode"], row["complete"], row["lost_seconds"]) == ("killed", "immediate", True, 0.0)
    assert row["note"] == "killed; nothing is lost: each line was on the volume before it ran"
    [shown] = [line for line in (output / "summary.md").read_text().splitlines() if line.startswith("| late")]
    assert "| killed | immediate | 8 | nothing |" in shown
    page = (output / "worlds.html").read_text()
    assert '<span class="good">killed</span></td><td data-title="journal">immediate</td>' in page
    assert '<td data-title="lost">nothing</td>' in page


def test_a_graceful_end_is_no_loss(run: Run, volume: Path, project: Project) -> None:
    make(volume, "drained")
    write(project, "drain")
    result = run("collect")
    assert result.exit_code == 0, result.output
    assert "evicted through the eviction API, as a drain does; exit code 0" in result.output.replace("\n", " ")


def test_whoever_never_announced_itself_is_a_loss(run: Run, volume: Path, project: Project) -> None:
    """Two pods recorded on one claim; only one of them did."""
    make(volume, "done")
    write(project, "completed")
    path = project.root / "build/coverage" / watchlog.NAME
    with path.open("a") as file:
        file.writelines(f"{json.dumps(each)}\n" for each in lines("never-announced") if "pod" in each)
        file.write(json.dumps({"at": "2999-01-31T23:59:59.000000Z", "confirmed": "pods", "version": "99999"}) + "\n")
    result = run("collect")
    assert result.exit_code == 1
    assert "LOSS  (pod shop/broken): restart 0 of container main" in result.output
    assert "1 recording of run one, 1 missing" in result.output
    assert run("collect", "--allow-missing", "broken").exit_code == 0
    assert run("collect", "--allow-missing", "broken", "--expect", 2).exit_code == 0
    assert run("collect", "--allow-missing", "broken", "--expect", 3).exit_code == 1


def test_nothing_recorded_at_all_is_still_named_pod_by_pod(run: Run, volume: Path, project: Project) -> None:
    write(project, "never-announced")
    result = run("collect")
    assert result.exit_code == 1
    assert "LOSS  (pod shop/broken): " in result.output
    assert "LOSS  nothing was recorded" in result.output


def test_an_older_witness_proves_nothing_and_accuses_nobody(run: Run, volume: Path, project: Project) -> None:
    make(volume, "done")
    write(project, "never-announced", namespace="other")
    path = project.root / "build/coverage" / watchlog.NAME
    documents = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(f"{json.dumps({**each, 'namespace': 'other'})}\n" for each in documents))
    result = run("collect")
    assert result.exit_code == 0, result.output
    assert "completeness  unproven: the witness watched namespace other, and these ran in shop" in result.output


def test_evil_texts_of_pods_are_shown_and_do_nothing(run: Run, volume: Path, project: Project) -> None:
    make(volume, "late")
    write(project, "active-deadline")
    path = project.root / "build/coverage" / watchlog.NAME
    documents = [json.loads(line) for line in path.read_text().splitlines()]
    for document in pods(documents):
        document["status"] |= {"phase": "Failed", "reason": "Evicted", "message": EVIL.replace("\ud800", "")}
    path.write_text("".join(f"{json.dumps(each)}\n" for each in documents if "event" not in each))
    result = run("collect")
    assert result.exit_code == 1
    assert not set(result.output) & {"\x1b", "\x07", "\u202e"}
    assert "\\x1b[31mred\\x07 [bold]x[/bold]" in result.output
    text = (project.root / "build/coverage/summary.md").read_text()
    assert "<script>" not in text
    assert "\n# title" not in text


class TestAsked:
    """A source that knows whom to ask."""

    def retrieve(self, project: Project, volume: Path, witness: Witness) -> Any:
        class Asked(Directory):
            def witness(self, path: Path) -> Witness:
                assert path == output / watchlog.NAME
                return witness

        output = project.root / "out"
        return pipeline.retrieve(Asked(volume), output, Request(patience=Patience(minimum=0.3)))

    def test_it_is_asked(self, volume: Path, project: Project) -> None:
        make(volume, "late")
        write(project, "active-deadline")
        ledger = self.retrieve(project, volume, watchlog.Written(project.root / "build/coverage" / watchlog.NAME))
        assert ledger.rows[0].cause == "deadline"

    def test_that_it_does_not_answer_costs_the_proof_only(self, volume: Path, project: Project) -> None:
        class Silent:
            claim = None

            def testify(self, moment: object) -> Told | None:  # noqa: ARG002 - as any witness
                raise SourceError("not allowed to watch pods")

        record(volume)
        ledger = self.retrieve(project, volume, Silent())
        assert ledger.completeness == "unproven: not allowed to watch pods"
        assert ledger.losses == []


class TestStatus:
    def start(self, *arguments: object, cwd: Path) -> subprocess.Popen[str]:
        """Start it as a script does in the background: with interrupts ignored."""
        command = [sys.executable, "-m", "coverage_hooks", "status", "--watch", *map(str, arguments)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        ignoring = (
            "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
        )
        in_the_background = [sys.executable, "-c", ignoring, *command]
        return subprocess.Popen(in_the_background, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_watching_a_folder_prints_what_changes_until_it_is_ended(
        self, volume: Path, project: Project, number: signal.Signals
    ) -> None:
        recording = running(volume)
        later = time.time() + 3600
        os.utime(recording.manifest_path, (later, later))  # its beat is no old one, however late it is looked at
        with self.start("--from", volume, cwd=project.root) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("recording  run  state  journal")
            assert f"{recording.name}  run-1  running  interval" in process.stdout.readline()
            with beating(recording):  # a beat is no news
                wait_until(lambda: json.loads(recording.manifest_path.read_bytes())["beat"] > 40, "it was looked at")
            recording.change(state="finished")
            assert f"{recording.name}  run-1  finished" in process.stdout.readline()
            process.send_signal(number)
            assert process.stdout.read() == ""
            assert process.wait() == 0
