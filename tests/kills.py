"""Kills a recorded program, and compares what it ran by its own account with what its journals and `collect` say.

Six threads import modules and run their functions. Each line of these functions writes down by itself that it runs,
and when, in one write to a file of its own: so it has begun, and its point has to be in a journal. Nothing of this is
asked of coverage.py. What is in no journal gives the true loss, from the oldest such line to the death of the process;
no number of `collect` may be less than that.

The program is killed at any moment, while one thread forks children that do the same; or after something has happened
to it that keeps the pulse from writing, see `KINDS`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coverage_hooks.collect.ledger import Row
from coverage_hooks.collect.pods.watchlog import Header, Testimony
from coverage_hooks.collect.retrieve.copies import Patience, retrieve
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.collect.runs import Choice
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Manifest, Mode, timestamp
from tests import journals
from tests.cluster.waiting import wait_until

ROOT = Path(__file__).parents[1]

#: How often the pulse beats, in seconds.
INTERVAL = 0.1

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
import ctypes, importlib, itertools, os, sys, threading, time
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
        if idle:
            break
        time.sleep(float(os.environ["PAUSE"]))
        run(f"m{{task * 7 % {MODULES}}}", task // {MODULES} % {FUNCTIONS}, task // {MODULES * FUNCTIONS} + task)
        if forks and task % 5 == 0:
            fork(next(children) * 6)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                pass

idle = False
for forks in [os.environ["FORKS"] == "1"] + [False] * {THREADS - 1}:
    threading.Thread(target=work, args=(forks,)).start()
for does in sys.stdin:
    exec(does)
"""

#: What happens to the program before it is killed, by what its main thread does then. A program that is stopped gets
#: SIGSTOP. The real calls hang in the kernel without the interpreter's lock, and so do those in their place here.
KINDS = {
    "busy": "",
    "idle": "idle = True",
    "hanging volume": "os.fsync = os.fdatasync = lambda _: threading.Event().wait()",
    "held lock": "ctypes.PyDLL(None).sleep(3600)",
    "stopped": "",
}

#: How long a thread of the program rests before each function: so there is something new to run for a quarter of a
#: minute, as only what runs for the first time can be lost.
_PAUSE = 0.05


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

    `lost` is what must not be: in interval mode only that counts which ran before the last snapshot, in the process
    that has a pulse. `seconds` passed from the oldest line that is in no journal to the death of the process, none if
    there is no such line. `watched` is the row of a collect that was told when it died, `unwatched` of one that was
    not.
    """

    mode: str
    is_complete: bool
    children: int
    steps: int
    lost: list[str]
    seconds: float
    watched: Row
    unwatched: Row

    @property
    def is_understated(self) -> bool:
        """Whether a collect stated a number that is less than the truth."""
        stated = (self.watched.lost_seconds, self.unwatched.lost_seconds)
        return any(seconds is not None and seconds < self.seconds for seconds in stated)


@dataclass(frozen=True, slots=True)
class _Step:
    module: str
    call: str
    at: int
    line: int

    @property
    def process(self) -> int:
        return int(self.call.partition(".")[0])


def kill(program: Path, volume: Path, seconds: float, *, kind: str = "", mode: Mode = "", beats: int = 0) -> Killed:
    """Kill *program*, with its children, *seconds* after it has run its first line; it records to *volume*.

    With *beats*, that is so many beats after its first line.

    With *kind*, one of `KINDS`, it has no children, and is killed *seconds* after that happened to it, some beats after
    its start. It records in the usual mode, or in *mode* `interval`.
    """
    volume.mkdir()
    told = volume.with_suffix(".oracle")
    began = datetime.now(UTC)
    with subprocess.Popen(
        [sys.executable, "-m", "program"],
        cwd=program,
        env=_environment(volume, told, kind, mode),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            while process.poll() is None and not (told.exists() and told.stat().st_size):
                time.sleep(0.001)
            if kind:
                _let_happen(process, volume, kind)
            if beats:
                enough = _beat(volume) + beats
                wait_until(lambda: process.poll() is not None or _beat(volume) >= enough, "it has beaten")
            time.sleep(seconds)  # not waiting for anything: a moment of time is the point
            ended = process.poll()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr
        errors = process.stderr.read()  # to its end, so all children have ended, too
        process.wait()
        died = datetime.now(UTC)
        assert ended is None, f"it ended by itself with {ended}: {errors}"
    return _compared(process.pid, volume, [*_steps(told)], _Watcher(began, died))


def _environment(volume: Path, told: Path, kind: str, mode: Mode) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment |= {"PYTHONPATH": str(ROOT), "ORACLE": str(told), "PYTHONWARNINGS": "ignore"}
    environment |= {"FORKS": "0", "PAUSE": str(_PAUSE)} if kind else {"FORKS": "1", "PAUSE": "0"}
    environment |= {f"COVERAGE_HOOKS_{name}": value for name, value in _SETTINGS.items()}
    environment["COVERAGE_HOOKS_DIR"] = str(volume)
    return environment | ({"COVERAGE_CORE": "ctrace"} if mode == "interval" else {})


_SETTINGS = {
    "ENABLED": "1",
    "INTERVAL": str(INTERVAL),
    "POD_NAME": "killed",
    "POD_NAMESPACE": "shop",
    "POD_UID": "uid",
    "POD_CONTAINER": "main",
}


def _let_happen(process: subprocess.Popen[str], volume: Path, kind: str) -> None:
    wait_until(lambda: process.poll() is not None or _beat(volume) >= 3, "it has beaten for some times")
    assert process.stdin
    if kind == "stopped":
        os.kill(process.pid, signal.SIGSTOP)
    process.stdin.write(f"{KINDS[kind]}\n")
    process.stdin.flush()


def _beat(volume: Path) -> int:
    return max((Manifest.parse(path.read_bytes()).beat for path in volume.glob(f"*/{layout.MANIFEST}")), default=-1)


@dataclass(frozen=True, slots=True)
class _Watcher:
    """Tells, as Kubernetes does, that a container ran from when it *began* until it *died*."""

    began: datetime
    died: datetime
    claim: str = "coverage"

    def testify(self, _: datetime) -> Testimony:
        header = Header(namespace="shop", server="", namespace_uid="", started_at=self.began)
        testimony = Testimony(header=header)
        began, died = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (self.began, self.died))  # which cuts them off
        running = {"running": {"startedAt": began}}
        ended = {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": began, "finishedAt": died}}
        testimony.take({"at": timestamp(self.began), "change": "ADDED", "pod": self._pod(running)})
        testimony.take({"at": timestamp(self.died), "confirmed": "pods", "version": "1"})
        testimony.take({"at": timestamp(self.died), "change": "MODIFIED", "pod": self._pod(ended)})
        testimony.take({"at": timestamp(datetime.now(UTC)), "confirmed": "pods", "version": "2"})
        return testimony

    def _pod(self, state: dict[str, Any]) -> dict[str, Any]:
        mount = {"name": "claim", "mountPath": "/claim"}
        claim = {"name": "claim", "persistentVolumeClaim": {"claimName": self.claim}}
        return {
            "metadata": {"name": "killed", "namespace": "shop", "uid": "uid"},
            "spec": {"volumes": [claim], "containers": [{"name": "main", "env": [], "volumeMounts": [mount]}]},
            "status": {"containerStatuses": [{"name": "main", "containerID": "c", "restartCount": 0, "state": state}]},
        }


def _collected(volume: Path, watcher: _Watcher | None) -> Row:
    output = volume.with_suffix(".collected")
    patience = Patience(minimum=0.1, intervals=1, poll=0.02)
    (row,) = retrieve(Directory(volume), output, Choice(), patience=patience, witness=watcher).rows
    shutil.rmtree(output)
    return row


def _steps(told: Path) -> Iterator[_Step]:
    for line in told.read_text().splitlines():
        module, call, at, number = line.split()
        yield _Step(module, call, int(at), int(number))


def _compared(process: int, volume: Path, steps: list[_Step], watcher: _Watcher) -> Killed:
    (folder,) = volume.iterdir()
    manifest = Manifest.parse((folder / layout.MANIFEST).read_bytes())
    process_ = manifest.process
    found = {Path(path).stem: points for path, points in journals.read(folder).points.items()}
    lines = {module: {line for point in points for line in point} for module, points in found.items()}
    missing = [step.at / 1e9 for step in steps if step.line not in lines.get(step.module, ())]
    if process_.journal != "immediate":
        last = datetime.fromisoformat(manifest.snapshot_at).timestamp() * 1e9
        steps = [step for step in steps if step.at < last and step.process == process]
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
        seconds=watcher.died.timestamp() - min(missing, default=watcher.died.timestamp()),
        watched=_collected(volume, watcher),
        unwatched=_collected(volume, None),
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
