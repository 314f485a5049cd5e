"""What something costs, told so that nothing else on the machine counts."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds_of(act: Callable[[], object], times: int = 3) -> float:
    """Return how long *act* keeps a processor busy, at best: to be compared with something else that was just done."""
    return min(_once(act) for _ in range(times))


def _once(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began
