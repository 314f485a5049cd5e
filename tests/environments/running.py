"""Running the tests in an environment, and what comes of it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.cluster import binaries
from tests.cluster.errors import ControlPlaneError
from tests.cluster.images.made import Say
from tests.cluster.supervisor import killed_with_parent, tail
from tests.environments.environment import Environment, Facts, environment
from tests.environments.interpreters import interpreter
from tests.environments.packages import CHECKOUT, Choice, unlike_lock

LOGS = CHECKOUT / "build/environments"

#: Recording, killing, reading, mapping, combining, and the commands: what depends on the Python and the packages.
_TESTS = ["tests/unit/record", "tests/unit/volume", "tests/unit/collect"]
_TESTS += [f"tests/unit/test_{name}.py" for name in ("settings", "cli", "doctor", "pytest_plugin")]

#: Whole operators, beside plain coverage.py: on the newest Python for which all that they are written with is there.
_OPERATORS, _OPERATED = ["tests/operators/test_shapes.py"], ("3.14", "newest")

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the tests on a Python with a choice of packages; red, if there is a *problem*."""

    choice: Choice
    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    problem: str = ""


def outcome(version: str, choice: Choice, workers: int, say: Say) -> Outcome:
    """Run the tests on Python *version* with *choice* of packages, by *workers* processes."""
    begun, name = time.monotonic(), f"Python {version}, {choice}"
    try:
        found = interpreter(version, say)
        say(f"{name}: installing for {found.program}{f' of {found.root}' if found.root else ''}")
        operated = (version, choice) == _OPERATED
        with environment(found, choice, programs=binaries.locate(say) if operated else None) as (made, facts):
            say(f"{name}: testing on {facts.python}")
            tests = [*_TESTS, *(_OPERATORS if operated else [])]
            passed, failed, problem = _tested(made, f"{choice}-{version}", tests, workers)
        if problem:
            problem = f"{_described(facts, choice)}: {problem}"
        say(f"{name}: {passed} passed, {failed} failed")
        return Outcome(choice, facts.python, facts.packages, passed, failed, time.monotonic() - begun, problem)
    except (ControlPlaneError, OSError) as error:
        say(f"{name}: not tested")
        return Outcome(choice, version, seconds=time.monotonic() - begun, problem=f"{name}: {error}")


def _tested(made: Environment, name: str, tests: list[str], workers: int) -> tuple[int, int, str]:
    """Return how many of *tests* passed and failed, and what is wrong, if anything is; keep the output under *name*."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log, results, written = LOGS / f"{name}.log", LOGS / f"{name}.xml", made.folder / "results.xml"
    options = [f"--numprocesses={workers}", "--dist=worksteal", f"--junit-xml={made.inside / written.name}"]
    _adopt_orphans()
    with log.open("wb") as output:
        code = subprocess.run(
            made.command("-m", "pytest", *options, *tests),
            cwd=made.copy,
            env=made.environ(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            preexec_fn=killed_with_parent(),  # this process has one thread
        ).returncode
    _end_orphans()
    results.unlink(missing_ok=True)
    if written.exists():
        shutil.move(written, results)
    passed, failed = counted(results)
    if code or failed or not passed:
        return passed, failed, f"pytest ended with exit code {code}; the end of {log} is:\n{tail(log)}"
    return passed, failed, ""


def _adopt_orphans() -> None:
    """Become the parent of what a test leaves running, which would go on writing to the folder."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _end_orphans() -> None:
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for child in map(int, children):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def counted(results: Path) -> tuple[int, int]:
    """Return how many tests passed and did not: no test is skipped here, so one that was is none that passed."""
    if not results.exists():
        return 0, 0
    suites = ET.parse(results).getroot().iter("testsuite")  # our own pytest wrote it
    counts = [
        {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")} for suite in suites
    ]
    failed = sum(each["failures"] + each["errors"] + each["skipped"] for each in counts)
    return sum(each["tests"] for each in counts) - failed, failed


def _described(facts: Facts, choice: Choice) -> str:
    """Name the Python, and what differs from the versions with which everything else is tested."""
    differing = unlike_lock(facts.packages, (CHECKOUT / "requirements.lock").read_text())
    return f"Python {facts.python}, {choice}, with {', '.join(differing) or 'the versions of requirements.lock'}"
