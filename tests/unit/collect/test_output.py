"""The output folder: who may write it, and what is said when it cannot be written."""

from __future__ import annotations

import errno
import fcntl
import re
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coverage_hooks.cli import commands
from coverage_hooks.collect import outputs
from coverage_hooks.collect.pods.watchlog import Header, Notebook
from coverage_hooks.errors import UsageError
from coverage_hooks.shown import plain
from tests.unit.collect.building import Project, record
from tests.unit.collect.conftest import Run

OUTPUT = Path("build/coverage")

#: Holds the folder until its standard input ends.
HOLDER = f"""
import sys
from pathlib import Path
from coverage_hooks.collect import outputs
with outputs.writing(Path({str(OUTPUT)!r})):
    print("mine", flush=True)
    sys.stdin.read()
"""


class TestOneAtATime:
    @pytest.mark.parametrize("command", ["collect", "retrieve", "verify", "combine", "report"])
    def test_no_command_writes_a_folder_that_another_one_writes(self, run: Run, volume: Path, command: str) -> None:
        record(volume)
        assert run("collect").exit_code == 0
        before = _state(OUTPUT)
        with outputs.writing(OUTPUT):
            result = run(command, source=volume if command in {"collect", "retrieve"} else None)
        assert result.exit_code == 2
        assert f"error: output folder '{OUTPUT}' is in use by another coverage-hooks or pytest" in result.output
        assert "wait until that has ended, or choose another output folder" in result.output
        assert _state(OUTPUT) == before

    def test_another_folder_is_free(self, run: Run, volume: Path) -> None:
        record(volume)
        with outputs.writing(OUTPUT):
            assert run("collect", "--output", "build/other").exit_code == 0

    def test_a_killed_process_holds_nothing(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER], cwd=project.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"mine\n"
            assert run("collect").exit_code == 2
            holder.kill()
        assert run("collect").exit_code == 0

    def test_a_reader_is_printed_all_the_same_and_no_folder_made(self, project: Project) -> None:
        arguments = ["collect", "--reader-manifest", "--namespace", "a", "--claim", "b", "--kubeconfig", "absent"]
        result = CliRunner().invoke(commands, arguments)
        assert "there is no kubeconfig 'absent'" in result.output
        assert not (project.root / OUTPUT).exists()

    def test_a_file_system_without_locks_is_refused(
        self, run: Run, volume: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No such file system can be had everywhere: this is what Linux answers on one."""

        def flock(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        record(volume)
        monkeypatch.setattr(fcntl, "flock", flock)
        result = run("collect")
        assert result.exit_code == 2
        assert f"'{OUTPUT}/.lock' cannot be locked: No locks available" in result.output
        assert "choose another output folder, on another file system" in result.output


class TestHalfMade:
    """What a kill leaves, which is gone after the next command, and what only looks like it."""

    HALVES = (
        ".combine-0a_zz9zz/half", f".{outputs.LEDGER}.0a_zz9zz.tmp", f".{outputs.SUMMARY_JSON}.0a_zz9zz.tmp",
        f"{outputs.RAW}/gone/gone/.journal-12.0a_zz9zz.tmp", f"{outputs.RAW}/gone/gone/.recording.json.0a_zz9zz.tmp",
        f"{outputs.RAW}/gone/gone/.complete.0a_zz9zz.tmp",
    )  # fmt: skip
    OTHERS = (
        ".combine-mine/x", ".notes.0a_zz9zz.tmp", f"{outputs.LEDGER}.tmp", f"{outputs.RAW}/gone/gone/journal-12",
        f"deep/.{outputs.LEDGER}.0a_zz9zz.tmp",
    )  # fmt: skip

    @pytest.mark.parametrize("command", ["collect", "retrieve", "verify", "combine", "report"])
    def test_it_is_removed_by_every_command(self, run: Run, volume: Path, project: Project, command: str) -> None:
        record(volume)
        assert run("collect").exit_code == 0
        project.write({str(OUTPUT / name): "x" for name in (*self.HALVES, *self.OTHERS)})
        assert run(command, source=volume if command in {"collect", "retrieve"} else None).exit_code == 0
        assert [name for name in (*self.HALVES, *self.OTHERS) if (OUTPUT / name).exists()] == list(self.OTHERS)

    def test_it_is_removed_after_an_error_at_any_moment(self, project: Project) -> None:
        def interrupted() -> None:
            with outputs.writing(OUTPUT):
                project.write({str(OUTPUT / name): "x" for name in self.HALVES})
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert [name for name in self.HALVES if (OUTPUT / name).exists()] == []

    def test_that_of_another_process_stays(self, project: Project) -> None:
        with outputs.writing(OUTPUT):
            project.write({str(OUTPUT / name): "x" for name in self.HALVES})
            with pytest.raises(UsageError), outputs.writing(OUTPUT):
                pass
            assert [name for name in self.HALVES if (OUTPUT / name).exists()] == list(self.HALVES)

    def test_a_link_is_not_followed(self, project: Project) -> None:
        project.write({"mine/x": "x"})
        (project.root / OUTPUT).mkdir(parents=True)
        (project.root / OUTPUT / ".combine-0a_zz9zz").symlink_to(project.root / "mine")
        with outputs.writing(OUTPUT):
            pass
        assert (project.root / "mine/x").exists()

    @pytest.mark.parametrize("mark", [None, "", "# Created by"])
    def test_pages_are_its_own_before_coverage_has_marked_them(
        self, run: Run, volume: Path, project: Project, mark: str | None
    ) -> None:
        """It does so after it has written what all pages share, and before it writes a page."""
        record(volume)
        assert run("collect").exit_code == 0
        html = project.root / OUTPUT / outputs.HTML
        expected = {path.name for path in html.iterdir()}
        gitignore = (html / ".gitignore").read_text()
        shared = {path for path in html.iterdir() if path.suffix in {".css", ".js", ".png"}}
        assert shared
        for path in {*html.iterdir()} - shared:
            path.unlink()
        if mark is not None:
            (html / ".gitignore").write_text(mark)
        assert run("collect").exit_code == 0
        assert {path.name for path in html.iterdir()} == expected
        assert (html / ".gitignore").read_text() == gitignore


class TestNotWritable:
    """Not by permissions, which do not bind a test that runs as root."""

    @pytest.mark.parametrize(
        "name",
        [
            outputs.LEDGER, outputs.RAW, outputs.DATA, outputs.COMBINED, outputs.CLUSTER, outputs.HTML, outputs.XML,
            outputs.LCOV, outputs.WORLDS, outputs.SUMMARY_JSON, outputs.SUMMARY_MARKDOWN, "html/index.html",
            outputs.LOCK,
        ],
    )  # fmt: skip
    def test_what_is_in_the_way_is_named(self, run: Run, volume: Path, project: Project, name: str) -> None:
        record(volume)
        path = project.root / OUTPUT / name
        if name in {outputs.RAW, outputs.DATA, outputs.HTML}:
            project.write({str(OUTPUT / name): "a file, where a folder is expected"})
        else:
            path.mkdir(parents=True)
            (path / "mine").write_text("so that it cannot be replaced, either")
        result = run("collect")
        assert result.exit_code == 2
        assert f"{OUTPUT / name}" in result.output.splitlines()[-1]
        assert "is in its place: move that away" in result.output

    @pytest.mark.parametrize(
        ("step", "limit", "named"),
        [
            ("retrieve", 0, "journal-0"), ("retrieve", 700, "journal-0"), ("retrieve", 885, "recording.json"),
            ("retrieve", 1000, "ledger.json"),
            ("combine", 0, ""), ("combine", 700, ""), ("combine", 50_000, ""),  # by SQLite, which names no file
            ("report", 0, ""), ("report", 700, ""), ("report", 20_000, ""),  # by coverage.py, which names none, either
            ("report", 30_000, outputs.WORLDS),
        ],
    )  # fmt: skip
    def test_no_room_is_told_with_the_path(
        self, run: Run, volume: Path, project: Project, *, step: str, limit: int, named: str
    ) -> None:
        """Where the largest file may be that small, everything that is larger meets a full disk."""
        record(volume)
        before = ["retrieve", "combine", "report"]
        for each in before[: before.index(step)]:
            assert run(each, source=volume if each == "retrieve" else None).exit_code == 0
        arguments = ["--from", str(volume)] if step == "retrieve" else []
        done = subprocess.run(
            [sys.executable, "-m", "coverage_hooks", step, *arguments],
            cwd=project.root, capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)), check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stdout + done.stderr
        (said,) = done.stderr.splitlines()
        assert re.fullmatch(
            f"error: '.*{OUTPUT}.*{named}' cannot be written: .*; make room there, or choose .*", said
        ), said


def test_a_witness_that_has_no_room_is_not_told_that_the_cluster_is_gone(tmp_path: Path) -> None:
    header = Header(namespace="shop", server="s", namespace_uid="", started_at=datetime.now(UTC))
    room, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))
        with pytest.raises(UsageError, match=r"'.*/witness\.jsonl' cannot be written: File too large; make room there"):
            Notebook(tmp_path / "witness.jsonl", header)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "make room there"),
        (OSError(errno.EROFS, "Read-only file system", "build/coverage/a"), "let this user write there"),
        (PermissionError(errno.EACCES, "Permission denied", b"build/coverage/html/\xff\x1b"), "let this user write"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), None),
        (PermissionError(errno.EACCES, "Permission denied", "shop/cart.py"), None),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "build/coverages"), None),
    ],
)
def test_only_what_is_about_the_folder_is_taken_for_it(project: Project, error: OSError, said: str | None) -> None:
    with pytest.raises((UsageError, OSError)) as raised, outputs.writing(OUTPUT):
        raise error
    assert isinstance(raised.value, UsageError) == (said is not None)
    assert said is None or said in plain(str(raised.value))


def _state(folder: Path) -> dict[str, Any]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
