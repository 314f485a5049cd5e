"""The example operator as a process of its own, recorded by two variables and one module on Kopf's command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.supervisor import killed_with_parent

PROJECT = Path(__file__).parents[1] / "another-operator"
STOPS_WITHIN = 20.0

_COMMAND = "kopf run --standalone -A -m coverage_hooks.kopf -m another_operator.handlers"


class Failure(Exception):
    """A step did not do what it should."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The running process."""

    process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise Failure if the operator has ended."""
        if (code := self.process.poll()) is not None:
            raise Failure(f"the operator ended with exit code {code}")

    def stop(self) -> None:
        """Ask it to end, as Kubernetes does; raise Failure if it does not, or not in good order."""
        self.check()
        self.process.terminate()
        if code := self.process.wait(STOPS_WITHIN):
            raise Failure(f"the operator ended with exit code {code} after SIGTERM")


@contextmanager
def running_operator(kubeconfig: Path, recordings: Path, run: str, log: Path) -> Iterator[Operator]:
    """Yield the operator with its recording switched on; whatever happens, it is gone at the end."""
    environ = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": str(PROJECT),
        "COVERAGE_HOOKS_ENABLED": "1",
        "COVERAGE_HOOKS_DIR": str(recordings),
        "COVERAGE_HOOKS_RUN": run,
        "COVERAGE_HOOKS_RCFILE": str(PROJECT / ".coveragerc"),
    }
    command = [sys.executable, "-m", *_COMMAND.split()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environ,
            stdout=output,
            stderr=output,
            preexec_fn=killed_with_parent(),  # noqa: PLW1509  # this process has one thread
        )
    with process:
        try:
            yield Operator(process)
        finally:
            process.kill()
