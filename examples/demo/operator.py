"""The operator as a process of its own. That it is recorded is said by its environment alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from examples.demo.steps import Failure
from tests.cluster import WITHIN, eventually
from tests.cluster.supervisor import killed_with_parent

ROOT = Path(__file__).parents[2]

# What is said to another operator, to another cluster, or to coverage.py itself is not meant for this one.
_NOT_INHERITED = ("COV", "KEYCLOAK_OPERATOR_", "KUBERNETES_SERVICE_")


@dataclass(frozen=True, slots=True)
class Operator:
    """The running process."""

    process: subprocess.Popen[bytes]

    async def watch(self) -> None:
        """Raise Failure when it ends by itself."""

        async def ended() -> bool:
            return self.process.poll() is not None

        await eventually(ended, "the operator has ended", within=float("inf"))
        raise Failure(f"the operator ended by itself, with exit code {self.process.returncode}")

    def stop(self) -> None:
        """Ask it to end, as Kubernetes does; raise Failure if it does not, or not in good order."""
        self.process.terminate()
        if code := self.process.wait(WITHIN):
            raise Failure(f"the operator ended with exit code {code} after SIGTERM")


@contextmanager
def running_operator(kubeconfig: Path, recordings: Path, run: str, log: Path) -> Iterator[Operator]:
    """Yield the operator with its recording switched on; whatever happens, it is gone at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "keycloak_operator"],
            cwd=ROOT,
            env=_environment(kubeconfig) | _recording(recordings, run),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=killed_with_parent(),  # noqa: PLW1509  # this process has one thread
        )
    with process:
        try:
            yield Operator(process)
        finally:
            process.kill()


def _recording(recordings: Path, run: str) -> dict[str, str]:
    """Return all that it takes to record an operator that calls `coverage_hooks.start`, and patience with its disk."""
    return {
        "COVERAGE_HOOKS_ENABLED": "1",
        "COVERAGE_HOOKS_DIR": str(recordings),
        "COVERAGE_HOOKS_RUN": run,
        "COVERAGE_HOOKS_RCFILE": str(ROOT / ".coveragerc"),
        "COVERAGE_HOOKS_EXIT_TIMEOUT": f"{WITHIN:g}",
    }


def _environment(kubeconfig: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return inherited | {
        "KUBECONFIG": str(kubeconfig),
        "KEYCLOAK_OPERATOR_RESYNC_SECONDS": "2",  # nobody waits five minutes to see drift put right
        "KEYCLOAK_OPERATOR_TIMEOUT_SECONDS": f"{WITHIN:g}",  # a Keycloak that has just started is slow at first
    }


async def while_running(operator: Operator, story: asyncio.Task[None]) -> None:
    """Wait for *story*, which is pointless when the operator has ended: Failure."""
    watch = asyncio.ensure_future(operator.watch())
    done, _ = await asyncio.wait({watch, story}, return_when=asyncio.FIRST_COMPLETED)
    await done.pop()
