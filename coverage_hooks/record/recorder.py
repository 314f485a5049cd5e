"""The door to coverage.py: starts it, keeps the user's configuration from breaking it, and takes copies of its data.

`CoverageData` and `Coverage` are used through their public API. Two private attributes are used, here and nowhere else:
``Coverage._collector`` (its live sets, see `journal`, and ``_clear_data``, which would empty them) and
``Coverage._warn`` (what it has to say). Both are checked at start; if they are not of the expected shape,
recording falls back to what coverage.py itself hands out once it has stopped, and says so.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import re
import sqlite3
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
from coverage.exceptions import CoverageWarning

from coverage_hooks.record import overrides
from coverage_hooks.record.journal import Journal
from coverage_hooks.record.publisher import Content
from coverage_hooks.volume.manifest import Fingerprint

_CORES = {"CTracer": "ctrace", "SysMonitor": "sysmon", "PyTracer": "pytrace"}
_PREIMPORTED = re.compile(
    r"Already imported a file that will be measured: (?P<file>.+?)(?: \(already-imported\).*)?", re.DOTALL
)

#: Options of which one must be set for coverage.py to tell which modules were imported too early.
_SELECTING = ("run:source", "run:source_pkgs", "run:source_dirs", "run:include")

#: The events that coverage.py asks sys.monitoring for, in any version.
_MONITORED = ("PY_START", "PY_RETURN", "PY_RESUME", "LINE", "BRANCH", "BRANCH_LEFT", "BRANCH_RIGHT")

#: What decides which points a data file holds; its hash tells whether two processes measured alike.
_CONFIGURATION = (
    "run:branch",
    "run:concurrency",
    "run:core",
    "run:cover_pylib",
    "run:include",
    "run:omit",
    "run:plugins",
    "run:relative_files",
    "run:source",
    "run:source_pkgs",
    "run:source_dirs",
    "run:timid",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the manifest says about the measurement: version, the core, whether branches are measured."""

    coverage: str
    core: str
    branch: bool
    config_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a recording would measure: the file of its configuration, empty without one, and what that selects."""

    configuration: str
    source: list[str]
    packages: list[str]
    folders: list[str]
    include: list[str]


class Recorder:
    """One measurement of the whole process.

    `start` belongs to the thread that imports the operator, `snapshot` and `finish` to one other thread. *problem* is
    called with every sentence that whoever reads the report should know; *guard* is held around work in
    SQLite (see `recording`, forks).
    """

    def __init__(
        self, rcfile: str | None, *, problem: Callable[[str], None], guard: contextlib.AbstractContextManager[object]
    ) -> None:
        self._problem = problem
        self._guard = guard
        self._preimported: list[str] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CoverageWarning)
            # No data file: nothing is ever saved by coverage.py itself. Files imported too early are asked for.
            self._coverage = coverage.Coverage(
                data_file=None, config_file=rcfile if rcfile is not None else True, check_preimported=True
            )
        for warning in caught:
            self._hear(str(warning.message))
        self._data: coverage.CoverageData | None = None
        self._journal: Journal[str] | None = None
        self._collector: Any = None
        self._live: list[dict[str, set[Any]]] = []
        self._sources: dict[str, Fingerprint] = {}
        self._counts: dict[str, tuple[int, int]] = {}
        self._grown: set[str] = set()
        self._stale = False
        self._started = False

    def start(self) -> list[str]:
        """Start measuring, and return the measured files that were imported before: their first lines are lost."""
        self._prepare()
        if not any(self._option(name) for name in _SELECTING):
            self._problem("[run] names no source: which modules were imported too early to be recorded is unknown")
        self._coverage.start()
        self._attach()
        tracer = self.facts.core
        if sys.version_info < (3, 12) and tracer == "pytrace":
            self._coverage.stop()
            raise RuntimeError("coverage.py lacks its C tracer, and the one in Python can end an operator before 3.12")
        self._started = True
        atexit.register(self._look_whether_it_still_traces)
        return self._preimported

    def disarms(self) -> list[Callable[[], object]]:
        """Return what keeps a forked child from being measured, in C code as far as it runs before anything else."""
        handlers = (self._coverage._atexit, self._look_whether_it_still_traces)  # noqa: SLF001 - to unregister it
        calls: list[Callable[[], object]] = [functools.partial(atexit.unregister, handler) for handler in handlers]
        monitoring = getattr(sys, "monitoring", None)
        if self.facts.core == "sysmon" and monitoring is not None:
            for name in _MONITORED:
                if event := getattr(monitoring.events, name, 0):
                    register = functools.partial(monitoring.register_callback, monitoring.COVERAGE_ID, event, None)
                    calls.insert(0, register)
        return calls

    def outlook(self) -> Outlook:
        """Return what would be measured, without measuring anything; for one that is not, and will not be, started."""
        self._prepare()
        return Outlook(
            configuration=self._coverage.config.config_file or "",
            source=self._entries("run:source"),
            packages=self._entries("run:source_pkgs"),
            folders=self._entries("run:source_dirs"),
            include=self._entries("run:include"),
        )

    @property
    def is_live(self) -> bool:
        """Whether `snapshot` knows everything; else only `finish` does."""
        return self._journal is not None or not self._started

    @property
    def facts(self) -> Facts:
        """What is known about the measurement; the core only after `start`."""
        configuration = {name: self._option(name) for name in _CONFIGURATION}
        tracer = getattr(self._collector, "tracer_name", str)()
        return Facts(
            coverage=coverage.__version__,
            core=_CORES.get(tracer, tracer),
            branch=bool(self._option("run:branch")),
            config_sha256=hashlib.sha256(json.dumps(configuration, default=str).encode()).hexdigest(),
        )

    def snapshot(self, *, again: bool = False) -> Content | None:
        """Return everything recorded before this call, or None if that is what the last call returned.

        Never empties a live set; whatever threads record meanwhile comes with the next call. What was returned before
        is returned *again* where it got lost.
        """
        self._stale |= again
        self._look_for_rivals()
        if self._journal is not None:
            self._grown |= self._journal.catch_up()
        return self._content()

    def finish(self, *, again: bool = False) -> Content | None:
        """As `snapshot`, for the last time; coverage.py has stopped by now (its own exit handler saw to that)."""
        self._stale |= again
        if self._journal is not None:
            self._grown |= self._journal.catch_up()
        if self._started and (self._journal is None or not self._journal.trusts_lengths):
            final = self._coverage.get_data()
            with self._guard:
                self._store().update(final)
            self._grown |= set(final.measured_files())
            final.close(force=True)
        return self._content()

    # -- starting ---------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        # Everything that coverage.py warns about from now on, also while it runs, is for whoever reads the report.
        self._coverage._warn = self._hear  # type: ignore[method-assign]  # noqa: SLF001 - there is no public way to listen
        self._coverage._init()  # noqa: SLF001 - loads the plugins: they may change the configuration, so it goes first
        overrides.override(self._coverage, self._problem)

    def _hear(self, msg: str, slug: str | None = None, once: bool = False) -> None:  # noqa: ARG002 - coverage.py's signature
        """Take a warning of coverage.py: a file that was imported before, or a problem."""
        if match := _PREIMPORTED.fullmatch(msg):
            self._preimported.append(match["file"])
        else:
            self._problem(f"coverage: {msg}")

    def _attach(self) -> None:
        self._collector = getattr(self._coverage, "_collector", None)
        unexpected = _unexpected(self._collector)
        if unexpected:
            self._problem(
                f"coverage {coverage.__version__} keeps its live data in another shape ({unexpected}); "
                "nothing is saved before the process ends"
            )
            return
        # Whoever else asks for the data (a plugin, the operator itself) gets it, but no longer empties the live sets.
        self._collector._clear_data = functools.partial(  # noqa: SLF001 - see the module's docstring
            self._problem, "somebody saved coverage's data while recording; its live sets were kept from being emptied"
        )
        self._live = [self._collector.data]
        self._journal = Journal(self._live_sets, self._add, self._warn_of_interference)

    def _live_sets(self) -> list[tuple[str, set[Any]]]:
        if self._collector.data is not self._live[-1]:
            self._live.append(self._collector.data)
            if self._journal is not None:
                self._journal.distrust("the live sets were replaced")
        return [pair for live in self._live for pair in list(live.items())]

    def _warn_of_interference(self, reason: str) -> None:
        self._problem(f"somebody emptied coverage's live data ({reason}); what ran right before may be lost")

    def _look_for_rivals(self) -> None:
        stack = getattr(type(self._collector), "_collectors", None)
        if self._started and stack and stack[-1] is not self._collector:
            self._problem("another coverage measurement was started later; what runs meanwhile is not recorded")

    def _look_whether_it_still_traces(self) -> None:
        """Notice, right before coverage.py stops, that somebody took the main thread's trace function away."""
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and self.facts.core == "ctrace" and sys.gettrace() not in self._collector.tracers:
            self._problem("somebody replaced the main thread's trace function; what ran in it since is not recorded")

    # -- taking copies ----------------------------------------------------------------------------------------------

    def _store(self) -> coverage.CoverageData:
        # Made by the thread that uses it: an in-memory database lives as long as its first connection.
        if self._data is None:
            self._data = coverage.CoverageData(no_disk=True)
            self._data.set_context(self._option("run:context"))
        return self._data

    def _add(self, grown: dict[str, set[Any]]) -> None:
        with self._guard:
            type(self._collector).flush_data(_Copies(self._collector, grown, self._store()))

    def _content(self) -> Content | None:
        if not self._grown and not self._stale:
            return None
        self._stale = True  # until it was built: an error below must not pass for "nothing new"
        data = self._store()
        self._fingerprint()
        with self._guard:
            self._count(data)
            with contextlib.closing(sqlite3.connect(data.data_filename(), uri=True)) as database:
                serialized = database.serialize()
        self._grown.clear()
        self._stale = False
        counts = self._counts.values()
        return Content(
            data=serialized,
            files=len(self._counts),
            lines=sum(lines for lines, _ in counts),
            arcs=sum(arcs for _, arcs in counts),
            sources=dict(self._sources),
        )

    def _count(self, data: coverage.CoverageData) -> None:
        for path in {self._mapped(file) for file in self._grown}:
            self._counts[path] = (len(data.lines(path) or ()), len(data.arcs(path) or ()) if data.has_arcs() else 0)

    def _fingerprint(self) -> None:
        """Remember what each file was when it was first seen, at most one beat after it was imported."""
        for file in self._grown:
            path = self._mapped(file)
            if path in self._sources:
                continue
            try:
                self._sources[path] = fingerprint(Path(file).read_bytes())
            except OSError as error:
                self._problem(f"{file}: no fingerprint, so no line of it can be trusted: {error.strerror or error}")

    def _mapped(self, file: str) -> str:
        mapper = getattr(self._collector, "cached_mapped_file", str)
        return str(mapper(file))

    def _entries(self, name: str) -> list[str]:
        return [str(entry) for entry in self._option(name) or ()]

    def _option(self, name: str) -> Any:
        try:
            return self._coverage.get_option(name)
        except coverage.CoverageException:
            return None  # an option that this version of coverage.py does not have


class _Copies:
    """Stands in for a collector that holds copies of some sets, so that coverage.py's own code stores them.

    How arcs are packed and paths mapped differs between versions; asking the collector's own ``flush_data`` makes it
    right in each. What it would empty afterwards is this stand-in, not the live data.
    """

    def __init__(self, collector: Any, data: Mapping[str, set[Any]], covdata: coverage.CoverageData) -> None:
        self._collector = collector
        self.data = data
        self.covdata = covdata
        self.file_tracers = {file: plugin for file, plugin in list(collector.file_tracers.items()) if file in data}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collector, name)

    def _activity(self) -> bool:
        return True

    def _clear_data(self) -> None:
        pass


def fingerprint(content: bytes) -> Fingerprint:
    """Return the SHA-256 and the git blob id of a file's *content*."""
    blob = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
    blob.update(content)
    return Fingerprint(sha256=hashlib.sha256(content).hexdigest(), git=blob.hexdigest())


def version() -> str:
    """Return the version of coverage.py."""
    return coverage.__version__


def has_c_tracer() -> bool:
    """Whether this coverage.py was installed with its C tracer."""
    found = dict(coverage.Coverage(data_file=None, config_file=False).sys_info())
    return str(found.get("CTracer", "")).startswith("available")


def is_measuring_already() -> bool:
    """Whether coverage.py measures this process by other means already (``coverage run``, pytest-cov)."""
    return coverage.Coverage.current() is not None


def _unexpected(collector: Any) -> str:
    """Return what about *collector* is not as `Recorder` needs it, or nothing."""
    if not isinstance(getattr(collector, "data", None), dict):
        return "no dictionary of live sets"
    if not isinstance(getattr(collector, "file_tracers", None), dict):
        return "no dictionary of file tracers"
    for name in ("flush_data", "_clear_data", "cached_mapped_file", "mapped_file_dict", "tracer_name"):
        if not callable(getattr(collector, name, None)):
            return f"no method {name}"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "an interpreter without GIL, where copying a live set is not atomic"
    return ""
