"""The door to coverage.py: starts it, keeps the user's configuration from breaking it, and takes copies of its data.

`CoverageData` and `Coverage` are used through their public API. Two private attributes are used, here and nowhere else:
``Coverage._collector`` (its live sets, see `journal`) and ``Coverage._warn`` (what it has to say). At start a few lines
are measured for a trial, to see whether they arrive. If they do not, or other code empties the live sets later,
the public `Coverage.get_data` is asked at each snapshot: it costs more and loses nothing, from `GET_DATA_KEEPS_ALL` on.
Older versions are then asked once, when they have stopped, and the recording says so.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import os
import re
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
from coverage.exceptions import CoverageWarning

from coverage_hooks.record import fingerprints, imports, overrides
from coverage_hooks.record.begun import Begun
from coverage_hooks.record.journal import Journal
from coverage_hooks.record.publisher import Content
from coverage_hooks.volume.manifest import Fingerprint

#: The first version whose `Coverage.get_data` loses nothing that other threads record meanwhile.
GET_DATA_KEEPS_ALL = (7, 17, 4)

_CORES = {"CTracer": "ctrace", "SysMonitor": "sysmon", "PyTracer": "pytrace"}
_PREIMPORTED = re.compile(
    r"Already imported a file that will be measured: (?P<file>.+?)(?: \(already-imported\).*)?", re.DOTALL
)

#: Options of which one must be set for coverage.py to tell which modules were imported too early.
_SELECTING = ("run:source", "run:source_pkgs", "run:source_dirs", "run:include")

#: What coverage.py warns about whenever it is asked for its data, and what is only true at the end.
_PREMATURE = {"module-not-imported", "module-not-measured", "no-data-collected"}

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
        self._begun: Begun | None = None
        self._begun_files: set[str] = set()
        self._begun_stored: dict[str, int] = {}
        self._begun_named = False
        self._modules: set[str] = set()
        self._unproven: set[str] = set()
        self._since = 0.0
        self._stale = False
        self._started = False
        self._ended = False

    def start(self) -> list[str]:
        """Start measuring, and return the measured files that were imported before: their first lines are lost."""
        self._prepare()
        if not any(self._option(name) for name in _SELECTING):
            self._problem("[run] names no source: which modules were imported too early to be recorded is unknown")
        if coverage.version_info[:3] < GET_DATA_KEEPS_ALL:
            oldest = ".".join(map(str, GET_DATA_KEEPS_ALL))
            self._problem(f"coverage {coverage.__version__} is older than {oldest}, the oldest that recording supports")
        reason = self.why_not_live()
        self._since = time.time()
        self._coverage.start()
        self._attach(reason)
        tracer = self.facts.core
        if sys.version_info < (3, 12) and tracer == "pytrace":
            self._coverage.stop()
            raise RuntimeError("coverage.py lacks its C tracer, and the one in Python can end an operator before 3.12")
        self._begun_files = {os.path.realpath(file) for file in self._preimported}
        self._begun = Begun(self._begun_files, branch=self.facts.branch)
        self._begun.start()
        self._started = True
        atexit.register(self._look_whether_it_still_traces)
        return self._preimported

    def disarms(self) -> list[Callable[[], object]]:
        """Return what keeps a forked child from being measured, in C code as far as it runs before anything else."""
        handlers = (self._coverage._atexit, self._look_whether_it_still_traces)  # noqa: SLF001 - to unregister it
        calls: list[Callable[[], object]] = [functools.partial(atexit.unregister, handler) for handler in handlers]
        monitoring: Any = getattr(sys, "monitoring", None)
        own = [] if self._begun is None or self._begun.tool is None else [self._begun.tool]
        for tool in [*self._tools(), *own]:
            for name in _MONITORED:
                if event := getattr(monitoring.events, name, 0):
                    calls.insert(0, functools.partial(monitoring.register_callback, tool, event, None))
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
        return self._journal is not None or get_data_keeps_all() or not self._started

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

    def begun(self) -> dict[str, list[int]]:
        """Return where the measured code stood that had begun before: lines by path, none where a module had ended."""
        if self._begun is None:
            return {}
        return {self._mapped(file): lines for file, lines in self._begun.positions().items()}

    def release(self) -> None:
        """Let go of the operator's frames; for the thread that they are of."""
        if self._begun is not None:
            self._begun.release()

    def snapshot(self, *, again: bool = False) -> Content | None:
        """Return everything recorded before this call, or None if that is what the last call returned.

        Never empties a live set; whatever threads record meanwhile comes with the next call. What was returned before
        is returned *again* where it got lost.
        """
        self._stale |= again
        self._look_for_rivals()
        self._catch_up(asking=get_data_keeps_all())
        return self._content()

    def finish(self, *, again: bool = False) -> Content | None:
        """As `snapshot`, for the last time; coverage.py has stopped by now (its own exit handler saw to that)."""
        self._stale |= again
        self._ended = True
        self._catch_up(asking=True)
        content = self._content()
        self._look_for_unmeasured()
        return content

    # -- starting ---------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        # Everything that coverage.py warns about from now on, also while it runs, is for whoever reads the report.
        self._coverage._warn = self._hear  # type: ignore[method-assign]  # noqa: SLF001 - there is no public way to listen
        self._coverage._init()  # noqa: SLF001 - loads the plugins: they may change the configuration, so it goes first
        overrides.override(self._coverage, self._problem)
        self._include_files_by_path()

    def _include_files_by_path(self) -> None:
        """Measure what ``run:source`` names under any module name: coverage.py knows packages and modules by theirs.

        ``kopf run FILE.py`` loads the file as a module of another name. A package's folders say the same as its name.
        Of a module only the names can be told that Kopf would give it; see `_look_for_unmeasured` for others.
        """
        named = [entry for entry in self._entries("run:source") if not Path(entry).is_dir()]
        places = [place for name in (*named, *self._entries("run:source_pkgs")) for place in imports.places_of(name)]
        if folders := [place for place in places if Path(place).is_dir()]:
            self._coverage.set_option("run:source_dirs", [*self._entries("run:source_dirs"), *folders])
        self._modules = {os.path.realpath(place) for place in places if Path(place).is_file()}
        if scripts := [name for file in self._modules for name in imports.script_names(file)]:
            self._coverage.set_option("run:source_pkgs", [*self._entries("run:source_pkgs"), *scripts])

    def _hear(self, msg: str, slug: str | None = None, once: bool = False) -> None:  # noqa: ARG002 - coverage.py's signature
        """Take a warning of coverage.py: a file that was imported before, or a problem."""
        if slug in _PREMATURE and not self._ended:
            return
        if match := _PREIMPORTED.fullmatch(msg):
            self._preimported.append(match["file"])
        else:
            self._problem(f"coverage: {msg}")

    def why_not_live(self) -> str:
        """Return why the live sets of this coverage.py cannot be copied while it measures, or nothing if they can.

        Tried for real, on a few lines of no file: they are copied while coverage.py measures them, and have to be what
        it hands out itself afterwards. For a recorder that is prepared and not started; takes some milliseconds.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what there is to warn of comes from the measurement itself
                return self._tried()
        except Exception as error:  # noqa: BLE001 - whatever a version of another shape raises
            return f"{type(error).__name__}: {error}"

    def _tried(self) -> str:
        file = "/coverage-hooks-trial.py"  # it need not exist, and no link leads to where nothing is
        trial = coverage.Coverage(data_file=None, config_file=False, include=[file], branch=self._option("run:branch"))
        for option in ("run:core", "run:timid"):
            if (value := self._option(option)) is not None:
                trial.set_option(option, value)
        with _in_memory(coverage.CoverageData(no_disk=True)) as copied:
            trial.start()
            try:
                exec(compile(_TRIAL, file, "exec"), {"__name__": "trial"})  # noqa: S102 - the lines above
                collector: Any = getattr(trial, "_collector", None)
                if reason := _unexpected(collector):
                    return reason
                _store_copies(collector, {path: points.copy() for path, points in collector.data.items()}, copied)
            finally:
                trial.stop()
            with _in_memory(trial.get_data()) as expected:
                if not (copied.lines(file) and expected.lines(file)):
                    return "no line of a trial arrived"
                if (copied.lines(file), copied.arcs(file)) != (expected.lines(file), expected.arcs(file)):
                    return "a trial came out differently"
        return ""

    def _attach(self, reason: str) -> None:
        self._collector = getattr(self._coverage, "_collector", None)
        if not reason:
            self._live = [self._collector.data]
            self._journal = Journal(self._live_sets, self._add, self._warn_of_interference)
        elif get_data_keeps_all():
            self._problem(
                f"coverage {coverage.__version__} keeps its live data in another shape ({reason}); nothing is lost: "
                "its get_data() is called each interval, which takes more time"
            )
        else:
            self._problem(
                f"coverage {coverage.__version__} keeps its live data in another shape ({reason}); "
                "nothing is saved before the process ends"
            )

    def _live_sets(self) -> list[tuple[str, set[Any]]]:
        if self._collector.data is not self._live[-1]:
            self._live.append(self._collector.data)
            if self._journal is not None:
                self._journal.distrust("the live sets were replaced")
        return [pair for live in self._live for pair in list(live.items())]

    def _warn_of_interference(self, reason: str) -> None:
        self._problem(
            f"other code saved or erased coverage's data while recording ({reason}); what was erased is lost, and "
            "get_data() is called each interval from now on"
        )

    def _look_for_rivals(self) -> None:
        stack = getattr(type(self._collector), "_collectors", None)
        if self._started and stack and stack[-1] is not self._collector:
            self._problem("another coverage measurement was started later; what runs meanwhile is not recorded")

    def _look_for_unmeasured(self) -> None:
        """Name the modules of ``run:source`` that were loaded under a name which coverage.py does not know them by."""
        for name, file, _ in imports.modules_from(self._modules):
            if self._mapped(file) not in self._counts:
                self._problem(
                    f"{file} was loaded as module {name!r}, which `run:source` does not name, so it is not recorded: "
                    "name its folder in `run:source`, or load it by its own name"
                )

    def _look_whether_it_still_traces(self) -> None:
        """Notice, right before coverage.py stops, that other code took its trace function or its tool away."""
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and self.facts.core == "ctrace" and sys.gettrace() not in self._collector.tracers:
            self._problem("other code replaced the main thread's trace function; what ran in it since is not recorded")
        monitoring: Any = getattr(sys, "monitoring", None)
        for tool in self._tools():
            if monitoring.get_tool(tool) is None or not monitoring.get_events(tool):
                self._problem("other code took coverage.py's sys.monitoring tool away; what ran since is not recorded")

    def _tools(self) -> list[int]:
        """Return the ids by which coverage.py asked ``sys.monitoring`` for events; none with another core."""
        if self.facts.core != "sysmon":
            return []
        # It takes another id where its own is taken.
        return [getattr(tracer, "myid", 1) for tracer in self._collector.tracers]

    # -- taking copies ----------------------------------------------------------------------------------------------

    def _store(self) -> coverage.CoverageData:
        # Made by the thread that uses it: an in-memory database lives as long as its first connection.
        if self._data is None:
            self._data = coverage.CoverageData(no_disk=True)
            self._data.set_context(self._option("run:context"))
        return self._data

    def _add(self, grown: dict[str, set[Any]]) -> None:
        with self._guard:
            _store_copies(self._collector, grown, self._store())

    def _catch_up(self, *, asking: bool) -> None:
        """Store what is new: from the live sets, and by *asking* coverage.py where these do not tell all."""
        if self._journal is not None:
            self._grown |= self._journal.catch_up()
        self._add_begun()
        if self._started and asking and (self._journal is None or not self._journal.trusts_lengths):
            with self._guard:
                data, store = self._coverage.get_data(), self._store()
                store.update(data)
                self._grown |= {file for file in data.measured_files() if self._counts.get(file) != _sizes(store, file)}

    def _add_begun(self) -> None:
        """Store what the frames ran that had begun before; through the public API alone, as no collector has it."""
        for file, points in list(self._begun.points.items()) if self._begun is not None else ():
            copy, path = points.copy(), self._mapped(file)
            if len(copy) == self._begun_stored.get(file):
                continue
            with self._guard:
                if self.facts.branch:
                    self._store().add_arcs({path: copy})
                else:
                    self._store().add_lines({path: copy})
            self._begun_stored[file] = len(copy)
            self._grown.add(file)

    def _content(self) -> Content | None:
        if not self._grown and not self._stale and (self._begun_named or not self._begun_files):
            return None
        self._stale = True  # until it was built: an error below must not pass for "nothing new"
        data = self._store()
        self._touch_begun(data)
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
            self._counts[path] = _sizes(data, path)

    def _touch_begun(self, data: coverage.CoverageData) -> None:
        """Name what had begun in *data*, too: what it ran before is proven later, and only for a file with a name."""
        if not self._begun_named:
            with self._guard:
                # Where it stands it has been; and without a kind of data no file can be named.
                if self.facts.branch:
                    data.add_arcs({file: [(line, line) for line in lines] for file, lines in self.begun().items()})
                else:
                    data.add_lines(self.begun())
                data.touch_files([self._mapped(file) for file in self._begun_files])
            self._grown |= self._begun_files
            self._begun_named = True

    def _fingerprint(self) -> None:
        """Remember what each file was when it was first seen, at most one beat after it was imported."""
        new = {file for file in self._grown if self._mapped(file) not in self._sources}
        modules = {file: module for _, file, module in imports.modules_from(new)}
        for file in sorted(new - self._unproven):
            since = fingerprints.process_began() if file in self._begun_files else self._since
            try:
                self._sources[self._mapped(file)] = fingerprints.proven(file, modules, since)
            except Exception as error:  # noqa: BLE001 - of one file; what all others have is published all the same
                self._unproven.add(file)  # what is read later can only be further from what was imported
                why = error.strerror if isinstance(error, OSError) and error.strerror else error
                self._problem(f"{file}: no fingerprint, so no line of it can be trusted: {why}")

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

    tracers: tuple[()] = ()  # it would tell them that what they recorded is saved

    def __init__(self, collector: Any, data: dict[str, set[Any]], covdata: coverage.CoverageData) -> None:
        self._collector = collector
        self.data = data
        self.covdata = covdata
        self.file_tracers = {file: plugin for file, plugin in list(collector.file_tracers.items()) if file in data}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collector, name)

    def _activity(self) -> bool:
        return True

    def _clear_data(self) -> None:
        """Empty nothing; the name that versions before 7.17.4 have for it."""


@contextlib.contextmanager
def _in_memory(data: coverage.CoverageData) -> Iterator[coverage.CoverageData]:
    """Close *data*, which is in memory, in the end; unless it is forced to, it stays open."""
    try:
        yield data
    finally:
        data.close(force=True)


def _store_copies(collector: Any, copies: dict[str, set[Any]], store: coverage.CoverageData) -> None:
    """Add *copies* of live sets of *collector* to *store*; the copies may be emptied."""
    type(collector).flush_data(_Copies(collector, copies, store))


def _sizes(data: coverage.CoverageData, path: str) -> tuple[int, int]:
    """Return how many lines and arcs *data* has of *path*."""
    return len(data.lines(path) or ()), len(data.arcs(path) or ()) if data.has_arcs() else 0


def version() -> str:
    """Return the version of coverage.py."""
    return coverage.__version__


def get_data_keeps_all() -> bool:
    """Whether `Coverage.get_data` may be called while other threads record, and nothing of it is lost."""
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return has_gil and coverage.version_info[:3] >= GET_DATA_KEEPS_ALL


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
    for name in ("flush_data", "cached_mapped_file", "mapped_file_dict", "tracer_name"):
        if not callable(getattr(collector, name, None)):
            return f"no method {name}"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "an interpreter without GIL, where copying a live set is not atomic"
    return ""
