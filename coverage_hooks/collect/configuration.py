"""The coverage configuration of the user, as coverage.py reads it, and the files that it selects."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import coverage
from coverage.exceptions import CoverageException, NoDataError, NoSource, NotPython

from coverage_hooks import settings
from coverage_hooks.collect import outputs, parsed
from coverage_hooks.collect.mapping import checkout
from coverage_hooks.collect.mapping.checkout import Checkout
from coverage_hooks.collect.parsed import Parsed
from coverage_hooks.errors import UsageError
from coverage_hooks.volume import access


class UnparsedError(UsageError):
    """A source file is none to the Python here."""


#: Why a measured file is not reported, as a note has it.
OUTSIDE = "not selected here"
LEADING_OUT = "a link to what is not in the checkout, which is not shown"
NO_SOURCE = "no Python, and coverage.py leaves it out of reports"


class Configuration:
    """The user's coverage configuration, read by coverage.py as it does in *folder*, and what follows from it.

    Plugins are loaded first: one that configures has a say in every option.
    """

    def __init__(self, rcfile: Path | None, folder: Path) -> None:
        self.folder = folder.resolve()
        self._file: str | bool = True if rcfile is None else str(rcfile)
        access.check_finite(settings.configurations(rcfile, self.folder))
        try:
            with explained():
                probe = coverage.Coverage(data_file=None, config_file=self._file)
        except UnicodeDecodeError as error:
            raise UsageError(f"the coverage configuration is no UTF-8 text: {error}; save it as UTF-8") from None
        self._beside = [] if rcfile is None else [rcfile.resolve().parent]
        self._plugins = self._load_plugins(probe)
        self._options = {
            name: probe.get_option(name)
            for name in (
                "run:source", "run:source_pkgs", "run:source_dirs", "run:omit", "run:include",
                "run:branch", "run:relative_files", "report:include_namespace_packages",
                "report:omit", "report:include", "report:contexts", "report:ignore_errors",
            )
        }  # fmt: skip
        self._parsed = Parsed()
        self._tracers: dict[Path, str] = {}
        self._measured: set[Path] = set()
        self._leading_out: list[Path] = []
        self._selected: list[Path] = []  # kept, as each recording asks for them
        self._left_out: dict[tuple[Path, str], str] = {}

    def _load_plugins(self, probe: coverage.Coverage) -> dict[str, coverage.CoveragePlugin | None]:
        """Have *probe* load its plugins, and return by name those that trace files."""
        option = probe.get_option("run:plugins")
        names = option if isinstance(option, list) else []
        if names and str(self.folder) not in sys.path:
            # As coverage.py does before it reports: what a plugin needs may lie here, and must not come before others.
            sys.path.append(str(self.folder))
        try:
            with explained():
                info = dict(probe.sys_info())  # of all that is public, this loads them and does no more
        except ImportError as error:
            raise UsageError(
                f"the coverage configuration names plugins ({', '.join(names)}), and here one cannot be imported: "
                f"{error}; install it where the report is made, too"
            ) from None
        tracers = info.get("plugins.file_tracers")
        names = tracers if isinstance(tracers, list) else []
        # Private, and looked for with care: without it, templates that were never rendered are not found.
        loaded = getattr(getattr(probe, "_plugins", None), "file_tracers", ())
        return dict(zip(names, loaded, strict=False)) | dict.fromkeys(names[len(loaded) :])

    @property
    def branch(self) -> bool:
        """Whether the configuration asks for branches."""
        return bool(self._options["run:branch"])

    @property
    def contexts(self) -> list[str]:
        """The contexts that ``report:contexts`` names."""
        return self._list("report:contexts")

    @property
    def _entries(self) -> list[str]:
        return [*self._list("run:source"), *self._list("run:source_pkgs"), *self._list("run:source_dirs")]

    @functools.cached_property
    def _places(self) -> list[Path]:
        """The folders and files that ``run:source`` names."""
        if not self._entries:
            raise UsageError(
                "the coverage configuration names no source, so nobody knows which files to report; "
                "add `source = your_package` to `[run]`, here and in the operator's image"
            )
        bases = list(dict.fromkeys(base / below for base in (self.folder, *self._beside) for below in ("", "src")))
        return checkout.find_places(self._entries, bases)

    @functools.cached_property
    def _listed(self) -> dict[Path, str]:
        """All that coverage.py finds by itself in what ``run:source`` names, with the plugin that found it."""
        namespaces = bool(self._options["report:include_namespace_packages"])
        found: dict[Path, str] = {}
        self._leading_out = []
        for real, path in sorted(checkout.find_sources(self._places, namespaces=namespaces)):
            if self._is_inside(real):
                found[real] = ""
            else:
                self._leading_out.append(path)
        with explained():
            for name, plugin in self._plugins.items():
                for place in self._places:
                    if plugin is not None and place.is_dir():
                        paths = map(Path, sorted(plugin.find_executable_files(str(place))))
                        named = {path if checkout.oddity(path) else self.place(str(path)): name for path in paths}
                        found |= {path: name for path in named if self._is_inside(path)}
        return found

    def _is_inside(self, path: Path) -> bool:
        """Whether *path*, to which a link may have led, lies in the checkout, or in what ``run:source`` names."""
        return any(path.is_relative_to(each) for each in (self._top, *self._places))

    @functools.cached_property
    def _top(self) -> Path:
        return checkout.top_of(self.folder)

    @functools.cached_property
    def odd(self) -> dict[Path, str]:
        """What is named like a source file and can be in no report, such as a FIFO, and why."""
        return {path: why for path in self._listed if (why := checkout.oddity(path))}

    @functools.cached_property
    def _found(self) -> dict[Path, str]:
        """Every file that coverage.py finds by itself in what ``run:source`` names, with the plugin that found it."""
        return {path: tracer for path, tracer in self._listed.items() if path not in self.odd}

    @functools.cached_property
    def _kept(self) -> dict[Path, str]:
        """Those of `_found` that ``run:omit`` does not match: coverage.py is asked for a report without them."""
        omit = self._list("run:omit")
        kept = self._reported(self._found, omit=omit, by_name=True) if omit and self._found else set(self._found)
        return {path: tracer for path, tracer in self._found.items() if path in kept}

    @property
    def selected(self) -> list[Path]:
        """Every file that is reported: what ``run:source`` names and ``run:omit`` leaves, imported or not.

        Files that coverage.py does not find by itself, such as those in folders without ``__init__.py``, are among them
        once they were measured.
        """
        if not self._selected:
            self._selected = sorted({*self._kept, *self._measured})
        if not self._selected:
            odd = "".join(f"; {str(path)!r} is left out by {why}" for path, why in list(self.odd.items())[:1])
            raise UsageError(f"`run:source` ({', '.join(self._entries)}) selects no file; nothing can be reported{odd}")
        return self._selected

    def checkout(self) -> Checkout:
        """Return the checkout, with all files that may have been measured."""
        return checkout.read_checkout(self._kept, self.folder, checkout.find_all(self._places))

    @property
    def tracers(self) -> dict[str, str]:
        """The plugins that measured selected files, by the files' names in data."""
        return {self.name(path): tracer for path, tracer in (self._kept | self._tracers).items() if tracer}

    def covers(self, path: Path) -> bool:
        """Whether *path* lies in what ``run:source`` names."""
        return any(path.is_relative_to(place) for place in self._places)

    def select_measured(self, data_file: Path) -> None:
        """Select what *data_file* names, which `combine` has made, perhaps in another process."""
        data = coverage.CoverageData(str(data_file))
        with explained(), contextlib.closing(data):
            data.read()
            named = {self.place(name): data.file_tracer(name) or "" for name in data.measured_files()}
        # A plugin may take the pages of a report that was made meanwhile for templates.
        pages = {path for path, tracer in self._kept.items() if tracer and path not in named}
        self._found = {path: tracer for path, tracer in self._found.items() if path not in pages}
        self._kept = {path: tracer for path, tracer in self._kept.items() if path not in pages}
        for path, tracer in named.items():
            if refusal := self.refusal(path, tracer):
                raise UsageError(f"{self.shown(path)} {refusal}")
            if not self.left_out(path, tracer):
                self.select(path, tracer)
            elif self.covers(path):  # the configuration is another one now, and this is told with what it omits
                self._found[path] = tracer

    def refusal(self, path: Path, tracer: str) -> str:
        """Return why what plugin *tracer* measured of *path* cannot be reported here, or nothing."""
        if tracer and tracer not in self._plugins:
            return (
                f"was measured through the coverage plugin {tracer!r}, which is not loaded here; install it here and "
                "name it in `[run] plugins`"
            )
        if (other := self._tracers.get(path, self._kept.get(path) or tracer)) != tracer:
            names = " and ".join(f"plugin {name!r}" if name else "none" for name in (tracer, other))
            return f"was measured through different plugins, {names}: this cannot be combined"
        return ""

    def select(self, path: Path, tracer: str = "") -> None:
        """Have measured file *path* reported, which was measured through plugin *tracer*, if through any."""
        self._tracers[path] = tracer
        if path not in self._kept and path not in self._measured:
            self._measured.add(path)
            self._selected = []

    def left_out(self, path: Path, tracer: str = "") -> str:
        """Return why coverage.py would not report measured file *path* here, or nothing.

        It was measured through plugin *tracer*, if it is one that is loaded here.
        """
        key = path, tracer
        if key not in self._left_out:
            self._left_out[key] = self._why_not(path, tracer)
        return self._left_out[key]

    def _why_not(self, path: Path, tracer: str) -> str:
        if not self.covers(path):
            return OUTSIDE
        if tracer not in {"", *self._plugins} or self._kept.get(path) == tracer:
            return ""
        if path in self._reported({path: tracer}, omit=self._list("run:omit")):
            return ""
        return OUTSIDE if path in self._reported({path: tracer}) else NO_SOURCE

    def misses(self, path: Path) -> bool:
        """Whether coverage.py would fail for want of measured file *path*, which is not there, and not leave it out."""
        if self._options["report:ignore_errors"]:
            return False
        # The patterns of a report, and those of a run, which would not have measured it.
        by_run: dict[str, Any] = {"omit": self._list("run:omit"), "include": []}
        return self._fails_for_want_of(path) and self._fails_for_want_of(path, **by_run)

    def _fails_for_want_of(self, path: Path, **patterns: Any) -> bool:
        with self._analysis(None) as analysis:
            try:
                _json_report(analysis, [path], **patterns)
            except NoDataError:
                return False
            except NoSource:
                return True
        return False

    def omitted(self, reported: Iterable[str]) -> dict[str, str]:
        """Return the files that ``run:source`` names and are not *reported*, and the setting that left them out."""
        there = {self.place(name) for name in reported}
        every = sorted({*self._found, *self._measured} - there)
        links = dict.fromkeys(map(self.shown, self._leading_out), LEADING_OUT)
        odd = {self.shown(path): why for path, why in self.odd.items()}
        return {self.shown(path): self._reason(path) for path in every} | odd | links

    def _reason(self, path: Path) -> str:
        """Return why *path* is in no report: coverage.py does not tell which pattern it was."""
        if path not in self.selected:
            return f"run:omit = {', '.join(self._list('run:omit'))}"
        patterns = [f"{name} = {', '.join(self._list(name))}" for name in ("report:omit", "report:include")]
        given = [pattern for pattern in patterns if not pattern.endswith("= ")]
        return "; ".join(given) or "report:ignore_errors: coverage.py cannot read it"

    def shown(self, path: Path) -> str:
        """Return *path* as people name it: relative to the working folder where it can be."""
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)

    def _list(self, name: str) -> list[str]:
        value = self._options[name]
        return [str(entry) for entry in value] if isinstance(value, (list, tuple)) else []

    def _reported(self, measured: Mapping[Path, str], omit: Iterable[str] = (), *, by_name: bool = False) -> set[Path]:
        """Return those of *measured* files that coverage.py reports without *omit*; by each, the plugin that did it.

        With *by_name*, no Python file is parsed, so one that cannot be parsed is returned, too.
        """
        with self._analysis(None, by_name=by_name) as analysis:
            if any(measured.values()):
                data = analysis.get_data()
                data.add_lines({})
                for path, tracer in measured.items():
                    data.touch_file(self.name(path), tracer)
            try:
                document = _json_report(analysis, measured, omit=list(omit), include=[])
            except NoDataError:  # all of them
                return set()
        return {self.place(name) for name in document["files"]}

    def name(self, path: Path) -> str:
        """Return how a data file of this configuration names *path*."""
        if self._options["run:relative_files"] and path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        return str(path)

    def place(self, name: str) -> Path:
        """Return the file that *name* in a data file or a report stands for."""
        path = Path(self.folder, name)
        try:
            return path.resolve()
        except RuntimeError:  # a link that leads in a circle, to Python before 3.13
            return path

    def combine(self, parts: Iterable[Path], target: Path) -> None:
        """Combine *parts* into file *target* as ``coverage combine`` would, ``[paths]`` included, and keep them."""
        with explained():
            combined = coverage.Coverage(data_file=str(target), config_file=self._file)
            combined.combine([str(part) for part in parts], strict=True, keep=True)
            combined.save()
            combined.get_data().close(force=True)

    @contextlib.contextmanager
    def _analysis(self, data_file: Path | None, *, by_name: bool = False) -> Iterator[coverage.Coverage]:
        make = parsed.naming if by_name else self._parsed.sharing
        with explained():
            analysis = make(data_file=None if data_file is None else str(data_file), config_file=self._file)
            analysis.get_exclude_list()  # loads the plugins: what they configure comes before what is said here
            # Every path is proven by now; mapping them once more could only make them wrong.
            analysis.set_option("paths", {})
            # Recordings know no contexts: a report of some of them would be one without the cluster.
            analysis.set_option("report:contexts", [])
            if data_file is not None:
                analysis.load()
            try:
                yield analysis
            finally:
                analysis.get_data().close(force=True)

    def read_world(self, data_file: Path, xml: Path | None = None) -> dict[str, Any]:
        """Return coverage.py's JSON report of *data_file* over the selected files; write its report as *xml*, too."""
        with self._analysis(data_file) as analysis:
            document = _json_report(analysis, self.selected)
            if xml is not None:
                self._write_xml(analysis, xml)
            return document

    def write_files(self, data_file: Path, output: Path) -> float:
        """Write the HTML, XML and LCOV reports of *data_file* below *output*; return its coverage in percent."""
        with self._analysis(data_file) as analysis:
            paths = [str(path) for path in self.selected]
            analysis.html_report(morfs=paths, directory=str(output / outputs.HTML))
            self._write_xml(analysis, output / outputs.XML)
            # Of the three, this one counts what it leaves out for its shortness, too.
            return analysis.lcov_report(morfs=paths, outfile=str(output / outputs.LCOV))

    def _write_xml(self, analysis: coverage.Coverage, target: Path) -> None:
        # Names would begin below `run:source`, and of two packages with a `settings.py` nobody could tell whose it is;
        # so they begin in the folder, or in what is above it and all files: others would be named by whole paths.
        analysis.set_option("run:source", [os.path.commonpath([self.folder, *self.selected])])
        analysis.set_option("run:source_pkgs", [])
        analysis.set_option("run:source_dirs", [])
        analysis.xml_report(morfs=[str(path) for path in self.selected], outfile=str(target))


def contexts_note(contexts: Iterable[str]) -> str:
    """Return what there is to tell of a configuration that would report these *contexts* only."""
    return (
        f"report:contexts = {', '.join(contexts)} is not applied: recordings have no contexts, and a report of these "
        "would be one without the cluster"
    )


def _json_report(analysis: coverage.Coverage, paths: Iterable[Path], **options: Any) -> dict[str, Any]:
    """Return coverage.py's JSON report on *paths*; through its standard output, so that no file is written."""
    with contextlib.redirect_stdout(io.StringIO()) as written:
        analysis.json_report(morfs=[str(path) for path in paths], outfile="-", **options)
    document: dict[str, Any] = json.loads(written.getvalue())
    return document


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn coverage.py's complaints about configuration and source files into ours."""
    try:
        yield
    except NotPython as error:
        raise UnparsedError(f"coverage.py says: {error}") from None
    except CoverageException as error:
        if outputs.is_of_writing(cause := error.__cause__) and cause is not None:
            raise cause from None
        raise UsageError(f"coverage.py says: {error}") from None
