"""A kill costs nothing where each line is written before it runs, and an interval where the pulse writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import kills
from tests.unit.record.children import usual_mode


@pytest.mark.parametrize("branch", [False, True], ids=["lines", "arcs"])
def test_nothing_that_counts_is_lost(tmp_path: Path, branch: bool) -> None:
    program = tmp_path / "program"
    kills.make(program, branch=branch)
    mode = usual_mode(branch=branch)
    moments = [0.0, 0.1, 0.4] if mode == "immediate" else [0.3, 3.0]  # beside busy threads a beat takes long
    found = [kills.kill(program, tmp_path / f"volume-{number}", seconds) for number, seconds in enumerate(moments)]
    assert [each.lost for each in found] == [[]] * len(found)
    assert {(each.mode, each.is_complete) for each in found} == {(mode, mode == "immediate")}
    assert sum(each.steps for each in found) > 0
    if mode == "immediate":
        assert sum(each.children for each in found) > 0
