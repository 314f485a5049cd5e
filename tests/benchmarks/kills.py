"""How much a kill costs: kills a busy program at many moments, and counts what it ran that is in no journal.

::

    python -m tests.benchmarks.kills 200
    python -m tests.benchmarks.kills 100 --branch

See `tests.kills` for the program. It ends with an error if anything is lost.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tests import kills


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> int:
    """Kill as often as *arguments* say, and return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=int, nargs="?", default=200, help="how often to kill (default: 200)")
    parser.add_argument("--branch", action="store_true", help="measure branches, not only lines")
    parser.add_argument("--longest", type=float, default=1.0, help="seconds that it runs at most (default: 1)")
    chosen = parser.parse_args(arguments)
    found: list[kills.Killed] = []
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        program = Path(folder, "program")
        kills.make(program, branch=chosen.branch)
        for number, seconds in enumerate(kills.moments(chosen.times, chosen.longest)):
            volume = Path(folder, f"volume-{number}")
            found.append(kills.kill(program, volume, seconds))
            if found[-1].lost:
                out.write(f"kill {number} after {seconds:.3f} s lost {found[-1].lost[:20]}\n")
            shutil.rmtree(volume)
            volume.with_suffix(".oracle").unlink()
    modes = Counter(f"{each.mode or 'not measured'}{', complete' if each.is_complete else ''}" for each in found)
    measured = "branches" if chosen.branch else "lines"
    out.write(f"Python {platform.python_version()}, {measured}: {len(found)} kills ({dict(modes)}), ")
    out.write(f"{sum(each.steps for each in found)} steps, {sum(each.children for each in found)} forked children, ")
    lost = sum(len(each.lost) for each in found)
    out.write(f"{lost} lost\n")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
