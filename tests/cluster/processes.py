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
            raise ControlPlaneError(_obituary(self._process))


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
    with process:
        try:
            _send(process, {"folder": str(folder), "commands": commands})
            running = Supervised(_receive(process)["pids"], process)
            yield running
            running.check()
        except Exception as error:
            # Most likely the reason why the block failed: nothing answers any more.
            if process.poll() is not None and not isinstance(error, ControlPlaneError):
                error.add_note(_obituary(process))
            raise
        finally:
            _pipe(process.stdin).close()
            process.wait()


def _send(process: subprocess.Popen[str], order: dict[str, Any]) -> None:
    _pipe(process.stdin).write(json.dumps(order) + "\n")
    _pipe(process.stdin).flush()


def _receive(process: subprocess.Popen[str]) -> dict[str, Any]:
    answer = json.loads(_pipe(process.stdout).readline() or "{}")
    if not isinstance(answer, dict) or not answer:
        raise ControlPlaneError(f"the supervisor ended with exit code {process.wait()}; its error is above")
    return answer


def _obituary(process: subprocess.Popen[str]) -> str:
    answer = _receive(process)
    return f"{answer['died']} ended with exit code {answer['code']}; the end of its log:\n{answer['log']}"


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
