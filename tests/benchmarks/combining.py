"""The step `coverage-hooks combine` against ``coverage combine --keep`` on the same recordings.

::

    python -m tests.benchmarks.combining lines 1000
    python -m tests.benchmarks.combining arcs 300 --pairs 7

Both are whole processes, in turn, and what comes out is compared fact by fact. coverage.py gets data files and only
combines; ours gets journals of the same, verifies every byte first, maps every path to the checkout, and writes a data
file of each recording besides.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from tests.benchmarks.timing import Figures, in_turn, measure, python


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> None:
    """Make the recordings, run the pairs, and print a line for each and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("lines", "arcs"))
    parser.add_argument("count", type=int, help="recordings")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is run, in turn (default: 5)")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="combining-") as folder:
        base = Path(folder).resolve()
        python("tests.benchmarks.recordings", "make", str(base), asked.kind, str(asked.count))
        for line in _compared(base, asked.pairs):
            out.write(f"{line}\n")
            out.flush()


def _compared(base: Path, pairs: int) -> Iterator[str]:
    root, parts = base / "checkout", (base / "parts.txt").read_text().split()
    ours = [sys.executable, "-m", "coverage_hooks", "combine"]
    theirs = [sys.executable, "-m", "coverage", "combine", "--keep", "-q", f"--rcfile={base / 'plain.rc'}", *parts]
    _measure(ours, root)  # warm, both
    _measure(theirs, root)
    python("tests.benchmarks.recordings", "compare", str(root / "build/coverage/cluster.coverage"), str(base / "plain"))
    yield f"{len(parts)} recordings: the same facts from both"
    yield from in_turn(partial(_measure, ours, root), partial(_measure, theirs, root), pairs)


def _measure(command: list[str], folder: Path) -> Figures:
    shutil.rmtree(folder / "build/coverage/data", ignore_errors=True)  # nobody has to remove what was there before
    return measure(command, folder)


if __name__ == "__main__":
    main()
