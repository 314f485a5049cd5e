"""What an ended command left behind: processes, an open standard output, and files.

Each command has a mark in its environment, which all of its children inherit, and a temporary folder of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.waiting import wait_until

ROOT = Path(__file__).parents[1]

#: A shell has what it runs in the background ignore interrupts, and so has everything below it.
_HEEDING = """\
import signal, runpy
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
runpy.run_module("coverage_hooks", run_name="__main__", alter_sys=True)
"""


@dataclass
class Command:
    """A command of ours in a session of its own, with *temporary* as its temporary folder."""

    process: subprocess.Popen[str]
    temporary: Path
    mark: str

    def alive(self) -> dict[int, str]:
        """Return the command lines of all processes that have the mark, by pid."""
        return dict(_marked(self.mark))

    def end(self, number: int) -> None:
        """Send signal *number* to the command, not to its children."""
        self.process.send_signal(number)

    def said(self) -> str:
        """Return what it and its children said after they have all closed their output."""
        assert self.process.stdout
        text = self.process.stdout.read()
        self.process.wait()
        return text

    def wait_until_gone(self, within: float) -> None:
        """Return when no process of it is left; `TimeoutError` with those that are."""
        wait_until(
            lambda: not self.alive(), "every process has ended", within=within, details=lambda: str(self.alive())
        )

    def temporaries(self) -> list[str]:
        """Return what is in the temporary folder."""
        return sorted(path.name for path in self.temporary.iterdir())


def started(*arguments: object, cwd: Path, temporary: Path, **environment: str) -> AbstractContextManager[Command]:
    """Start ``coverage-hooks`` with *arguments*; whatever of it is left at the end is killed."""
    return started_by(sys.executable, "-c", _HEEDING, *arguments, cwd=cwd, temporary=temporary, **environment)


@contextmanager
def started_by(*command: object, cwd: Path, temporary: Path, **environment: str) -> Iterator[Command]:
    """Start *command*, with more in its *environment*; whatever of it is left at the end is killed."""
    temporary.mkdir(exist_ok=True)
    mark = f"LEFTOVERS={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), name: value, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        made = Command(process, temporary, mark)
        try:
            yield made
        finally:
            for pid in made.alive():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def listing(folder: Path) -> set[str]:
    """Return the names of everything below *folder*."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _marked(mark: str) -> Iterator[tuple[int, str]]:
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal():
            continue
        with suppress(OSError):
            if mark.encode() in (path / "environ").read_bytes().split(b"\0"):
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(path.name), os.fsdecode(line).strip()
