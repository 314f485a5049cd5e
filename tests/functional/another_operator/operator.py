"""The example operator in ``examples/another-operator``, and its unit tests, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.waiting import WITHIN
from tests.functional.operating import Running

PROJECT = Path(__file__).parents[3] / "examples" / "another-operator"


def run_unit_tests(data: Path) -> None:
    """Run its unit tests as its README says, with their coverage in *data*."""
    command = [sys.executable, "-m", "coverage", "run", f"--data-file={data}", "-m", "pytest", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=PROJECT, env=_environment(), check=True)


def start_operator(folder: Path, kubeconfig: Path, namespace: str) -> Running:
    """Start it for *namespace* with its log in *folder*; it is recorded on the volume ``recordings`` there."""
    command = ["kopf", "run", "--standalone", "-n", namespace]
    modules = ["-m", "coverage_hooks.kopf", "-m", "another_operator.handlers"]
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "TMPDIR": str(folder),  # whatever the client keeps of the kubeconfig stays here when it is killed
        "PYTHONPATH": str(PROJECT),
        "COVERAGE_HOOKS_ENABLED": "1",
        "COVERAGE_HOOKS_DIR": str(folder / "recordings"),
        "COVERAGE_HOOKS_RCFILE": str(PROJECT / ".coveragerc"),
        "COVERAGE_HOOKS_EXIT_TIMEOUT": f"{WITHIN:g}",
    }
    log = folder / "operator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *modules],
            cwd=folder,
            env=_environment() | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Running(process, log)


def _environment() -> dict[str, str]:
    """Return the environment without what is said to the coverage and the pytest that this test runs in."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
