"""Small benchmarks: of the same recordings both make the same, and what is asked of Keycloak is counted."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests import kills
from tests.benchmarks import bounds, combining, load, reporting
from tests.cluster import ControlPlane, Keycloak


@pytest.mark.parametrize("kind", ["lines", "arcs"])
def test_a_benchmark_runs_and_compares(kind: str) -> None:
    told = io.StringIO()
    combining.main([kind, "3", "--pairs", "1"], told)
    lines = told.getvalue().splitlines()
    assert lines[0] == "3 recordings: the same facts from both"
    assert lines[-1].startswith("ratio on the clock: ")


def test_reports_are_timed_and_compared() -> None:
    told = io.StringIO()
    reporting.main(["3", "--pairs", "1"], told)
    lines = told.getvalue().splitlines()
    assert lines[0] == "3 files: the same LCOV report from both"
    assert lines[-1].startswith("ratio on the clock: ")


def test_what_is_stated_and_what_is_true_is_told_for_each_kill() -> None:
    told = io.StringIO()
    assert bounds.main(["--seconds", "0.5"], told) == 0
    _, _, _, _, *rows = told.getvalue().splitlines()
    assert {row.split("|")[1].strip() for row in rows} == set(kills.KINDS)


async def test_what_many_resources_ask_of_keycloak_is_counted(
    control_plane: ControlPlane, keycloak: Keycloak, tmp_path: Path
) -> None:
    told, small = io.StringIO(), load.Load(resources=12, realms=2, drift=2, resync=2.0, requests=2)
    try:
        await load.measure(small, tmp_path, control_plane, keycloak, told)
    finally:
        for realm in {realm for realm, _ in small.looks()} & {
            each["realm"] for each in await keycloak.api.ask("GET", "realms")
        }:
            await keycloak.api.ask("DELETE", f"realms/{realm}")
    lines = [line for line in told.getvalue().splitlines() if line.startswith(load.PHASES)]
    assert [line[:14].strip() for line in lines] == list(load.PHASES)
    requests, _, writes, looks, at_once, *_ = zip(*(map(int, line[14:].split()) for line in lines), strict=True)
    created, *others = writes
    assert created >= 12
    assert others == [0, 2, 0, 0]
    assert max(at_once) == 2
    assert all(asked >= looked for asked, looked in zip(requests, looks, strict=True))
    assert [looked >= 12 for name, looked in zip(load.PHASES, looks, strict=True) if name != "drift"] == 4 * [True]
