"""The door to coverage.py: starts it, keeps the user's configuration from breaking it, writes its data to a journal.

`CoverageData` and `Coverage` are used through their public API. Five private names are used, here and in `internals`:
``Coverage._collector`` (its live sets), ``Coverage._init_for_start`` (which makes it, before anything is measured),
``SysMonitor.lock`` and ``lock_data`` (see `live`), ``Collector.pause`` and ``resume`` (see `tracers`), and
``Coverage._warn`` (what it has to say). `internals` tries them at start. There are four ways, each with less of them:

==========  ===========================================================================================  ===========
mode        how                                                                                          lost by a kill
==========  ===========================================================================================  ===========
immediate   the live sets write each point before its line runs (`live`)                                 nothing
interval    the pulse copies the live sets that grew                                                     since a beat
interval    the public `Coverage.get_data` is asked with each beat, from `GET_DATA_KEEPS_ALL` on         since a beat
final       it is asked once, when coverage.py has stopped                                               everything
==========  ===========================================================================================  ===========
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
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

from coverage_hooks.record import imports, internals, overrides
from coverage_hooks.record.begun import Begun
from coverage_hooks.record.folder import Folder
from coverage_hooks.record.journal import File, Journal, make_room
from coverage_hooks.record.live import Lines, Live
from coverage_hooks.record.sources import Sources
from coverage_hooks.record.tracers import Gap, Tracers
from coverage_hooks.settings import configurations
from coverage_hooks.volume import access
from coverage_hooks.volume.manifest import Mode

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

    `start` belongs to the thread that imports the operator, `catch_up` to one other thread, and to a forked child that
    ends. *problem* is called with every sentence that a reader of the report should know.
    """

    def __init__(self, rcfile: str | None, *, problem: Callable[[str], None]) -> None:
        self._problem = problem
        self._preimported: list[str] = []
        access.check_finite(configurations(None if rcfile is None else Path(rcfile), Path()))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CoverageWarning)
            # No data file: nothing is ever saved by coverage.py itself. Files imported too early are asked for.
            self._coverage = coverage.Coverage(
                data_file=None, config_file=rcfile if rcfile is not None else True, check_preimported=True
            )
        for warning in caught:
            self._hear(str(warning.message))
        self._collector: Any = None
        self._live: list[dict[str, set[Any]]] = []
        self._seen: dict[str, set[Any]] = {}  # what was copied of live sets; takes memory, and saves far more time
        self._told: dict[str, set[Any]] = {}  # the same of what came otherwise, as points of the data
        self._files: dict[str, File] = {}
        self._begun: Begun | None = None
        self._begun_files: set[str] = set()
        self._sources = Sources(self._begun_files, problem)
        self._modules: set[str] = set()
        self._trusts_lengths = True
        self._is_sysmon = False
        self._not_live = self._not_copied = ""  # why the live sets cannot be used in these ways, if they cannot
        self._not_heard = ""  # why it is not heard of other measurements, if it is not
        self._tracers: Tracers | None = None
        self._pid = os.getpid()
        self._started = False
        self._ended = False
        self.journal: Journal | None = None
        self._mode: Mode = ""

    def prepare(self) -> None:
        """Load the configuration, and try what of coverage.py is not public; takes some milliseconds."""
        make_room()
        self._configure()
        if not any(self._option(name) for name in _SELECTING):
            self._problem("[run] names no source: which modules were imported too early to be recorded is unknown")
        if coverage.version_info[:3] < GET_DATA_KEEPS_ALL:
            oldest = ".".join(map(str, GET_DATA_KEEPS_ALL))
            self._problem(f"coverage {coverage.__version__} is older than {oldest}, the oldest that recording supports")
        self._try()
        if self._not_heard:
            self._problem(
                f"coverage {coverage.__version__} does not tell of other measurements ({self._not_heard}): one that is "
                "shorter than an interval is not noticed, and what runs meanwhile is lost"
            )

    def choose(self, *, local: bool) -> str:
        """Choose how points get to a journal on a volume that is *local* or not, and return what there is to tell.

        For a recorder that is prepared; the last choice before `start` counts.
        """
        if self.journal is not None:
            return ""
        self._mode = "interval"
        if local and self._is_sysmon and not self._not_live:
            self._mode = "immediate"
        elif self._not_copied and not get_data_keeps_all():
            self._mode = "final"
            return self._other_shape(self._not_copied, "at the end of the process only, so a kill loses all of it")
        elif self._not_copied:
            return self._other_shape(self._not_copied, "by get_data() each interval, which takes more time")
        elif local and self._is_sysmon:
            return self._other_shape(self._not_live, "each interval instead of before each line")
        return ""

    def start(self, folder: Folder) -> list[str]:
        """Start measuring to a journal in *folder*, and return the measured files that were imported before.

        Their first lines are lost.
        """
        try:
            self._start(folder)
        except BaseException:
            self._mode = ""
            raise
        return self._preimported

    def _start(self, folder: Folder) -> None:
        self.journal = Journal(folder, self._identify, immediate=self._mode == "immediate", replay=self._replay)
        self._sources = Sources(self._begun_files, self._problem)
        tracers = Tracers(self._coverage, self._collector, tells_of_pauses=not self._not_heard)
        if self._mode == "immediate":
            live = Live(self.journal, branch=bool(self._option("run:branch")))
            self._collector = internals.install(self._coverage, live)
            self._coverage.start()
            internals.unlock(self._collector)
        else:
            internals.release_locks_in_c(self._coverage)
            self._coverage.start()
            self._collector = getattr(self._coverage, "_collector", None)
        if sys.version_info < (3, 12) and self.facts.core == "pytrace":
            self._coverage.stop()
            raise RuntimeError("coverage.py lacks its C tracer, and the one in Python can end an operator before 3.12")
        tracers.begin(self._collector)
        self._tracers = tracers
        if not self._not_copied or self._mode == "immediate":
            self._live = [self._collector.data]
        self._begun_files.update(map(os.path.realpath, self._preimported))
        points = self._live[0] if self._mode == "immediate" else {}
        self._begun = Begun(self._begun_files, points, branch=self.facts.branch)
        self._begun.start()
        self._started = True
        atexit.register(self._look_a_last_time)  # before coverage.py stops, if it does so before `stop` is called

    def fork_locks(self) -> list[Callable[[], object]]:
        """Return what frees the locks of coverage.py in a forked child, in C code: the child is measured, too."""
        return internals.fork_locks(self._collector)

    def outlook(self) -> Outlook:
        """Return what would be measured, without measuring anything; for one that is not, and will not be, started."""
        self._configure()
        self._try()
        return Outlook(
            configuration=self._coverage.config.config_file or "",
            source=self._entries("run:source"),
            packages=self._entries("run:source_pkgs"),
            folders=self._entries("run:source_dirs"),
            include=self._entries("run:include"),
        )

    def _other_shape(self, reason: str, how: str) -> str:
        return f"coverage {coverage.__version__} keeps its live data in another shape ({reason}): it is saved {how}"

    def _trial(self, file: str) -> coverage.Coverage:
        trial = coverage.Coverage(data_file=None, config_file=False, include=[file], branch=self._option("run:branch"))
        for option in ("run:core", "run:timid"):
            if (value := self._option(option)) is not None:
                trial.set_option(option, value)
        return trial

    @property
    def facts(self) -> Facts:
        """What is known about the measurement; the core after `start` in any case, and before if its shape is known."""
        configuration = {name: self._option(name) for name in _CONFIGURATION}
        tracer = internals.tracer_name(self._collector)
        return Facts(
            coverage=coverage.__version__,
            core=_CORES.get(tracer, tracer),
            branch=bool(self._option("run:branch")),
            config_sha256=hashlib.sha256(json.dumps(configuration, default=str).encode()).hexdigest(),
        )

    @property
    def current_mode(self) -> Mode:
        """How points get to the journal now: in mode `immediate` by the pulse while some could not be written."""
        return "interval" if self._mode == "immediate" and self.journal and not self.journal.is_whole else self._mode

    def begun(self) -> dict[str, list[int]]:
        """Return where the measured code stood that had begun before: lines by path, none where a module had ended."""
        if self._begun is None:
            return {}
        return {self._mapped(file): lines for file, lines in self._begun.positions().items()}

    def unrecorded(self) -> list[Gap]:
        """Return from when until when not all that ran was recorded."""
        return self._tracers.gaps if self._tracers is not None else []

    def heard(self) -> dict[str, Callable[[tuple[Any, ...]], None]]:
        """Return what is to be called with the interpreter's audit events, by their names."""
        return {
            "exec": lambda arguments: self._sources.executes(arguments[0]),
            "sys.settrace": lambda _: self._tracers.heard() if self._tracers is not None else None,
        }

    def stop(self) -> None:
        """Measure no more; for the main thread, as coverage.py's tracer is its."""
        if self._tracers is not None and threading.current_thread() is threading.main_thread():
            self._look_a_last_time()
            self._coverage.stop()

    def _look_a_last_time(self) -> None:
        if self._tracers is not None and self._tracers.end():
            self._relax()

    def release(self) -> None:
        """Let go of the operator's frames; for the thread that they are of."""
        if self._begun is not None:
            self._begun.release()

    def catch_up(self, *, last: bool = False) -> bool:
        """Write to the journal what was recorded before this call; False while that is not known before the end.

        Never empties a live set; what threads record meanwhile comes with the next call. For the *last* time
        coverage.py has stopped, or the process ends at once. Raises `OSError`.
        """
        if not self._started or self.journal is None:
            return True
        self._ended = last
        if self._tracers is not None and self._tracers.look():
            self._relax()
        for path, new in self._grown():
            self._append(path, internals.unpacked(self._collector, path, new.copy()))
            self._seen.setdefault(path, set()).update(new)
            time.sleep(0)  # hands the interpreter over: without it a handler waits for all files together
        self._add_begun()
        if not (self._live and self._trusts_lengths) and (last or get_data_keeps_all()):
            self._ask()
        self._sources.prove(self.journal, self._known)
        if last:
            self._look_for_unmeasured()
        return last or self._mode != "final"

    # -- starting ---------------------------------------------------------------------------------------------------

    def _try(self) -> None:
        self._not_copied = internals.try_copies(self._trial)
        self._collector = internals.collector_of(self._coverage)
        self._is_sysmon = internals.tracer_name(self._collector) == "SysMonitor"
        self._not_live = internals.try_live(self._trial) if self._is_sysmon else ""
        self._not_heard = internals.try_pauses(self._trial)

    def _configure(self) -> None:
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

    def _look_for_unmeasured(self) -> None:
        """Name the modules of ``run:source`` that were loaded under a name which coverage.py does not know them by."""
        measured = {self._mapped(path) for sets in (*self._live, self._told) for path, points in sets.items() if points}
        for name, file, _ in imports.modules_from(self._modules):
            if self._mapped(file) not in measured:
                self._problem(
                    f"{file} was loaded as module {name!r}, which `run:source` does not name, so it is not recorded: "
                    "name its folder in `run:source`, or load it by its own name"
                )

    # -- writing what is new --------------------------------------------------------------------------------------

    def _grown(self) -> Iterator[tuple[str, set[Any]]]:
        """Yield by path what is new in the live sets, but for those that write it themselves.

        coverage.py only adds to them, so one that is no longer than before holds nothing new. `set.copy` and
        `list(dict.items())` are single C calls, atomic under the GIL, so no thread that records is stopped.
        """
        if self._live and self._collector.data is not self._live[-1]:
            self._live.append(self._collector.data)
            self._distrust("the live sets were replaced")
        for path, points in [pair for live in self._live for pair in list(live.items())]:
            if isinstance(points, Lines):
                continue
            seen = self._seen.get(path, set())
            if len(points) < len(seen):
                self._distrust(f"{path!r} went from {len(seen)} points to {len(points)}")
            if self._trusts_lengths and len(points) == len(seen):
                continue
            if new := points.copy() - seen:
                yield path, new

    def _distrust(self, reason: str) -> None:
        """Stop drawing conclusions from lengths: other code emptied a set."""
        if not self._trusts_lengths:
            return
        self._trusts_lengths = False
        self._relax()
        self._problem(
            f"other code saved or erased coverage's data while recording ({reason}); what was erased is lost, and "
            "get_data() is called each interval from now on"
        )

    def _relax(self) -> None:
        """Say no more that each line is written before it runs: some was not, or may not be."""
        if self._mode == "immediate" and self.journal is not None:
            self._mode = "interval"
            self.journal.relax()

    def _add_begun(self) -> None:
        """Write what the frames ran that had begun before, and name their files, of which something may be proven."""
        if self._begun is None:
            return
        for path, lines in self._begun.positions().items():
            # Where it stands it has been.
            points = {(line, line) for line in lines} if self.facts.branch else set(lines)
            found = self._begun.points.get(path, ())
            self._append_new(path, points if isinstance(found, Lines) else points.union(found))

    def _ask(self) -> None:
        data = self._coverage.get_data()
        for path in data.measured_files():
            found: list[Any] | None = data.arcs(path) if self.facts.branch else data.lines(path)
            self._append_new(path, set(found or ()), data)

    def _append_new(self, path: str, points: set[Any], data: coverage.CoverageData | None = None) -> None:
        told = self._told.get(path)
        if told is None or points - told:
            tracer = (data.file_tracer(path) or "") if data is not None else ""
            self._append(path, list(points - (told or set())), tracer)
            self._told.setdefault(path, set()).update(points)

    def _append(self, path: str, points: list[Any], tracer: str = "") -> None:
        assert self.journal is not None
        pairs = points if self.facts.branch else [(line, 0) for line in points]
        self.journal.append(self._file(path, tracer), pairs)

    def _file(self, path: str, tracer: str = "") -> File:
        if (known := self._known(path)) is not None:
            return known
        self._files[path] = File(path, tracer or getattr(self._collector, "file_tracers", {}).get(path, ""))
        return self._files[path]

    def _replay(self) -> None:
        """Write everything again: now what writes itself, and the rest with the next `catch_up`."""
        assert self.journal is not None
        self._seen.clear()
        self._told.clear()
        for points in [points for live in self._live for points in list(live.values())]:
            if isinstance(points, Lines):
                self.journal.append(points.file, points.pairs())

    def _identify(self, file: File) -> str:
        """Fill in what is known of *file* at once, and return its path in the data."""
        self._sources.identify(file)
        return self._mapped(file.path)

    def _known(self, path: str) -> File | None:
        points = self._live[0].get(path) if self._live else None
        return points.file if isinstance(points, Lines) else self._files.get(path)

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


def version() -> str:
    """Return the version of coverage.py."""
    return coverage.__version__


def get_data_keeps_all() -> bool:
    """Whether `Coverage.get_data` may be called while other threads record, and nothing of it is lost."""
    return internals.has_gil() and coverage.version_info[:3] >= GET_DATA_KEEPS_ALL


def has_c_tracer() -> bool:
    """Whether this coverage.py was installed with its C tracer."""
    found = dict(coverage.Coverage(data_file=None, config_file=False).sys_info())
    return str(found.get("CTracer", "")).startswith("available")


def is_measuring_already() -> bool:
    """Whether coverage.py measures this process by other means already (``coverage run``, pytest-cov)."""
    return coverage.Coverage.current() is not None
