"""What whole processes take, in turn, and how it is told."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What processes took: seconds on the clock and of processors, and MiB of memory at most."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0

    def __add__(self, other: Figures) -> Figures:
        """Return what both took, one after the other."""
        return Figures(wall=self.wall + other.wall, cpu=self.cpu + other.cpu, memory=max(self.memory, other.memory))


def measure(command: list[str], folder: Path) -> Figures:
    """Run *command* in *folder* and return what it took; its end is the benchmark's, if it fails."""
    with tempfile.TemporaryFile("w+") as told:
        begun = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdout=told, stderr=told)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it again
        if process.returncode:
            told.seek(0)
            raise SystemExit(f"{' '.join(command[:4])} ended with {process.returncode}:\n{told.read()[-2000:]}")
    return Figures(wall=wall, cpu=used.ru_utime + used.ru_stime, memory=used.ru_maxrss / 1024)


def in_turn(ours: Callable[[], Figures], theirs: Callable[[], Figures], pairs: int) -> Iterator[str]:
    """Call *ours* and *theirs* *pairs* times, in turn; yield a line for each pair, then the medians and ratios."""
    figures: dict[str, list[Figures]] = {"ours": [], "coverage.py": []}
    for number in range(1, pairs + 1):
        one, other = ours(), theirs()
        figures["ours"].append(one)
        figures["coverage.py"].append(other)
        yield f"pair {number}: {one.wall:.2f} s and {other.wall:.2f} s, ratio {one.wall / other.wall:.2f}"
    for name, found in figures.items():
        wall, cpu, memory = (statistics.median(getattr(each, of) for each in found) for of in Figures.__slots__)
        yield f"{name}: {wall:.2f} s on the clock, {cpu:.2f} s of processors, {memory:.0f} MiB"
    for of, told in (("cpu", "of processors"), ("wall", "on the clock")):  # the first minds less what else runs here
        ratios = [getattr(one, of) / getattr(other, of) for one, other in zip(*figures.values(), strict=True)]
        yield f"ratio {told}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def python(*arguments: str) -> None:
    """Run a module of ours, whose memory is not to be that of the children which are measured."""
    subprocess.run([sys.executable, "-m", *arguments], check=True)
