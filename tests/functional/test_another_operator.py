"""An operator that knows nothing of all this, from its unit tests to the report: nothing fits only our own."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from coverage import CoverageData
from kubernetes_asyncio.client import ApiClient

from tests.cluster import WITHIN, ControlPlane
from tests.functional.another_operator.operator import PROJECT, run_unit_tests, start_operator
from tests.functional.another_operator.users import Users, install


@pytest.fixture
async def users(api: ApiClient, namespace: str) -> Users:
    await install(api)
    return Users(api, namespace)


def python(*arguments: object) -> None:
    """Run ``python -m`` with *arguments* in the operator's checkout, as its developer would."""
    subprocess.run([sys.executable, "-m", *map(str, arguments)], cwd=PROJECT, check=True, timeout=WITHIN)


def lines(data: Path) -> dict[str, set[int]]:
    """Return the executed lines in *data* by file."""
    read = CoverageData(str(data))
    read.read()
    return {file: set(read.lines(file) or ()) for file in read.measured_files()}


async def test_its_report_shows_what_only_the_cluster_covers(
    tmp_path: Path, control_plane: ControlPlane, namespace: str, users: Users
) -> None:
    await asyncio.to_thread(run_unit_tests, tmp_path / "unit.coverage")
    with start_operator(tmp_path, control_plane.kubeconfig, namespace) as operator:
        for act in (users.apply, users.change, users.delete_page, users.delete):
            await act()
        operator.signal(signal.SIGTERM)
        assert await asyncio.to_thread(operator.ended) == 0
    output = tmp_path / "output"
    given = ("--from", tmp_path / "recordings", "--expect", 1, "--unit", tmp_path / "unit.coverage", "--output", output)
    await asyncio.to_thread(python, "coverage_hooks", "collect", *given)
    summary = json.loads((output / "summary.json").read_text())
    totals = {world: total["percent"] for world, total in summary["totals"].items()}
    assert totals["unit"] < totals["combined"] > totals["cluster"] > 50
    handlers = summary["files"]["another_operator/handlers.py"]
    assert handlers["unit"]["lines"] == 0
    assert handlers["cluster"] == handlers["combined"]
    assert handlers["cluster"]["lines"] > 90
    # What was verified is plain coverage.py data: its own command makes the same of it.
    plain = tmp_path / ".coverage"
    await asyncio.to_thread(python, "coverage", "combine", "--keep", f"--data-file={plain}", output / "data")
    assert lines(plain) == lines(output / "cluster.coverage")
    assert len(lines(plain)) > 4
