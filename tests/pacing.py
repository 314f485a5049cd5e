"""What programs import that tests record, copied beside them: not measured, and of the standard library alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def until(reached: Callable[[dict[str, Any]], bool]) -> None:
    """Return when the manifest of this process, the only one on the volume, is as it should be.

    A process that is not recorded waits for nothing.
    """
    if os.environ["COVERAGE_HOOKS_ENABLED"] != "1":
        return
    volume = Path(os.environ["COVERAGE_HOOKS_DIR"])
    while not any(reached(json.loads(path.read_bytes())) for path in volume.glob("*/recording.json")):
        time.sleep(0.01)


def until_beaten(times: int) -> None:
    """Return when the pulse has beaten so many *times* from now."""
    seen: list[int] = []

    def beaten(manifest: dict[str, Any]) -> bool:
        seen.append(manifest["beat"])
        return seen[-1] >= seen[0] + times

    until(beaten)


def on_the_disk() -> int:
    """Return how many bytes of journals the manifest of this process names."""
    (path,) = Path(os.environ["COVERAGE_HOOKS_DIR"]).glob("*/recording.json")
    return sum(journal["size"] for journal in json.loads(path.read_bytes())["journals"])
