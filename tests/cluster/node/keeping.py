"""Talking to the keeper of a node: starting it, giving orders to the node, and ending it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.cluster.node import keeper as keepers
from tests.cluster.node.programs import NodeError, Programs
from tests.cluster.node.slots import Slot
from tests.cluster.supervisor import tail

_CHECKOUT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Keeper:
    """A started keeper; `pid` is that of the node's first process."""

    pid: int
    _process: subprocess.Popen[str]
    _errors: Path

    def start(self, commands: Mapping[str, list[str]]) -> None:
        """Have the node start *commands*."""
        self._tell({"start": commands})

    def restart(self, name: str) -> None:
        """Have the node kill one of its servers, and start it again as it was."""
        self._tell({"restart": name})

    def stay(self, folder: Path) -> None:
        """Have the node in *folder* live on when its keeper is not talked to any more."""
        (folder / keepers.STAYS).write_text(str(self._process.pid))
        self._tell({"stay": True})

    def check(self) -> None:
        """Raise NodeError if a server of the node has ended; then all of it has, or is about to."""
        if select.select([_pipe(self._process.stdout)], [], [], 0)[0]:
            raise NodeError(self._last_words())

    def _tell(self, order: dict[str, Any]) -> None:
        try:
            _pipe(self._process.stdin).write(json.dumps(order) + "\n")
            _pipe(self._process.stdin).flush()
        except BrokenPipeError:
            raise NodeError(self._last_words()) from None
        self.hear()

    def hear(self) -> None:
        """Wait until the node has done what it was told; raise NodeError if it ends instead."""
        answer = _pipe(self._process.stdout).readline()
        if "understood" not in answer:
            raise NodeError(self._last_words(answer))

    def _last_words(self, answer: str = "") -> str:
        words = json.loads(answer or _pipe(self._process.stdout).readline() or "{}")
        if "died" in words:
            return f"{words['died']} ended with exit code {words['code']}; the end of its log:\n{words['log']}"
        self._process.wait()
        return f"the node ended:\n{tail(self._errors)}"


@contextmanager
def kept(folder: Path, slot: Slot, lock: int, programs: Programs) -> Iterator[Keeper]:
    """Yield a keeper, with a node that runs nothing yet. At the end both are gone, unless the node was told to stay."""
    order = {
        "folder": str(folder),
        "slot": slot.number,
        "programs": {name: str(getattr(programs, name)) for name in ("control_plane", "node", "dns", "network")},
    }
    # A file without a name: nobody has to delete it.
    with tempfile.TemporaryFile() as errors:
        read_again = Path("/proc/self/fd", str(errors.fileno()))
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {keepers.__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd="/",  # a checkout that is deleted must not be in use
            env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C is for whoever started it; this process ends by the pipe, after it
        )
        try:
            _pipe(process.stdin).write(json.dumps(order) + "\n")
            _pipe(process.stdin).flush()
            started = json.loads(_pipe(process.stdout).readline() or "{}")
            if "pid" not in started:
                process.wait()
                raise NodeError(f"the node did not start:\n{tail(read_again)}")
            keeper = Keeper(started["pid"], process, read_again)
            keeper.hear()
            yield keeper
        finally:
            _pipe(process.stdin).close()
            if not (folder / keepers.STAYS).exists():
                process.wait()
            _pipe(process.stdout).close()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
