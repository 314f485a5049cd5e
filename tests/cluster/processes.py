"""Processes that live exactly as long as a `with` block, or shorter than the process that runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.cluster import supervisor
from tests.cluster.errors import ControlPlaneError


@dataclass(frozen=True, slots=True)
class Supervised:
    """A set of running processes: the PID of each, and whether all of them still run."""

    pids: Mapping[str, int]
    _process: subprocess.Popen[str]

    def check(self) -> None:
        """Raise ControlPlaneError with the end of its log if one of the processes has ended."""
        if self._process.poll() is not None:
            raise ControlPlaneError(_obituary(_receive(self._process)))


@contextmanager
def supervised(commands: Mapping[str, list[str]], folder: Path, lock: int) -> Iterator[Supervised]:
    """Run *commands* in *folder*, each with its output in ``<name>.log``; kill them and delete *folder* at the end."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[lock],
        start_new_session=True,  # Ctrl-C is for the test run; this process ends by the pipe, after it
    )
    obituary = ""
    with process:
        try:
            _send(process, {"folder": str(folder), "commands": commands})
            yield Supervised(_receive(process)["pids"], process)
        except Exception as error:
            # Most likely the reason why the block failed: nothing answers any more.
            if obituary := _end(process):
                error.add_note(obituary)
            raise
        finally:
            obituary = obituary or _end(process)
    if obituary:
        raise ControlPlaneError(obituary)


def _send(process: subprocess.Popen[str], order: dict[str, Any]) -> None:
    _pipe(process.stdin).write(json.dumps(order) + "\n")
    _pipe(process.stdin).flush()


def _receive(process: subprocess.Popen[str]) -> dict[str, Any]:
    answer = json.loads(_pipe(process.stdout).readline() or "{}")
    if not isinstance(answer, dict) or not answer:
        raise ControlPlaneError(f"the supervisor ended with exit code {process.wait()}; its error is above")
    return answer


def _end(process: subprocess.Popen[str]) -> str:
    """Stop everything, and return what is to be said of a process that had ended before, if that is not said yet."""
    _pipe(process.stdin).close()
    process.wait()
    answers = map(json.loads, _pipe(process.stdout))
    return next((_obituary(answer) for answer in answers if "died" in answer), "")


def _obituary(answer: dict[str, Any]) -> str:
    return f"{answer['died']} ended with exit code {answer['code']}; the end of its log:\n{answer['log']}"


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
