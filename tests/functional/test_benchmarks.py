"""The benchmark compares what it times, so a small one shows that both make the same of the same recordings."""

from __future__ import annotations

import io

import pytest

from tests.benchmarks import combining


@pytest.mark.parametrize("kind", ["lines", "arcs"])
def test_a_benchmark_runs_and_compares(kind: str) -> None:
    told = io.StringIO()
    combining.main([kind, "3", "--pairs", "1"], told)
    lines = told.getvalue().splitlines()
    assert lines[0] == "3 recordings: the same facts from both"
    assert lines[-1].startswith("ratio on the clock: ")
