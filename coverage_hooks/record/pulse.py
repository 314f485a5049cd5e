"""When: a daemon thread that beats once per interval, and whenever somebody asks.

Whatever may block (the volume) or take long (copying) happens in this thread, so a thread that waits for it can stop
waiting. The one exception: in mode `immediate` the threads that run new lines write them themselves.
"""

from __future__ import annotations

import queue
import signal
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
        self._lock = threading.RLock()  # reentrant, as a signal handler may ask while its thread is asking
        self._ended = False
        self._published = False

    def begin(self) -> None:
        """Start the thread, deaf to signals: one that an operator blocks in its own threads must not end up here."""
        try:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                self.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except BaseException:
            self._end()
            raise

    def ask(self, *, last: bool = False) -> Future[bool]:
        """Ask for a beat that starts after now; the *last* one also ends the thread.

        Never blocks, and may be called from any thread or an event loop. After the end the answer is that of the last
        beat, at once.
        """
        answer: Future[bool] = Future()
        with self._lock:
            if self._ended:
                answer.set_result(self._published)
            else:
                self._requests.put((answer, last))
        return answer

    def run(self) -> None:
        """Beat until the last one was asked for."""
        sys.settrace(None)  # a debugger's or another tracer's hook for new threads must not slow this one down
        due = time.monotonic()
        last = False
        try:
            while not last:
                waiting, last = self._wait(due)
                due = time.monotonic() + self._interval
                self._published = False
                self._published = self._beat(last=last)
                self._answer(waiting)
        finally:
            self._end()

    def _wait(self, due: float) -> tuple[list[Future[bool]], bool]:
        """Return everything asked for by the time that the next beat is *due*."""
        try:
            first = self._requests.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            return [], False
        requests = [first, *self._all_requests()]
        return [answer for answer, _ in requests], any(last for _, last in requests)

    def _all_requests(self) -> list[tuple[Future[bool], bool]]:
        requests = []
        while not self._requests.empty():
            requests.append(self._requests.get())
        return requests

    def _answer(self, waiting: list[Future[bool]]) -> None:
        for answer in waiting:
            if answer.set_running_or_notify_cancel():  # whoever asked may have stopped waiting
                answer.set_result(self._published)

    def _end(self) -> None:
        """Let nobody wait for a beat that will not come."""
        with self._lock:
            self._ended = True
            self._answer([answer for answer, _ in self._all_requests()])
