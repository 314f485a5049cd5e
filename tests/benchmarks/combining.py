"""The step `coverage-hooks combine` against ``coverage combine --keep`` on the same recordings.

::

    python -m tests.benchmarks.combining lines 1000
    python -m tests.benchmarks.combining arcs 300 --pairs 7

Both are whole processes, in turn, and what comes out is compared fact by fact. coverage.py only combines; ours verifies
every byte first, maps every path to the checkout, and writes a mapped copy of each recording besides.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one process took: seconds on the clock and of processors, and MiB of memory at most."""

    wall: float
    cpu: float
    memory: float


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> None:
    """Make the recordings, run the pairs, and print a line for each and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("lines", "arcs"))
    parser.add_argument("count", type=int, help="recordings")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is run, in turn (default: 5)")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="combining-") as folder:
        base = Path(folder).resolve()
        _python("tests.benchmarks.recordings", "make", str(base), asked.kind, str(asked.count))
        for line in _compared(base, asked.pairs):
            out.write(f"{line}\n")
            out.flush()


def _compared(base: Path, pairs: int) -> Iterator[str]:
    root, parts = base / "checkout", (base / "parts").read_text().split()
    ours = [sys.executable, "-m", "coverage_hooks", "combine"]
    theirs = [sys.executable, "-m", "coverage", "combine", "--keep", "-q", f"--rcfile={base / 'plain.rc'}", *parts]
    _measure(ours, root)  # warm, both
    _measure(theirs, root)
    _python(
        "tests.benchmarks.recordings", "compare", str(root / "build/coverage/cluster.coverage"), str(base / "plain")
    )
    yield f"{len(parts)} recordings: the same facts from both"
    ratios: list[float] = []
    figures: dict[str, list[Figures]] = {"ours": [], "coverage.py": []}
    for number in range(1, pairs + 1):
        one, other = _measure(ours, root), _measure(theirs, root)
        figures["ours"].append(one)
        figures["coverage.py"].append(other)
        ratios.append(one.wall / other.wall)
        yield f"pair {number}: {one.wall:.2f} s and {other.wall:.2f} s, ratio {ratios[-1]:.2f}"
    for name, found in figures.items():
        wall, cpu, memory = (statistics.median(getattr(each, of) for each in found) for of in Figures.__slots__)
        yield f"{name}: {wall:.2f} s on the clock, {cpu:.2f} s of processors, {memory:.0f} MiB"
    yield f"ratio on the clock: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _measure(command: list[str], folder: Path) -> Figures:
    shutil.rmtree(folder / "build/coverage/data", ignore_errors=True)  # nobody has to remove what was there before
    with tempfile.TemporaryFile("w+") as told:
        begun = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdout=told, stderr=told)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)  # nobody else is to wait for it
        if process.returncode:
            told.seek(0)
            raise SystemExit(f"{' '.join(command[:4])} ended with {process.returncode}:\n{told.read()[-2000:]}")
    return Figures(wall=wall, cpu=used.ru_utime + used.ru_stime, memory=used.ru_maxrss / 1024)


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True)


if __name__ == "__main__":
    main()
