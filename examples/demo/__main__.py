"""The demo: the Keycloak operator is recorded while it works for people on a real API server and a real Keycloak.

::

    Keycloak ─┐
    control plane ──> CRDs ──> unit tests ──> operator ──> what people do ──> SIGTERM ──> collect

Everything it writes lies below ``build/demo``, or below the new folder that ``--output`` names, and nothing that it
starts outlives it. Ends with 0 only if every step went well, and with the end of the operator's log otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import aiohttp
from kubernetes_asyncio.client import ApiException

from examples.demo.measuring import collect, unit_tests
from examples.demo.operator import ROOT, Operator, running_operator, while_running
from examples.demo.steps import Failure, say_line, step, stop_if_asked, stop_on_signals
from examples.demo.story import Story, install
from tests.cluster import ControlPlaneError, Keycloak, control_plane, keycloak, locate, locate_keycloak
from tests.cluster.supervisor import tail

_EXPECTED = (
    Failure,
    ControlPlaneError,
    ApiException,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
    subprocess.SubprocessError,
)


def main() -> int:
    """Take every step; say which one failed and why."""
    stop_on_signals()
    _pass_by_proxies()
    folder = _folder()
    start = time.monotonic()
    try:
        _demo(folder, f"demo-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}")
    except SystemExit:
        say_line("\nstopped")
        raise
    except _EXPECTED as error:
        stop_if_asked()  # Ctrl-C in a terminal stops the processes of a step, too
        _explain(error, folder / "operator.log")
        return 1
    say_line(f"\nAll of it took {time.monotonic() - start:.0f} s.")
    return 0


def _folder() -> Path:
    """Return the folder to write to, which is new."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo")
    parser.add_argument("--output", type=Path, help="a folder that does not exist yet; default: build/demo, made anew")
    folder: Path = parser.parse_args().output or ROOT / "build" / "demo"
    if folder == ROOT / "build" / "demo":
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder.resolve()


def _pass_by_proxies() -> None:
    """Reach what is started here directly, from every process; what has to be downloaded may need a proxy."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    passed_by = f"{known},127.0.0.1".lstrip(",")
    os.environ.update(NO_PROXY=passed_by, no_proxy=passed_by)


def _demo(folder: Path, run: str) -> None:
    recordings, unit = folder / "recordings", folder / "unit.coverage"
    for build in (locate, locate_keycloak):
        build(say_line)  # the first time
    with ExitStack() as stack:
        with step("start Keycloak, and let it get ready meanwhile"):
            server = stack.enter_context(keycloak(wait=False))
        with step("start a control plane: kube-apiserver and etcd"):
            plane = stack.enter_context(control_plane(_say_nothing))
        with step("install the operator's custom resource definitions"):
            asyncio.run(install(plane.kubeconfig))
        with step("run the operator's unit tests") as seen:
            seen.append(unit_tests(unit))
        with step("wait until Keycloak is ready"):
            server.wait_until_ready()
        operator = stack.enter_context(running_operator(plane.kubeconfig, recordings, run, folder / "operator.log"))
        asyncio.run(_use(operator, plane.kubeconfig, server))
        with step("stop the operator with SIGTERM"):
            operator.stop()
    collect(recordings, run, unit, folder / "coverage")


def _say_nothing(_line: str) -> None:
    """Which programs it is was said before the first step."""


async def _use(operator: Operator, kubeconfig: Path, server: Keycloak) -> None:
    async with Story.about(kubeconfig, server) as story:
        await while_running(operator, asyncio.ensure_future(story.run()))


def _explain(error: BaseException, log: Path) -> None:
    say_line("\n".join(["\nfailed:", str(error) or type(error).__name__, *getattr(error, "__notes__", [])]))
    if log.exists():
        say_line(f"\nThe end of {log}:\n{tail(log)}")


if __name__ == "__main__":
    sys.exit(main())
