"""What the pulse writes where the sets of coverage.py are copied: what is new in them, once, and all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journals import records
from tests.unit.record.children import Left, Program

#: Measured by the C tracer, whose sets are copied on every Python. What drives it is not measured.
DRIVER = """\
import coverage_hooks
coverage_hooks.start()
import os, pathlib, resource
from program import work, other

def saved():
    assert coverage_hooks.save()
    return size()

def size():
    return sum(path.stat().st_size for path in pathlib.Path(os.environ["COVERAGE_HOOKS_DIR"]).glob("*/journal-*"))

before = saved()
"""

WORK = "".join(f"def work_{number}():\n    return {number}\n" for number in range(5))


@pytest.fixture
def made(tmp_path: Path) -> Program:
    return Program(tmp_path, False, work=WORK, other=WORK)


def driven(made: Program, does: str) -> Left:
    """Return what is recorded of a program that saves, and then *does* something; it alone says when is saved."""
    (made.folder / "drive.py").write_text(DRIVER + does)
    made.more_environment = {"COVERAGE_CORE": "ctrace"}
    done = made.run("drive.py", INTERVAL="60")
    assert done.returncode == 0, done.stderr
    left = made.left_one()
    assert (left.mode, left.manifest.state) == ("interval", "finished")
    return left


def points(left: Left) -> list[tuple[str, tuple[int, int]]]:
    """Return the points of the only journal in the order in which they were written."""
    (journal,) = left.journals().values()
    return [told for told in records(journal) if not isinstance(told, dict)]


def test_only_what_is_new_is_written(made: Program) -> None:
    does = """
assert saved() == before, "nothing is new"
work.work_2()
assert saved() == before + 16, "one line is"
work.work_2()
assert saved() == before + 16
other.work_1()
work.work_3()
assert saved() == before + 48
"""
    left = driven(made, does)
    assert left.lines()["work.py"] == {1, 3, 5, 6, 7, 8, 9}
    assert left.lines()["other.py"] == {1, 3, 4, 5, 7, 9}
    assert len(points(left)) == len(set(points(left)))


def test_a_set_that_shrank_is_named_once_and_what_is_new_in_it_is_written(made: Program) -> None:
    does = """
import coverage
(lines,) = (lines for path, lines in coverage.Coverage.current()._collector.data.items() if path.endswith("work.py"))
lines.clear()
work.work_0()
saved()
lines ^= {2, 4}  # as many as before
saved()
lines.clear()
lines.add(6)
saved()
"""
    left = driven(made, does)
    assert left.lines()["work.py"] == {1, 2, 3, 4, 5, 6, 7, 9}
    (named,) = left.manifest.problems
    assert "work.py' went from 5 points to 1" in named


def test_what_could_not_be_written_is_written_later(made: Program) -> None:
    does = """
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (before, limits[1]))
work.work_0()
other.work_0()
assert not coverage_hooks.save()
assert size() == before
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
work.work_1()
saved()
"""
    left = driven(made, does)
    assert left.lines()["work.py"] == {1, 2, 3, 4, 5, 7, 9}
    assert left.lines()["other.py"] == {1, 2, 3, 5, 7, 9}
    assert any("File too large" in problem for problem in left.manifest.problems)
    assert left.is_on_the_disk()
