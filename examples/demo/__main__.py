"""The demo: an operator that knows nothing of coverage is recorded while it works against a real API server.

::

    control plane ──> CRD ──> unit tests ──> operator ──> what users do ──> SIGTERM ──> collect

Everything it writes lies below ``build/demo``, and nothing that it starts outlives it. Ends with 0 only if every step
went well, and with the end of the operator's log otherwise.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from kubernetes_asyncio.client import ApiException

from examples.demo.operator import PROJECT, Failure, Operator, running_operator
from examples.demo.users import Users, install
from tests.cluster import ControlPlaneError, control_plane, locate
from tests.cluster.supervisor import tail

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "demo"
RECORDINGS = BUILD / "recordings"
UNIT = BUILD / "unit.coverage"
LOG = BUILD / "operator.log"


def main() -> int:
    """Take every step; say which one failed and why."""
    signal.signal(signal.SIGTERM, _terminated)
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    try:
        _demo(f"demo-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}")
    except KeyboardInterrupt:
        _say("\ninterrupted\n")
        return 130
    except (Failure, ControlPlaneError, ApiException, TimeoutError, OSError, subprocess.SubprocessError) as error:
        _say(f"\nfailed: {error}\n")
        if LOG.exists():
            _say(f"\nThe end of {LOG.relative_to(ROOT)}:\n{tail(LOG)}")
        return 1
    return 0


def _demo(run: str) -> None:
    locate(lambda line: _say(line + "\n"))  # builds, the first time
    with _step("run the unit tests of an example operator"):
        _unit_tests()
    with ExitStack() as stack:
        with _step("start a control plane: kube-apiserver and etcd"):
            plane = stack.enter_context(control_plane())
        with _step("install the operator's CRD"):
            asyncio.run(install(plane.kubeconfig))
        operator = stack.enter_context(running_operator(plane.kubeconfig, RECORDINGS, run, LOG))
        asyncio.run(_use(plane.kubeconfig, operator))
        with _step("stop the operator with SIGTERM"):
            operator.stop()
    _collect(run)


async def _use(kubeconfig: Path, operator: Operator) -> None:
    async with Users.connected(kubeconfig, operator.check) as users:
        with _step("start the operator, apply three banners: two are published, one is refused"):
            await users.apply()
        with _step("change a banner"):
            await users.change()
        with _step("delete a ConfigMap; the operator puts it back"):
            await users.delete_page()
        with _step("delete the banners; their ConfigMaps go too"):
            await users.delete()


def _unit_tests() -> None:
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environ = {**os.environ, "COVERAGE_FILE": str(UNIT)}
    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"the unit tests ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")


def _collect(run: str) -> None:
    options = {"--from": RECORDINGS, "--run": run, "--expect": 1, "--unit": UNIT, "--output": BUILD / "coverage"}
    arguments = [str(part) for option in options.items() for part in option]
    _say("\ncoverage-hooks collect\n")
    done = subprocess.run([sys.executable, "-m", "coverage_hooks", "collect", *arguments], cwd=PROJECT, check=False)
    if done.returncode:
        raise Failure(f"coverage-hooks collect ended with exit code {done.returncode}")


@contextmanager
def _step(what: str) -> Iterator[None]:
    start = time.monotonic()
    _say(f"{what} ... ")
    yield
    _say(f"{time.monotonic() - start:.1f} s\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
