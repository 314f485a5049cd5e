"""Kills a recorded program at any moment, and compares what it ran by its own account with what its journals say.

Six threads import modules and run their functions, one of them forks children that do the same. Each line of these
functions writes down by itself that it runs, in one write to a file of its own: so it has begun, and its point has to
be in a journal. Nothing of this is asked of coverage.py.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Manifest
from tests import journals

ROOT = Path(__file__).parents[1]

THREADS, MODULES, CHILDRENS, FUNCTIONS = 6, 240, 60, 8

#: One function; each line that says so runs with a number of its own.
_FUNCTION = """\
def f{number}(ran, x):
    ran({line[1]})
    if ran({line[2]}, x % 2):
        ran({line[3]})
    else:
        ran({line[5]})
    for i in ran({line[6]}, range(3)):
        ran({line[7]})
        if ran({line[8]}, i == x % 3):
            ran({line[9]})
    try:
        ran({line[11]})
        if ran({line[12]}, x % 2):
            raise ValueError
    except ValueError:
        ran({line[15]})
    return ran({line[16]})
ran({line[17]})
"""

#: Which line of a function may come right after a branch, as numbers of the lines above.
_BRANCHES = {(2, 3), (2, 5), (6, 7), (8, 9)}

#: A record never lies on two pages of memory, so a kill cannot tear it.
_ORACLE = """\
import itertools, os, time
_file = os.open(os.environ["ORACLE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
_calls = itertools.count()

def calling(module):
    call = next(_calls)
    def ran(line, value=None, write=os.write, file=_file):
        told = f"{module} {os.getpid()}.{call} {time.time_ns()} {line}"
        write(file, told.encode().ljust(63) + b"\\n")
        return value
    return ran
"""

_MAIN = f"""\
import coverage_hooks; coverage_hooks.start()
import importlib, itertools, os, threading
import oracle

tasks = itertools.count()
children = itertools.count()

def run(module, number, x):
    ran = oracle.calling(module)
    getattr(importlib.import_module("program." + module), f"f{{number}}")(ran, x)

def fork(first):
    if os.fork() == 0:
        for task in range(first, first + 6):
            run(f"c{{task % {CHILDRENS}}}", task // {CHILDRENS} % {FUNCTIONS}, task)
        os._exit(0)

def work(forks):
    for task in tasks:
        run(f"m{{task * 7 % {MODULES}}}", task // {MODULES} % {FUNCTIONS}, task // {MODULES * FUNCTIONS} + task)
        if forks and task % 5 == 0:
            fork(next(children) * 6)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                pass

for forks in [True] + [False] * {THREADS - 1}:
    threading.Thread(target=work, args=(forks,)).start()
"""


def make(folder: Path, *, branch: bool) -> None:
    """Write the program to *folder*; any number of processes may run it at the same time."""
    package = folder / "program"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_MAIN)
    (folder / "oracle.py").write_text(_ORACLE)
    (folder / "kopf.py").write_text("raise ImportError('hidden')\n")
    (folder / ".coveragerc").write_text(f"[run]\nbranch = {branch}\nsource = program\n")
    for name in (*(f"m{number}" for number in range(MODULES)), *(f"c{number}" for number in range(CHILDRENS))):
        text = f"import oracle\nran = oracle.calling({name!r})\nran(3)\n"
        for number in range(FUNCTIONS):
            text += _FUNCTION.format(number=number, line=range(_first(number), _first(number) + 18))
        (package / f"{name}.py").write_text(text)


def _first(function: int) -> int:
    """Return the line at which a function begins."""
    return 4 + 18 * function


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What is known of a process that was killed: how it recorded, what it ran, and what of this is in no journal.

    In interval mode only that counts which ran before the last snapshot, in the process that has a pulse.
    """

    mode: str
    is_complete: bool
    children: int
    steps: int
    lost: list[str]


@dataclass(frozen=True, slots=True)
class _Step:
    module: str
    call: str
    at: int
    line: int

    @property
    def process(self) -> int:
        return int(self.call.partition(".")[0])


def kill(program: Path, volume: Path, seconds: float) -> Killed:
    """Kill *program*, with its children, *seconds* after it has run its first line; it records to *volume*."""
    volume.mkdir()
    told = volume.with_suffix(".oracle")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment |= {"PYTHONPATH": str(ROOT), "ORACLE": str(told), "PYTHONWARNINGS": "ignore"}
    environment |= {f"COVERAGE_HOOKS_{name}": value for name, value in _SETTINGS.items()}
    environment["COVERAGE_HOOKS_DIR"] = str(volume)
    with subprocess.Popen(
        [sys.executable, "-m", "program"],
        cwd=program,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while process.poll() is None and not (told.exists() and told.stat().st_size):
            time.sleep(0.001)
        time.sleep(seconds)
        ended = process.poll()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr
        errors = process.stderr.read()  # to its end, so all children have ended, too
        assert ended is None, f"it ended by itself with {ended}: {errors}"
    return _compared(process.pid, volume, [*_steps(told)])


_SETTINGS = {"ENABLED": "1", "INTERVAL": "0.1"}


def _steps(told: Path) -> Iterator[_Step]:
    for line in told.read_text().splitlines():
        module, call, at, number = line.split()
        yield _Step(module, call, int(at), int(number))


def _compared(process: int, volume: Path, steps: list[_Step]) -> Killed:
    (folder,) = volume.iterdir()
    manifest = Manifest.parse((folder / layout.MANIFEST).read_bytes())
    process_ = manifest.process
    if process_.journal != "immediate":
        last = datetime.fromisoformat(manifest.snapshot_at).timestamp() * 1e9
        steps = [step for step in steps if step.at < last and step.process == process]
    found = {Path(path).stem: points for path, points in journals.read(folder).points.items()}
    lines = {module: {line for point in points for line in point} for module, points in found.items()}
    lost = {f"{step.module}:{step.line}" for step in steps if step.line not in lines.get(step.module, ())}
    for module, line in _definitions(steps):
        if line not in lines.get(module, ()):
            lost.add(f"{module}:{line}")
    if process_.branch:
        lost |= {
            f"{module}:{before}->{after}"
            for module, before, after in _branches(steps)
            if (before, after) not in found.get(module, ())
        }
    return Killed(
        mode=process_.journal,
        is_complete=(folder / layout.COMPLETE).exists(),
        children=len({step.process for step in steps} - {process}),
        steps=len(steps),
        lost=sorted(lost),
    )


def _definitions(steps: list[_Step]) -> set[tuple[str, int]]:
    """Return the lines that define functions and have run, as one behind them has."""
    behind = {(step.module, step.line) for step in steps if step.line > 3 and (step.line - _first(0)) % 18 == 17}
    return {(module, line - 17) for module, line in behind}


def _branches(steps: list[_Step]) -> set[tuple[str, int, int]]:
    """Return the branches that were taken, as the line behind each has begun."""
    calls: dict[str, list[_Step]] = {}
    for step in steps:
        calls.setdefault(step.call, []).append(step)
    return {
        (one.module, one.line, other.line)
        for call in calls.values()
        for one, other in itertools.pairwise(call)
        if ((one.line - _first(0)) % 18, (other.line - _first(0)) % 18) in _BRANCHES and one.line < other.line
    }


def moments(times: int, longest: float = 1.0) -> Iterator[float]:
    """Yield after how many seconds to kill, by chance, and more often soon, when most is imported."""
    chosen = random.Random(7)
    for _ in range(times):
        yield longest * chosen.random() ** 2
