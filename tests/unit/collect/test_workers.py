"""Processes that share work: they answer in order, and are gone when nobody waits for them any more."""

from __future__ import annotations

import os
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from coverage_hooks.collect.data.workers import WorkerLostError, mapped
from tests.cluster.waiting import WITHIN
from tests.leftovers import started_by

pytestmark = pytest.mark.timeout(120)  # an answer that never comes fails here, and holds up nothing else

#: Has two workers wait for a pipe, and says so.
_WAITING = """
import sys
from pathlib import Path
from coverage_hooks.collect.data.workers import mapped
found = mapped(Path.read_text, [Path(name) for name in sys.argv[1:]], workers=2, at_once=1)
print(next(found), flush=True)
print(next(found), flush=True)
"""


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("at_once", [1, 3])
def test_answers_come_in_order(count: int, at_once: int) -> None:
    assert list(mapped(str, range(count), workers=2, at_once=at_once)) == [str(number) for number in range(count)]


def test_answers_may_be_larger_than_a_pipe() -> None:
    sizes = [1 << 20] * 12
    assert [len(answer) for answer in mapped(bytes, sizes, workers=2, at_once=2)] == sizes


def test_workers_find_the_modules_that_are_found_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("def double(number):\n    return 2 * number\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]  # noqa: PLC0415 - it is made above

    assert list(mapped(only_here.double, [1, 2], workers=1, at_once=1)) == [2, 4]


@pytest.mark.parametrize(("end", "how"), [(os._exit, 1), (signal.raise_signal, signal.SIGKILL)])
def test_a_worker_that_ends_is_told(end: Callable[[int], object], how: int) -> None:
    with pytest.raises(WorkerLostError):
        list(mapped(end, [how] * 9, workers=2, at_once=1))


def test_a_worker_that_does_not_understand_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made = types.ModuleType("made_here")
    exec("def double(number): return 2 * number", vars(made))
    monkeypatch.setitem(sys.modules, made.__name__, made)
    with pytest.raises(WorkerLostError):
        list(mapped(made.double, [1, 2], workers=1, at_once=1))


def test_a_worker_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(WorkerLostError):
        list(mapped(str, [1], workers=1, at_once=1))


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    """Whatever they are doing: here they wait for what does not come, in a call of the system's."""
    (tmp_path / "said").write_text("one answer")
    pipes = [tmp_path / f"pipe-{number}" for number in range(4)]
    for pipe in pipes:
        os.mkfifo(pipe)
    with started_by(
        sys.executable, "-c", _WAITING, tmp_path / "said", *pipes, cwd=tmp_path, temporary=tmp_path / "temporary"
    ) as command:
        assert command.process.stdout
        assert command.process.stdout.readline() == "one answer\n"
        assert len(command.alive()) == 3
        command.end(signal.SIGKILL)
        assert command.said() == ""
        command.wait_until_gone(WITHIN)
