"""How signals end a command: as an error does, so that everything that was begun is put away."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: The signals that end a command: of a terminal, of a supervisor, of a terminal that is gone.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Seconds within which a second signal means the same as the first: a shell passes on what the kernel sends, too.
_ONE = 1.0


class Ended(SystemExit):
    """Signal *number* ended the command; its exit code is the conventional one."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextmanager
def ending(*numbers: int, ignored: bool = False) -> Iterator[None]:
    """Let each of signals *numbers* raise `Ended` in the main thread, and a second one end the process at once.

    A signal that this process ignores, as below ``nohup``, stays ignored, unless *ignored* ones are to be heeded. After
    a signal the block ends with `Ended`, whatever else goes wrong on the way out: a terminal that is gone, for one.
    Outside the main thread, which alone is told of signals, all stay as they are.
    """
    first: list[tuple[int, float]] = []

    def end(number: int, _: FrameType | None) -> None:
        if not first:
            first.append((number, time.monotonic()))
            raise Ended(number)
        if time.monotonic() - first[0][1] >= _ONE:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) is not None}
    if threading.current_thread() is not threading.main_thread():
        before.clear()
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN or ignored:
                signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if first:
            raise Ended(first[0][0])
