"""What a collect leaves behind that is ended by a signal: ends many at random moments, and looks.

::

    python -m tests.benchmarks.leftovers 50
    python -m tests.benchmarks.leftovers 200 SIGKILL

A collect of so many recordings that processes of their own look at them is begun and ended; afterwards no process of it
may be there, nor its output be open, nor a temporary file be left: after SIGKILL, which nothing can answer, after the
next collect. Each time the next collect has to come to the same totals. It ends with an error if anything is left.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from coverage_hooks.collect import outputs
from coverage_hooks.collect.data import verify
from coverage_hooks.collect.outputs import SUMMARY_JSON
from tests import leftovers
from tests.leftovers import Command
from tests.unit.collect.building import LINES, STARTED, make_project, record

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
RECORDINGS = verify.MANY + 44
OUTPUT = "build/coverage"

#: Seconds after which a process that is still there counts as left.
_WITHIN = 60.0


@dataclass
class Place:
    """A checkout with recordings of it, and what an undisturbed collect makes of them."""

    base: Path
    took: float = 0.0
    files: set[str] = field(default_factory=set)
    totals: object = None

    @classmethod
    def make(cls, base: Path) -> Place:
        """Record and collect below *base*."""
        made = cls(base)
        make_project(made.checkout)
        for number in range(RECORDINGS):
            lines = {**LINES, "shop/cart.py": {1, 2, 3, 4, 7} - {number % 4}}
            record(base / "volume", measured=lines, started_at=STARTED + timedelta(seconds=number))
        with made.collect() as command:
            begun = time.monotonic()
            said = command.said()
            made.took = time.monotonic() - begun
            if command.process.returncode:
                raise SystemExit(f"collecting ended with {command.process.returncode}:\n{said}")
        made.files, made.totals = leftovers.listing(made.output), made.found()
        return made

    @property
    def checkout(self) -> Path:
        """Where collects run."""
        return self.base / "checkout"

    @property
    def output(self) -> Path:
        """What they write."""
        return self.checkout / OUTPUT

    def collect(self) -> AbstractContextManager[Command]:
        """Start one."""
        return leftovers.started(
            "collect", "--from", self.base / "volume", cwd=self.checkout, temporary=self.base / "temporary"
        )

    def found(self) -> object:
        """Return the totals of the last collect."""
        return json.loads((self.output / SUMMARY_JSON).read_bytes())["totals"]


def end(place: Place, number: signal.Signals, seconds: float, codes: Counter[int]) -> Iterator[str]:
    """End a collect by *number* after *seconds*, and yield what is wrong afterwards; count its exit code in *codes*."""
    shutil.rmtree(place.output / outputs.RAW)
    with place.collect() as command:
        time.sleep(seconds)
        command.end(number)
        yield from _left(command, number)
        codes[command.process.returncode] += 1
        if number != signal.SIGKILL:
            yield from _written(place, command)
    with place.collect() as command:
        said = command.said()
        if command.process.returncode or place.found() != place.totals:
            yield f"the next collect ended with {command.process.returncode} and {place.found()}: {said}"
        yield from _written(place, command)


def _left(command: Command, number: signal.Signals) -> Iterator[str]:
    try:
        command.process.wait(_WITHIN)
        command.wait_until_gone(_WITHIN)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is wrong
        yield f"processes: {error}"
        return
    said = command.said()  # to its end: nobody has it open
    code = command.process.returncode
    # Before it has begun and after it is done, a signal ends Python itself, and it may come too late.
    if code not in ({-number, 0} if number == signal.SIGKILL else {128 + number, -number, 0}):
        yield f"it ended with {code}: {said[-2000:]}"
    if "Traceback" in said and "KeyboardInterrupt" not in said:
        yield f"it said {said[-2000:]}"


def _written(place: Place, command: Command) -> Iterator[str]:
    if more := sorted(leftovers.listing(place.output) - place.files):
        yield f"files: {more}"
    if more := command.temporaries():
        yield f"temporary: {more}"


def _cleaned(place: Place) -> None:
    """Remove what was found, so that it is found once."""
    for name in leftovers.listing(place.output) - place.files:
        path = place.output / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.rmtree(place.base / "temporary")


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> int:
    """End as many as *arguments* say, and return 1 if anything was left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=int, nargs="?", default=50, help="how many to end by each signal (default: 50)")
    parser.add_argument("signals", nargs="*", metavar="SIGNAL", help="which signals (default: all four)")
    parser.add_argument("--seed", type=int, default=7, help="of the moments (default: 7)")
    chosen = parser.parse_args(arguments)
    chance, wrong = random.Random(chosen.seed), Counter[str]()
    codes: defaultdict[int, Counter[int]] = defaultdict(Counter)
    numbers = [signal.Signals[name] for name in chosen.signals] or list(SIGNALS)
    with tempfile.TemporaryDirectory(prefix="leftovers-") as folder:
        place = Place.make(Path(folder))
        out.write(f"{RECORDINGS} recordings, collected within {place.took:.1f} s\n")
        for turn in range(chosen.times):
            for number in numbers:
                seconds = chance.uniform(0, place.took)
                found = list(end(place, number, seconds, codes[number]))
                _cleaned(place)
                wrong[number.name] += bool(found)
                out.writelines(f"{number.name} {turn} after {seconds:.3f} s: {each}\n" for each in found)
                out.flush()
    told = f"of {chosen.times} collects left something, or came to something else when repeated; exit codes"
    out.writelines(f"{number.name}: {wrong[number.name]} {told} {dict(codes[number])}\n" for number in numbers)
    return 1 if wrong.total() else 0


if __name__ == "__main__":
    sys.exit(main())
