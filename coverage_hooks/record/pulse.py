"""When: a daemon thread that beats once per interval, and whenever somebody asks.

Everything that may block (the volume) or take long (copying) happens in this thread, so whoever waits can stop waiting:
no thread of the operator ever touches the volume.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from concurrent.futures import Future
from typing import Protocol

NAME = "coverage-hooks pulse"


class Beat(Protocol):
    """What the pulse calls."""

    def __call__(self, *, last: bool) -> bool: ...


class Pulse(threading.Thread):
    """Calls *beat* every *interval* seconds, at once on request, and a last time with ``last=True``.

    *beat* returns whether everything it knows is on the volume, and never raises.
    """

    def __init__(self, beat: Beat, interval: float) -> None:
        super().__init__(name=NAME, daemon=True)
        self._beat = beat
        self._interval = interval
        self._requests: queue.SimpleQueue[tuple[Future[bool], bool]] = queue.SimpleQueue()

    def ask(self, *, last: bool = False) -> Future[bool]:
        """Ask for a beat that starts after now; the *last* one also ends the thread.

        Never blocks, and may be called from any thread, a signal handler or an event loop.
        """
        answer: Future[bool] = Future()
        self._requests.put((answer, last))
        return answer

    def run(self) -> None:
        """Beat until the last one was asked for."""
        sys.settrace(None)  # a debugger's or another tracer's hook for new threads must not slow this one down
        due = time.monotonic()
        while True:
            waiting, last = self._wait(due)
            due = time.monotonic() + self._interval
            published = self._beat(last=last)
            for answer in waiting:
                if answer.set_running_or_notify_cancel():  # whoever asked may have stopped waiting
                    answer.set_result(published)
            if last:
                return

    def _wait(self, due: float) -> tuple[list[Future[bool]], bool]:
        """Return everything asked for by the time that the next beat is *due*."""
        try:
            first = self._requests.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            return [], False
        requests = [first]
        while not self._requests.empty():
            requests.append(self._requests.get())
        return [answer for answer, _ in requests], any(last for _, last in requests)
