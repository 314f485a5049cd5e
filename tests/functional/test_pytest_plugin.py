"""Somebody's integration tests: a session of pytest that starts a real operator, or watches a real cluster."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.pods.objects import Pod
from coverage_hooks.collect.pods.watchlog import Seen
from tests.cluster import WITHIN, ControlPlane
from tests.functional.operating import Operator

ROOT = Path(__file__).parents[2]

#: The operator is a child of the session, and told nothing of the run: that is in the environment.
CONFTEST = """
    import asyncio, os, signal, subprocess, sys
    from pathlib import Path

    import pytest
    from kubernetes_asyncio.config import new_client_from_config

    from tests.functional.operating import Running

    @pytest.fixture(scope="session")
    def operator(tmp_path_factory):
        modules = ["-m", "coverage_hooks.kopf", "-m", "under_test.handlers"]
        command = [sys.executable, "-m", "kopf", "run", *modules, "--standalone", "-n", os.environ["NAMESPACE"]]
        log = tmp_path_factory.mktemp("operator") / "log"
        settings = {"ENABLED": "1", "DIR": "../volume", "EXIT_TIMEOUT": "300"}
        recorded = {f"COVERAGE_HOOKS_{name}": value for name, value in settings.items()}
        with log.open("wb") as output:
            process = subprocess.Popen(command, env={**os.environ, **recorded}, stdout=output, stderr=output)
        with Running(process, log) as running:
            running.wait_for("SAID startup")
            yield running
            running.signal(signal.SIGTERM)
            assert running.ended() == 0

    @pytest.fixture
    def ask():
        def call(act):
            async def asked():
                async with await new_client_from_config(os.environ["KUBECONFIG"]) as api:
                    await act(api)
            asyncio.run(asked())
        return call
"""

HANDLES = """
    import os
    from tests.functional.operating import make_config_map

    def test_it_handles(operator, ask):
        ask(lambda api: make_config_map(api, os.environ["NAMESPACE"], "one"))
        operator.wait_for("SAID created one")
        assert os.environ.get("FAILING") is None
"""

WATCHES = """
    import os
    from kubernetes_asyncio.client import CoreV1Api

    def test_a_pod_comes_and_goes(ask):
        namespace, name = os.environ["NAMESPACE"], os.environ.get("PYTEST_XDIST_WORKER", "master")
        body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
        async def act(api):
            await CoreV1Api(api).create_namespaced_pod(namespace, body)
            await CoreV1Api(api).delete_namespaced_pod(name, namespace, grace_period_seconds=0)
        ask(act)
"""


@dataclass(frozen=True)
class Session:
    """A checkout with an operator and its integration tests."""

    made: Operator

    async def run(self, tests: str, *arguments: object, **environment: str) -> tuple[int, str]:
        """Run *tests* as their developer would; return the exit code, and what was said."""
        for name, content in {"conftest.py": CONFTEST, "test_it.py": tests, "pytest.ini": "[pytest]\n"}.items():
            (self.made.checkout / name).write_text(dedent(content))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        given = {
            "KUBECONFIG": str(self.made.kubeconfig),
            "NAMESPACE": self.made.namespace,
            "PYTHONPATH": f"{self.made.checkout}:{ROOT}",
        }
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, arguments)]
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=self.made.checkout,
            env=kept | given | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * WITHIN,  # in which it waits for an operator itself
            check=False,
        )
        assert "Traceback (most" not in done.stdout, done.stdout
        return done.returncode, done.stdout

    @property
    def output(self) -> Path:
        return self.made.checkout / "build/coverage"

    @property
    def summary(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.output / "summary.json").read_text())
        return document


@pytest.fixture
def session(tmp_path: Path, control_plane: ControlPlane, namespace: str) -> Session:
    return Session(Operator(tmp_path / "operator", control_plane.kubeconfig, namespace))


@pytest.mark.parametrize("failing", [False, True])
async def test_what_the_operator_ran_is_in_the_report(session: Session, *, failing: bool) -> None:
    place = ("--coverage-hooks-from=../volume", "--coverage-hooks-expect=1")
    code, said = await session.run(HANDLES, *place, **({"FAILING": "1"} if failing else {}))
    assert code == int(failing), said
    (row,) = session.summary["ledger"]
    assert row["state"] == "finished"  # stopped by the fixture's end, before anything was collected
    assert row["run"] == session.summary["run"]
    assert row["run"].startswith("pytest-20")
    assert session.summary["files"]["under_test/work.py"]["cluster"]["lines"] == 100
    assert session.summary["losses"] == []
    assert "coverage of the operator" in said


@pytest.mark.parametrize("workers", [0, 2])
async def test_one_witness_sees_what_becomes_of_pods(session: Session, workers: int) -> None:
    place = (f"--coverage-hooks-namespace={session.made.namespace}", "--coverage-hooks-claim=nobodys")
    code, said = await session.run(WATCHES, *place, "-n", workers, "--dist=each" if workers else "--dist=no")
    assert code == 1, said  # nobody made the claim
    assert "LOSS  nothing could be collected: " in said
    assert "nobodys" in said
    assert "hint  a claim is read when the last fixture is torn down" in said
    testimony = watchlog.read(session.output / watchlog.NAME)
    assert testimony is not None
    seen = [each for each in testimony.entries if isinstance(each, Seen) and isinstance(each.what, Pod)]
    pods = ["gw0", "gw1"][:workers] or ["master"]
    assert sorted(each.what.name for each in seen if isinstance(each.what, Pod) and each.change == "DELETED") == pods
    assert testimony.stopped == ""
    assert testimony.gaps("pods") == []
