"""The same tests on a cluster that somebody else runs: here, the node of this run plays it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.session import CRDS

ROOT = Path(__file__).parents[3]


def run_tests(cluster: Cluster, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("E2E", "PYTEST"))}
    path = f"{cluster.kubectl_program.parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=inherited | {"PATH": path} | environ, capture_output=True, text=True, check=False
    )


def existing(cluster: Cluster) -> list[str]:
    return cluster.kubectl("get", "namespaces,crds,clusterroles,clusterrolebindings", "--output=name").split()


@pytest.mark.usefixtures("operator_image", "coverage_image")
def test_tests_run_there_and_leave_it_as_it_was(cluster: Cluster) -> None:
    cluster.kubectl("delete", f"--filename={CRDS}")
    before = existing(cluster)
    try:
        done = run_tests(cluster, "tests/e2e/test_product.py", "-k=trace", E2E_KUBECONFIG=str(cluster.kubeconfig))
        left = existing(cluster)
    finally:
        cluster.kubectl("apply", "--server-side", f"--filename={CRDS}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"on the cluster of {cluster.kubeconfig}" in done.stdout
    assert "node:" not in done.stdout
    assert left == before
