"""What other code takes from coverage.py is noticed, given back where that is safe, and a loss with its time."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coverage_hooks.collect.ledger import unrecorded
from coverage_hooks.volume.manifest import GAPS_LIMIT
from tests.unit.record.children import Left, Program

#: Lines 2, 4, 6 and 8 are what its functions run.
WORK = "".join(f"def {name}():\n    return {name!r}\n" for name in ("during", "after", "later", "other"))

MAIN = """\
import coverage_hooks
coverage_hooks.start()
import sys, threading, time
import coverage, pacing
from program import work

def in_a_thread(*functions):
    thread = threading.Thread(target=lambda: [function() for function in functions], name="theirs")
    thread.start()
    thread.join()

def wait():
    pacing.until_beaten(2)

print(time.time(), flush=True)
{deed}
print(time.time(), flush=True)
coverage_hooks.save()
"""

ctrace = pytest.mark.parametrize("core", ["ctrace"])
HAS_MONITORING = sys.version_info >= (3, 12)

_HOOK = "coverage.py's trace function for new threads"
_THREAD = "coverage.py's trace function away in"
_RIVAL = "started another coverage measurement, or stopped this one"
_TOOL = "coverage.py's sys.monitoring tool"


def done(folder: Path, core: str, deed: str, *, killed: bool = False, **settings: str) -> tuple[Left, float, float]:
    """Return what a program left that does *deed*, and when it did that."""
    made = Program(folder, False, __main__="", work=WORK)
    (folder / "program/__main__.py").write_text(
        MAIN.format(deed=deed) + "import os; os.kill(os.getpid(), 9)\n" * killed
    )
    with open(folder / ".coveragerc", "a") as rcfile:
        rcfile.write(f"core = {core}\n")
    result = made.run(**settings)
    assert result.returncode == (-9 if killed else 0), result.stderr
    left = made.left_one()
    assert left.manifest.process.core == core
    began, ended = map(float, result.stdout.split())
    return left, began, ended


def ran(left: Left) -> set[str]:
    """Return which functions were recorded."""
    lines = left.lines()["work.py"]
    return {name for line, name in ((2, "during"), (4, "after"), (6, "later"), (8, "other")) if line in lines}


def seconds(time: str) -> float:
    return datetime.fromisoformat(time).astimezone(UTC).timestamp()


#: What is done to the trace functions: what is noticed, whether it was given back, and what is recorded all the same.
DEEDS = {
    "the hook is removed": (
        """
threading.settrace(None)
in_a_thread(work.during)
wait()
in_a_thread(work.after)
""",
        (_HOOK, True, {"after"}),
    ),
    "the hook is another one's": (
        """
threading.settrace(lambda *_: None)
in_a_thread(work.during)
wait()
in_a_thread(work.after)
""",
        (_HOOK, False, set[str]()),
    ),
    "the hook is another one's for a while": (
        """
threading.settrace(lambda *_: None)
in_a_thread(work.during)
wait()
threading.settrace(None)
wait()
in_a_thread(work.after)
""",
        (_HOOK, True, {"after"}),
    ),
    "the main thread's is removed": (
        "sys.settrace(None); work.during()",
        (f"{_THREAD} thread 'MainThread'", False, set[str]()),
    ),
    "the main thread's is removed and back": (
        "before = sys.gettrace(); sys.settrace(None); work.during(); sys.settrace(before); work.after()",
        (f"{_THREAD} thread 'MainThread'", False, {"after"}),
    ),
    "a thread's is removed and back": (
        """
def run():
    before = sys.gettrace(); sys.settrace(None); work.during(); sys.settrace(before); work.after()

in_a_thread(run)
""",
        (f"{_THREAD} a thread that has ended", False, {"after"}),
    ),
    "a debugger comes and goes": (
        """
threading.settrace(lambda *_: None)
sys.settrace(lambda *_: None)
in_a_thread(work.during)
work.after()
sys.settrace(None)
threading.settrace(None)
wait()
in_a_thread(work.later)
""",
        (f"{_THREAD} thread 'MainThread'", False, {"later"}),
    ),
}


@ctrace
@pytest.mark.parametrize("deed", DEEDS)
def test_trace_functions_that_are_taken_are_losses(tmp_path: Path, core: str, deed: str) -> None:
    does, (reason, is_back, recorded) = DEEDS[deed]
    left, began, ended = done(tmp_path, core, does)
    # Where it is given back, a beat may be so early that this is recorded, too.
    assert ran(left) - ({"during"} if is_back else set()) == recorded
    assert_gap(left, reason, began, ended, is_back=is_back)


def assert_gap(left: Left, reason: str, began: float, ended: float, *, is_back: bool) -> None:
    """A gap of that *reason* has all of the time in it at which other code had taken something."""
    (gap,) = (gap for gap in left.manifest.unrecorded if reason in gap.reason)
    assert bool(gap.until) == is_back
    assert seconds(gap.since) <= ended
    if is_back:
        assert seconds(gap.until) >= began


@ctrace
def test_nothing_is_taken_where_debuggers_are_not_at_work(tmp_path: Path, core: str) -> None:
    left, _, _ = done(tmp_path, core, "in_a_thread(work.during); wait(); in_a_thread(work.after)")
    assert ran(left) == {"during", "after"}
    assert left.manifest.unrecorded == []


#: The same for the tool. What runs before the beat is lost only where the callbacks are not called any more.
TOOL_DEEDS = {
    "its events": ("sys.monitoring.set_events(tool, 0)", True),
    "its callbacks": (
        """
for event in (sys.monitoring.events.LINE, sys.monitoring.events.PY_START):
    sys.monitoring.register_callback(tool, event, lambda *_: sys.monitoring.DISABLE)
""",
        True,
    ),
    "its id": ("sys.monitoring.set_events(tool, 0); sys.monitoring.free_tool_id(tool)", True),
    "its id for another": (
        """
sys.monitoring.set_events(tool, 0)
sys.monitoring.free_tool_id(tool)
sys.monitoring.use_tool_id(tool, "mine")
""",
        False,
    ),
}

if HAS_MONITORING:

    @pytest.mark.parametrize("deed", TOOL_DEEDS)
    def test_a_tool_that_is_taken_is_a_loss(tmp_path: Path, deed: str) -> None:
        does, is_back = TOOL_DEEDS[deed]
        does = f"tool = sys.monitoring.COVERAGE_ID\n{does}\nwork.during(); wait(); work.after()"
        left, began, ended = done(tmp_path, "sysmon", does)
        assert ran(left) - ({"during"} if is_back else set()) == ({"after"} if is_back else set())  # as above
        assert_gap(left, _TOOL, began, ended, is_back=is_back)
        assert (left.mode, left.is_complete) == ("interval", False)

    def test_what_another_callback_wants_to_hear_no_more_is_recorded_later(tmp_path: Path) -> None:
        does, _ = TOOL_DEEDS["its callbacks"]
        does = f"tool = sys.monitoring.COVERAGE_ID\n{does}\nwork.during(); wait(); work.during()"
        left, _, _ = done(tmp_path, "sysmon", does)
        assert ran(left) == {"during"}

    def test_a_process_is_not_complete_if_its_tool_was_taken_right_before_the_end(tmp_path: Path) -> None:
        deed = "sys.monitoring.set_events(sys.monitoring.COVERAGE_ID, 0); work.during(); print(time.time()); sys.exit()"
        left, began, ended = done(tmp_path, "sysmon", deed, INTERVAL="3600")
        assert ran(left) == set()
        assert_gap(left, _TOOL, began, ended, is_back=True)
        assert (left.mode, left.is_complete) == ("interval", False)

    def test_a_killed_process_is_not_complete_once_its_tool_was_taken(tmp_path: Path) -> None:
        deed = "sys.monitoring.set_events(sys.monitoring.COVERAGE_ID, 0); pacing.until_beaten(3)"
        left, _, _ = done(tmp_path, "sysmon", deed, killed=True)
        assert [gap.reason for gap in left.manifest.unrecorded]
        assert (left.mode, left.is_complete) == ("interval", False)


CORES = ["ctrace", "sysmon"] if HAS_MONITORING else ["ctrace"]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("deed", "recorded"),
    [
        ("with coverage.Coverage(data_file=None).collect():\n    work.during()\nwork.after()", {"after"}),
        ("c = coverage.Coverage(data_file=None); c.start(); work.during(); wait()", set()),
        ("coverage.Coverage.current().stop(); work.during(); wait()", set()),
    ],
    ids=["shorter than a beat", "to the end", "it is stopped"],
)
def test_another_measurement_is_a_loss_however_short_it_is(
    tmp_path: Path, core: str, deed: str, recorded: set[str]
) -> None:
    left, began, ended = done(tmp_path, core, deed)
    assert ran(left) == recorded
    is_back = core == "sysmon" and "current" not in deed
    assert_gap(left, _RIVAL, began, ended, is_back=is_back)
    # A beat right at its end may miss the trace function for new threads, too.
    (gap,) = [gap for gap in left.manifest.unrecorded if _RIVAL in gap.reason]
    assert began <= seconds(gap.since), "it is known when it was started"


@ctrace
def test_what_calls_the_end_of_another_measurement_is_not_counted_for_another_file(tmp_path: Path, core: str) -> None:
    """As coverage.py does where it ends further out than it began: it takes the lines for those of inner frames."""
    made = Program(
        tmp_path,
        False,
        __main__="import coverage_hooks; coverage_hooks.start()\nfrom program import outer\nouter.run()\n",
        outer="""\
        from program import inner

        def run():
            inner.deep()
            inner.other.stop()
            here = 1
            here = 2
            return later()

        def later():
            return 11
        """,
        inner="\n" * 20 + "import coverage\n\ndef deep():\n    deeper()\n\ndef deeper():\n    global other\n"
        "    other = coverage.Coverage(data_file=None)\n    other.start()\n",
    )
    with open(tmp_path / ".coveragerc", "a") as rcfile:
        rcfile.write(f"core = {core}\n")
    result = made.run()
    assert result.returncode == 0, result.stderr
    lines = made.left_one().lines()
    assert min(lines["inner.py"]) > 20
    assert 11 in lines["outer.py"], "what is called afterwards is recorded"


def test_threads_that_ran_beside_another_measurement_are_named(tmp_path: Path) -> None:
    """coverage.py traces them no more when that ends: only a thread itself could have it do that."""
    deed = """\
stop, ran = threading.Event(), threading.Event()
def beside():
    while not stop.is_set():
        ran.set()
    work.after()
thread = threading.Thread(target=beside, name="beside"); thread.start(); ran.wait()
with coverage.Coverage(data_file=None).collect():
    ran.clear(); ran.wait()
wait()
stop.set(); thread.join()
"""
    left, _, _ = done(tmp_path, "ctrace", deed)
    assert ran(left) == set()
    assert [gap.until for gap in left.manifest.unrecorded if "thread 'beside'" in gap.reason] == [""]


def test_more_than_are_listed_are_one(tmp_path: Path) -> None:
    deed = f"""\
for number in range({GAPS_LIMIT + 5}):
    with coverage.Coverage(data_file=None, config_file=False).collect():
        pass
    coverage_hooks.save()
"""
    left, _, _ = done(tmp_path, "ctrace", deed)
    gaps = left.manifest.unrecorded
    assert len(gaps) == GAPS_LIMIT
    assert ["more often than is listed" in gap.reason for gap in gaps] == [False] * (GAPS_LIMIT - 1) + [True]


#: Makes coverage.py pause a measurement by the method of its class, whatever it has itself.
DEAF = """\
import coverage.collector
Collector = coverage.collector.Collector
start = Collector.start

def start_deaf(self):
    for each in self._collectors:
        each.__dict__.pop("pause", None)
    start(self)

Collector.start = start_deaf
"""


def test_where_pauses_are_not_told_of_another_measurement_is_noticed_by_a_beat(tmp_path: Path) -> None:
    """As of a coverage.py of another shape, which is named."""
    made = Program(tmp_path, False, __main__="", work=WORK)
    main = MAIN.format(deed="c = coverage.Coverage(data_file=None); c.start(); work.during(); wait(); c.stop()")
    (tmp_path / "program/__main__.py").write_text(DEAF + main)
    assert made.run().returncode == 0
    left = made.left_one()
    (problem,) = left.manifest.problems
    assert "does not tell of other measurements" in problem
    assert [gap for gap in left.manifest.unrecorded if _RIVAL in gap.reason]


def test_a_gap_is_told_with_its_time(tmp_path: Path) -> None:
    left, _, _ = done(tmp_path, "ctrace", "sys.settrace(None)")
    (gap,) = left.manifest.unrecorded
    assert unrecorded(gap) == f"not all that ran from {gap.since} on was recorded: {gap.reason}"
    assert json.loads((left.folder / "recording.json").read_bytes())["unrecorded"][0]["until"] == ""
