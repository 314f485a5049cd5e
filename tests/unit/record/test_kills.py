"""A kill costs nothing where each line is written before it runs, and never more than is stated where the pulse writes.

By an account of its own the program tells what it ran when, so the true loss is known; see `tests.kills`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from coverage_hooks.volume.manifest import Mode
from tests import kills
from tests.unit.record.children import usual_mode


@pytest.mark.parametrize("branch", [False, True], ids=["lines", "arcs"])
def test_nothing_that_counts_is_lost(tmp_path: Path, branch: bool) -> None:
    program = tmp_path / "program"
    kills.make(program, branch=branch)
    mode = usual_mode(branch=branch)
    # Only what a beat has copied counts, and beside busy threads one takes long.
    moments = [(0.0, 0), (0.1, 0), (0.4, 0)] if mode == "immediate" else [(0.3, 0), (0.0, 2)]
    found = [
        kills.kill(program, tmp_path / f"volume-{number}", seconds, beats=beats)
        for number, (seconds, beats) in enumerate(moments)
    ]
    assert [each.lost for each in found] == [[]] * len(found)
    assert {(each.mode, each.is_complete) for each in found} == {(mode, mode == "immediate")}
    assert sum(each.steps for each in found) > 0
    assert not any(each.is_understated for each in found)
    rows = [each.watched for each in found]
    # Of what children had not written that had been forked before the last snapshot, there is no telling.
    assert [row.lost_seconds is None for row in rows] == [mode == "interval" and row.forks > 0 for row in rows]
    if mode == "immediate":
        assert sum(each.children for each in found) > 0


@pytest.mark.parametrize("kind", kills.KINDS)
@pytest.mark.parametrize("mode", dict.fromkeys([usual_mode(branch=False), "interval"]))
def test_what_is_stated_is_never_less_than_what_is_lost(tmp_path: Path, kind: str, mode: Mode) -> None:
    program = tmp_path / "program"
    kills.make(program, branch=False)
    writes_on = mode == "immediate" or kind in {"busy", "idle"}
    for attempt in range(10):
        found = kills.kill(program, tmp_path / f"volume-{attempt}", 0.3 if writes_on else 1.5, kind=kind, mode=mode)
        assert (found.mode, found.lost) == (mode, [])
        assert not found.is_understated, (found.seconds, found.watched, found.unwatched)
        if mode == "immediate":
            assert (found.seconds, found.watched.lost_seconds, found.unwatched.lost_seconds) == (0, 0, 0)
        else:
            assert (found.watched.state, found.unwatched.state) == ("killed", "silent")
            assert found.watched.lost_seconds
            assert found.unwatched.lost_seconds is None, "nobody saw its end"
        if writes_on or found.seconds > 5 * kills.INTERVAL:
            return
    pytest.fail("each time, all that it ran had been written some intervals before its end: that shows nothing")
