"""Whether what is said to be lost by a kill is an upper bound: stated and true seconds, by what happened before.

::

    python -m tests.benchmarks.bounds
    python -m tests.benchmarks.bounds --seconds 10

See `tests.kills` for the program. `stated` is what a collect says that was told when the process died, `unwatched` one
that was not. It ends with an error if one of them is less than the truth.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from coverage_hooks.collect.reporting import summary
from coverage_hooks.volume.manifest import Mode
from tests import kills
from tests.unit.record.children import usual_mode

_ROW = "| {:14} | {:9} | {:>9} | {:>9} | {:>9} |\n"


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> int:
    """Kill once for each kind and mode, and return 1 if any number that is stated is less than the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long it goes on before the kill (default: 5)")
    parser.add_argument("--branch", action="store_true", help="measure branches, not only lines")
    chosen = parser.parse_args(arguments)
    modes: dict[Mode, None] = dict.fromkeys((usual_mode(branch=chosen.branch), "interval"))
    understated = 0
    out.write(f"Python {platform.python_version()}, killed {chosen.seconds:g} s after it happened\n\n")
    out.write(_ROW.format("before the kill", "mode", "stated", "unwatched", "true (s)"))
    out.write("|---|---|--:|--:|--:|\n")
    with tempfile.TemporaryDirectory(prefix="bounds-") as folder:
        program = Path(folder, "program")
        kills.make(program, branch=chosen.branch)
        for kind in kills.KINDS:
            for mode in modes:
                found = kills.kill(program, Path(folder, f"{kind}-{mode}"), chosen.seconds, kind=kind, mode=mode)
                said = summary.lost(found.watched), summary.lost(found.unwatched)
                out.write(_ROW.format(kind, found.mode, *said, f"{found.seconds:.2f}"))
                out.flush()
                understated += found.is_understated
    return 1 if understated else 0


if __name__ == "__main__":
    sys.exit(main())
