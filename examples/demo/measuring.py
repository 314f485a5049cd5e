"""The two ends of the demo, which measure: the unit tests alone, and everything together."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.demo.operator import ROOT
from examples.demo.steps import Failure, say_line
from tests.cluster.supervisor import killed_with_parent

_COVERAGE = ("-m", "coverage", "run", "--rcfile=.coveragerc")
_TESTS = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/keycloak_operator")


def unit_tests(data: Path) -> str:
    """Run the operator's unit tests, with their coverage in *data*; return the line that sums them up."""
    with _python(*_COVERAGE, f"--data-file={data}", *_TESTS, stdout=subprocess.PIPE) as process:
        said, _ = process.communicate()
    if process.returncode:
        raise Failure(f"the unit tests ended with exit code {process.returncode}:\n{said}")
    return said.splitlines()[-1]


def collect(recordings: Path, run: str, unit: Path, output: Path) -> None:
    """Make a report of the one recording of *run* and the unit tests' data, and show it."""
    options = {"--from": recordings, "--run": run, "--expect": 1, "--unit": unit, "--output": output}
    arguments = [str(part) for option in options.items() for part in option]
    say_line(f"\n$ {shlex.join(['coverage-hooks', 'collect', *arguments])}\n".replace(f"{ROOT}/", ""))
    with _python("-m", "coverage_hooks", "collect", *arguments, stdout=None) as process:
        code = process.wait()
    if code:
        raise Failure(f"coverage-hooks collect ended with exit code {code}")


@contextmanager
def _python(*arguments: str, stdout: int | None) -> Iterator[subprocess.Popen[str]]:
    """Yield ``python`` with *arguments*, run from the root of the checkout; at the end it is gone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=inherited,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=None if stdout is None else subprocess.STDOUT,
        text=True,
        preexec_fn=killed_with_parent(),  # noqa: PLW1509  # this process has one thread
    ) as process:
        try:
            yield process
        finally:
            process.kill()
