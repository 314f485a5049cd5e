"""What recording costs an operator: without coverage, with plain coverage.py, and with ours, in turn in one run.

::

    python -m tests.benchmarks.recording 5
    python -m tests.benchmarks.recording 5 --branch

Each is a process of its own, which measures its work and not its start: `imports` runs 1,000 modules of 20 lines the
first time, `loop` runs the same lines again and again, `load` does what operators do: tasks of asyncio, threads of an
executor, JSON. The ratio of a round is of processes that ran right after one another. Then an event loop that is to
wake up each millisecond says how much later it did, while it imports modules, one after another, and lets the loop run
in between.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).parents[2]

MODES = ("off", "coverage.py", "ours")
WORK = ("imports", "loop", "load")
STALLS = (100, 1000, 5000)

#: Twenty lines, of which all but one run.
_MODULE = """\
NUMBER = {number}
FIRST = NUMBER + 1
SECOND = FIRST * 2
NAMES = ["a", "b"]
TABLE = {{name: NUMBER for name in NAMES}}
if NUMBER % 2:
    KIND = "odd"
else:
    KIND = "even"
TOTAL = 0
for value in (1, 2):
    TOTAL += value
def work(value):
    return value + NUMBER
class Thing:
    size = NUMBER
    def grow(self):
        self.size += 1
RESULT = work(TOTAL)
Thing().grow()
"""

_LOOP = """\
def run(times):
    total = 0
    for number in range(times):
        if number % 3:
            total += number
        else:
            total -= step(number)
    return total

def step(number):
    if number % 2:
        return number // 2
    return number
"""

_LOAD = """\
import asyncio, json

def patched(text):
    found = json.loads(text)
    changed = {}
    for key, value in found["spec"].items():
        if isinstance(value, int):
            changed[key] = value + 1
        elif value:
            changed[key] = value.upper()
        else:
            changed[key] = None
    found["status"] = {"conditions": [{"type": "Ready", "status": str(bool(changed))}], "observed": changed}
    return json.dumps(found, sort_keys=True)

async def reconcile(name, rounds):
    loop = asyncio.get_running_loop()
    text = json.dumps({"name": name, "spec": {f"key{number}": number if number % 3 else "x" for number in range(40)}})
    for number in range(rounds):
        if number % 10 == 0:
            text = await loop.run_in_executor(None, patched, text)
        else:
            text = patched(text)
        await asyncio.sleep(0)
    return len(text)

async def main(tasks, rounds):
    return sum(await asyncio.gather(*[reconcile(f"object-{number}", rounds) for number in range(tasks)]))
"""

_RUN = """\
import asyncio, importlib, json, sys, time
work, mode, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
if mode == "ours":
    import coverage_hooks
    coverage_hooks.start()
elif mode == "coverage.py":
    import coverage
    measurement = coverage.Coverage(data_file=None)
    measurement.start()

async def stall():
    late = []
    ended = False
    async def tick():
        while not ended:
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - begun - 0.001) * 1000)
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.1)
    late.clear()
    for number in range(count):
        importlib.import_module(f"program.m{number}")
        await asyncio.sleep(0)
    await asyncio.sleep(1.5)
    ended = True
    await ticking
    late.sort()
    return {"p50": late[len(late) // 2], "p99": late[len(late) * 99 // 100], "max": late[-1]}

if work == "stall":
    print(json.dumps(asyncio.run(stall())))
    sys.exit()
if work == "loop":
    from program import loop
    loop.run(1000)
    run = lambda: loop.run(count)
elif work == "load":
    from program import load
    asyncio.run(load.main(5, 20))
    run = lambda: asyncio.run(load.main(50, count))
else:
    def run():
        for number in range(count):
            importlib.import_module(f"program.m{number}")
import gc
gc.collect()
cpu, clock = time.process_time(), time.perf_counter()
run()
print(json.dumps({"cpu": time.process_time() - cpu, "clock": time.perf_counter() - clock}))
"""

_COUNTS = {"imports": 1000, "loop": 3_000_000, "load": 200}


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> None:
    """Measure as often as *arguments* say, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=5, help="how often each is run, in turn (default: 5)")
    parser.add_argument("--branch", action="store_true", help="measure branches, not only lines")
    parser.add_argument("--work", choices=(*WORK, "stall"), action="append", help="only this (default: all)")
    chosen = parser.parse_args(arguments)
    measured = "branches" if chosen.branch else "lines"
    out.write(f"Python {platform.python_version()}, {measured}, load {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory(prefix="recording-") as folder:
        program = _Program(Path(folder), branch=chosen.branch)
        for work in chosen.work or (*WORK, "stall"):
            lines = _stalls(program, chosen.rounds) if work == "stall" else _ratios(program, work, chosen.rounds)
            for line in lines:
                out.write(f"{line}\n")
                out.flush()


class _Program:
    """What is run, in *folder*."""

    def __init__(self, folder: Path, *, branch: bool) -> None:
        self._folder = folder
        package = folder / "program"
        package.mkdir()
        (package / "__init__.py").touch()
        for number in range(max(STALLS)):
            (package / f"m{number}.py").write_text(_MODULE.format(number=number))
        (package / "loop.py").write_text(_LOOP)
        (package / "load.py").write_text(_LOAD)
        (folder / "run.py").write_text(_RUN)
        (folder / "kopf.py").write_text("raise ImportError('hidden')\n")
        (folder / ".coveragerc").write_text(f"[run]\nbranch = {branch}\nsource = program\n")
        self.run("imports", "off", max(STALLS))  # so that all are compiled

    def run(self, work: str, mode: str, count: int) -> dict[str, float]:
        """Do *work* *count* times in *mode*, and return what it took."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
        environment |= {"COVERAGE_HOOKS_ENABLED": "1", "COVERAGE_HOOKS_DIR": str(self._folder / "volume")}
        command = [sys.executable, "run.py", work, mode, str(count)]
        done = subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        told: dict[str, float] = json.loads(done.stdout)
        return told


def _ratios(program: _Program, work: str, rounds: int) -> Iterator[str]:
    found: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    for number in range(rounds):
        for mode in MODES if number % 2 else reversed(MODES):  # so that none always runs after the same one
            found[mode].append(program.run(work, mode, _COUNTS[work]))
    for of in ("cpu", "clock"):
        medians = {mode: statistics.median(each[of] for each in found[mode]) for mode in MODES}
        told = ", ".join(f"{mode} {medians[mode]:.3f}" for mode in MODES)
        yield f"{work}, seconds of {of}: {told}; ours to coverage.py {_ratio(found, of, 'coverage.py')}; to off " + (
            _ratio(found, of, "off")
        )


def _ratio(found: dict[str, list[dict[str, float]]], of: str, to: str) -> str:
    ratios = [ours[of] / other[of] for ours, other in zip(found["ours"], found[to], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _stalls(program: _Program, rounds: int) -> Iterator[str]:
    for count in STALLS:
        found: dict[str, list[Any]] = {mode: [] for mode in MODES}
        for _ in range(rounds):
            for mode in MODES:
                found[mode].append(program.run("stall", mode, count))
        for mode in MODES:
            told = ", ".join(
                f"{of} {statistics.median(each[of] for each in found[mode]):.2f}" for of in ("p50", "p99", "max")
            )
            yield f"stall while {count} files are imported, {mode}: {told} ms"


if __name__ == "__main__":
    main()
