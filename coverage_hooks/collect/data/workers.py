"""Processes that share work which is Python's, so that threads would wait for each other.

Each is told what to do on its standard input and answers on its standard output, in turn. Both are pipes that no other
process has, so a process whose starter is gone, by whatever it ended, finds its input at an end and ends, too; it has
nothing that another one could wait for. `multiprocessing` promises less: its workers outlive a starter that is killed,
with its standard output open, and so do its semaphores, which are files.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import cycle
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")

#: How many batches a worker has at most, the one that it is at among them. Their names fit into a pipe, so that telling
#: never waits for a worker, which may wait for its answer to be taken.
_AHEAD = 2

#: As a worker finds modules where this process does, it finds the same ones.
_BEGIN = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from coverage_hooks.collect.data import workers"
)


class WorkerLostError(Exception):
    """A worker ended, as for want of memory, or could not be started."""


def mapped(function: Callable[[Item], T], items: Sequence[Item], *, workers: int, at_once: int) -> Iterator[T]:
    """Yield what *function* returns for each of *items*, in their order; so many *workers* take so many *at_once*.

    All are a few batches ahead of the caller, and gone when this is closed. Raises `WorkerLostError` when one ended.
    """
    batches = [items[start : start + at_once] for start in range(0, len(items), at_once)]
    with ExitStack() as stack:
        try:
            hired = [stack.enter_context(_Worker(function)) for _ in range(workers)]
            waiting: deque[_Worker] = deque()
            for batch, worker in zip(batches, cycle(hired), strict=False):
                worker.tell(batch)
                waiting.append(worker)
                if len(waiting) == _AHEAD * workers:
                    yield from waiting.popleft().answer()
            while waiting:
                yield from waiting.popleft().answer()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise WorkerLostError from error


class _Worker:
    """A process that does what it is told, and is ended with the block."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __enter__(self) -> _Worker:
        # Nothing that it says is of use: an error ends it, and then the work is done, and the error told, here.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"{_BEGIN}; workers.work()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        self.tell(sys.path)
        self.tell(self._function)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # it has nothing to put away
        for pipe in (self._to, self._from):
            with suppress(OSError):  # of one that ended before it was told all
                pipe.close()
        self._process.wait()

    def tell(self, what: object) -> None:
        """Send *what* to it."""
        self._to.write(pickle.dumps(what))
        self._to.flush()

    def answer(self) -> list[Any]:
        """Return what it answers to the oldest batch that it was told."""
        answered: list[Any] = pickle.load(self._from)  # noqa: S301 - a process of this one wrote it
        return answered


def work() -> None:
    """Do what standard input says, one batch after the other, until it is at its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal interrupts all; who started this one decides
    told: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()
    function = told.get()
    while True:
        answer = pickle.dumps([function(item) for item in told.get()], pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


def _listen(told: SimpleQueue[Any]) -> None:
    """Take in what there is to do; end this process at once when its starter is gone."""
    try:
        while True:
            told.put(pickle.load(sys.stdin.buffer))  # noqa: S301 - who started this process wrote it
    finally:
        os._exit(1)
