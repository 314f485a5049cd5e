"""What is used of coverage.py that is not public, each tried for real before anything relies on it.

`try_live` and `try_copies` measure a few lines of no file and compare what arrives with what coverage.py hands out
itself. Where they find another shape, recording falls back to the public API (see `recorder`).
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import coverage

from coverage_hooks.record.journal import File
from coverage_hooks.record.live import Live

#: The program of a trial: lines, branches that are and are not taken, and a function.
_TRIAL = """\
def tried(number):
    while number:
        if number > 5:
            return -1
        number -= 1
    return number
result = tried(2)
"""

_TRIED_FILE = "/coverage-hooks-trial.py"  # it need not exist, and no link leads to where nothing is

#: Makes a `coverage.Coverage` with some options of the measurement, for a file that it includes.
Make = Callable[[str], coverage.Coverage]


def has_gil() -> bool:
    """Whether this interpreter runs one thread at a time."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def tracer_name(collector: Any) -> str:
    """Return the class name of what *collector* traces with; empty if it does not say."""
    return str(getattr(collector, "tracer_name", str)())


def prepared(measurement: coverage.Coverage) -> Any:
    """Return the collector of *measurement*, made as `start` makes it, before anything is measured."""
    private: Any = measurement
    private._init()  # noqa: SLF001
    if not private._inited_for_start:  # noqa: SLF001
        private._init_for_start()  # noqa: SLF001
        private._inited_for_start = True  # noqa: SLF001
    return private._collector  # noqa: SLF001


def collector_of(measurement: coverage.Coverage) -> Any:
    """Return the collector of *measurement*, which has not started; None where its shape is not known."""
    try:
        return prepared(measurement)
    except Exception:  # noqa: BLE001 - whatever a version of another shape raises
        return None


def install(measurement: coverage.Coverage, live: Live) -> Any:
    """Let *measurement*, which has not started, keep its data in *live*, and return its collector."""
    collector = prepared(measurement)
    if collector.data != {}:
        raise TypeError("the live sets are there before anything is measured")
    collector.data = live
    return collector


def release_locks_in_c(measurement: coverage.Coverage) -> None:
    """Let *measurement*, which has not started, take and release its lock in C.

    Before 7.17.5 it does so in Python, where a signal handler that raises leaves it taken for good.
    """
    with contextlib.suppress(Exception):
        collector = prepared(measurement)
        if hasattr(collector, "lock_data"):
            collector.lock_data, collector.unlock_data = collector.data_lock.acquire, collector.data_lock.release


def unlock(collector: Any) -> None:
    """Let the `SysMonitor` of *collector* take no locks: a signal handler that raises would leave them taken.

    They guard the making of a set, which `Live` does in one step, and the stopping of the tool.
    """
    for tracer in collector.tracers:
        tracer.lock_data = tracer.unlock_data = int
        tracer.lock = contextlib.nullcontext()


def hear_pauses(collector: Any, pausing: Callable[[], None], resuming: Callable[[], bool]) -> Callable[[], None]:
    """Have *collector* call *pausing* before another measurement takes its place, and *resuming* before it goes on.

    It goes on by itself only if that says so. Returns what has it go on without a word.
    """
    pause, resume = collector.pause, collector.resume

    def heard_pause() -> None:
        pausing()
        pause()

    def heard_resume() -> None:
        if resuming():
            resume()

    collector.pause, collector.resume = heard_pause, heard_resume
    return resume  # type: ignore[no-any-return]


def is_first(measurement: coverage.Coverage) -> bool:
    """Whether *measurement* runs, and no other that was started later."""
    return coverage.Coverage.current() is measurement


def fork_locks(collector: Any) -> list[Callable[[], object]]:
    """Return what frees the locks of *collector* in a forked child, which inherits them as they are."""
    lock: Any = getattr(collector, "data_lock", None)
    return [lock._at_fork_reinit] if hasattr(lock, "_at_fork_reinit") else []  # noqa: SLF001 - as `threading` does


class _Sink:
    """Takes what ``Collector.flush_data`` has for a `CoverageData`."""

    def __init__(self) -> None:
        self.points: dict[str, Collection[Any]] = {}
        self.tracers: Mapping[str, str] = {}

    def add_lines(self, lines: Mapping[str, Collection[Any]]) -> None:
        self.points.update(lines)

    def add_arcs(self, arcs: Mapping[str, Collection[Any]]) -> None:
        self.points.update(arcs)

    def add_file_tracers(self, tracers: Mapping[str, str]) -> None:
        self.tracers = tracers


class _Copies:
    """Stands in for a collector that holds copies of some sets, so that coverage.py's own code unpacks them.

    How arcs are packed differs between versions. What ``flush_data`` empties afterwards is this stand-in's.
    """

    tracers: tuple[()] = ()  # it would tell them that what they recorded is saved

    def __init__(self, collector: Any, data: dict[str, set[Any]]) -> None:
        self._collector = collector
        self.data = data
        self.covdata = _Sink()
        self.file_tracers = {file: plugin for file, plugin in list(collector.file_tracers.items()) if file in data}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collector, name)

    def _activity(self) -> bool:
        return True

    def _clear_data(self) -> None:
        """Empty nothing; the name that versions before 7.17.4 have for it."""


def unpacked(collector: Any, path: str, points: set[Any]) -> list[Any]:
    """Return *points*, a copy of some of the live set of *path*, as lines or pairs of lines."""
    copies = _Copies(collector, {path: points})
    type(collector).flush_data(copies)
    return [point for found in copies.covdata.points.values() for point in found]


def try_live(make: Make) -> str:
    """Return why points cannot be written while coverage.py adds them, or nothing if they can."""

    def tried() -> str:
        if not has_gil():
            return "an interpreter without GIL, where a set is not added to in one step"
        put: list[tuple[int, int]] = []
        measurement = make(_TRIED_FILE)
        journal: Any = _Heard(put)
        collector = install(measurement, Live(journal, branch=bool(measurement.get_option("run:branch"))))
        with _measuring(measurement):
            unlock(collector)
            _run()
        with _handed_out(measurement) as (lines, arcs):
            if not (put and lines):
                return "no line of a trial arrived"
            found = set(put) == (set(arcs) if arcs else {(line, 0) for line in lines})
            return "" if found else "a trial came out differently"

    return _why(tried)


def try_copies(make: Make) -> str:
    """Return why the live sets cannot be copied while coverage.py measures, or nothing if they can."""

    def tried() -> str:
        measurement = make(_TRIED_FILE)
        with _measuring(measurement):
            _run()
            collector: Any = getattr(measurement, "_collector", None)
            if reason := _unexpected(collector):
                return reason
            copies = {path: points.copy() for path, points in collector.data.items()}
            found = {point for path, points in copies.items() for point in unpacked(collector, path, points)}
        with _handed_out(measurement) as (lines, arcs):
            if not (found and lines):
                return "no line of a trial arrived"
            return "" if found == set(arcs or lines) else "a trial came out differently"

    return _why(tried)


def try_pauses(make: Make) -> str:
    """Return why it is not heard of that another measurement takes the place of one, or nothing if it is."""

    def tried() -> str:
        heard: list[str] = []

        def resuming() -> bool:
            heard.append("resumed")
            return True

        measurement = make(_TRIED_FILE)
        hear_pauses(prepared(measurement), lambda: heard.append("paused"), resuming)
        with _measuring(measurement):
            with _measuring(make(_TRIED_FILE)):
                during = [*heard]
            after = [*heard]
            _run()
        with _handed_out(measurement) as (lines, _):
            if not lines:
                return "no line of a trial arrived"
            return "" if (during, after) == (["paused"], ["paused", "resumed"]) else "a trial came out differently"

    return _why(tried)


class _Heard:
    """Stands in for a journal, and keeps what is put."""

    def __init__(self, put: list[tuple[int, int]]) -> None:
        self._put = put

    def put(self, _file: File, start: int, end: int) -> None:
        self._put.append((start, end))


def _why(tried: Callable[[], str]) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what there is to warn of comes from the measurement itself
            return tried()
    except Exception as error:  # noqa: BLE001 - whatever a version of another shape raises
        return f"{type(error).__name__}: {error}"


def _run() -> None:
    exec(compile(_TRIAL, _TRIED_FILE, "exec"), {"__name__": "trial"})  # noqa: S102 - the lines above


@contextlib.contextmanager
def _measuring(measurement: coverage.Coverage) -> Iterator[None]:
    measurement.start()
    try:
        yield
    finally:
        measurement.stop()


@contextlib.contextmanager
def _handed_out(measurement: coverage.Coverage) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
    """Give the lines and arcs that coverage.py itself hands out."""
    data = measurement.get_data()
    try:
        yield data.lines(_TRIED_FILE) or [], data.arcs(_TRIED_FILE) or [] if data.has_arcs() else []
    finally:
        data.close(force=True)  # it is in memory, and stays open else


def _unexpected(collector: Any) -> str:
    """Return what about *collector* is not as copying needs it, or nothing."""
    if not isinstance(getattr(collector, "data", None), dict):
        return "no dictionary of live sets"
    if not isinstance(getattr(collector, "file_tracers", None), dict):
        return "no dictionary of file tracers"
    for name in ("flush_data", "cached_mapped_file", "mapped_file_dict", "tracer_name"):
        if not callable(getattr(collector, name, None)):
            return f"no method {name}"
    if not has_gil():
        return "an interpreter without GIL, where copying a live set is not atomic"
    return ""
