"""What something costs, told so that nothing else on the machine counts."""

from __future__ import annotations

import time
from collections.abc import Callable

#: How often two are measured in turn: on a busy machine, caches are cold for one of them now and then.
TURNS = 5


def is_cheap(act: Callable[[], object], times: float, other: Callable[[], object]) -> bool:
    """Whether *act* keeps a processor busy for less than *times* as long as *other*; both are measured in turn."""
    return any(_seconds(act) < times * _seconds(other) for _ in range(TURNS))


def _seconds(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began
