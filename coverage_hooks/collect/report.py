"""coverage.py's own analysis of the worlds, over one list of files: every one that the configuration selects.

The list, the exclusions, and what is covered in unit and in cluster are coverage.py's, through its public API. Combined
is their union, for an analysis costs seconds per thousand files; it is held against coverage.py's own count of it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
from coverage.exceptions import CoverageException, NoDataError

from coverage_hooks.collect import checkout, files, worlds
from coverage_hooks.collect.worlds import Compared
from coverage_hooks.errors import CoverageHooksError, UsageError


class Configuration:
    """The user's coverage configuration, read by coverage.py as it does in *folder*, and what follows from it."""

    def __init__(self, rcfile: Path | None, folder: Path) -> None:
        self.folder = folder.resolve()
        self._file: str | bool = True if rcfile is None else str(rcfile)
        self._beside = [] if rcfile is None else [rcfile.resolve().parent]
        with explained():
            probe = coverage.Coverage(data_file=None, config_file=self._file)
        self._options = {
            name: probe.get_option(name)
            for name in (
                "run:source", "run:source_pkgs", "run:source_dirs", "run:omit", "run:include",
                "run:branch", "run:relative_files", "report:include_namespace_packages",
                "report:omit", "report:include",
            )
        }  # fmt: skip

    @property
    def branch(self) -> bool:
        """Whether the configuration asks for branches."""
        return bool(self._options["run:branch"])

    @property
    def _entries(self) -> list[str]:
        return [*self._list("run:source"), *self._list("run:source_pkgs"), *self._list("run:source_dirs")]

    @functools.cached_property
    def _found(self) -> list[Path]:
        """Every source file of the checkout that ``run:source`` names."""
        if not self._entries:
            raise UsageError(
                "the coverage configuration names no source, so nobody knows which files to report; "
                "add `source = your_package` to `[run]`, here and in the operator's image"
            )
        bases = list(dict.fromkeys(base / below for base in (self.folder, *self._beside) for below in ("", "src")))
        namespaces = bool(self._options["report:include_namespace_packages"])
        return sorted(checkout.find_sources(self._entries, bases, namespaces=namespaces))

    @functools.cached_property
    def selected(self) -> list[Path]:
        """Every source file of the checkout that ``run:source`` selects and ``run:omit`` leaves, imported or not."""
        selected = self._without_omitted(self._found)
        if not selected:
            raise UsageError(f"`run:source` ({', '.join(self._entries)}) selects no file; nothing can be reported")
        return selected

    def omitted(self, reported: Iterable[str]) -> dict[str, str]:
        """Return the files that ``run:source`` names and are not *reported*, and the setting that left them out."""
        there = {self.place(name) for name in reported}
        return {self._shown(path): self._reason(path) for path in self._found if path not in there}

    def _reason(self, path: Path) -> str:
        """Return why *path* is in no report: coverage.py does not tell which pattern it was."""
        if path not in self.selected:
            return f"run:omit = {', '.join(self._list('run:omit'))}"
        patterns = [f"{name} = {', '.join(self._list(name))}" for name in ("report:omit", "report:include")]
        given = [pattern for pattern in patterns if not pattern.endswith("= ")]
        return "; ".join(given) or "report:ignore_errors: coverage.py cannot read it"

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)

    def _list(self, name: str) -> list[str]:
        value = self._options[name]
        return [str(entry) for entry in value] if isinstance(value, (list, tuple)) else []

    def _without_omitted(self, paths: list[Path]) -> list[Path]:
        """Return *paths* without those that ``run:omit`` matches, by asking coverage.py for a report without them."""
        omit = self._list("run:omit")
        if not omit or not paths:
            return paths
        with self._analysis(None) as analysis:
            try:
                document = _json_report(analysis, paths, omit=omit, include=[])
            except NoDataError:  # all of them
                return []
        kept = {self.place(name) for name in document["files"]}
        return [path for path in paths if path in kept]

    def name(self, path: Path) -> str:
        """Return how a data file of this configuration names *path*."""
        if self._options["run:relative_files"] and path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        return str(path)

    def place(self, name: str) -> Path:
        """Return the file that *name* in a data file or a report stands for."""
        return Path(self.folder, name).resolve()

    def combine(self, parts: Iterable[Path], target: Path) -> None:
        """Combine *parts* into file *target* as ``coverage combine`` would, ``[paths]`` included, and keep them."""
        with explained():
            combined = coverage.Coverage(data_file=str(target), config_file=self._file)
            combined.combine([str(part) for part in parts], strict=True, keep=True)
            combined.save()
            combined.get_data().close(force=True)

    @contextlib.contextmanager
    def _analysis(self, data_file: Path | None) -> Iterator[coverage.Coverage]:
        with explained():
            analysis = coverage.Coverage(
                data_file=None if data_file is None else str(data_file), config_file=self._file
            )
            # Every path is proven by now; mapping them once more could only make them wrong.
            analysis.set_option("paths", {})
            if data_file is not None:
                analysis.load()
            try:
                yield analysis
            finally:
                analysis.get_data().close(force=True)

    def read_world(self, data_file: Path) -> dict[str, Any]:
        """Return coverage.py's JSON report of *data_file* over the selected files."""
        with self._analysis(data_file) as analysis:
            return _json_report(analysis, self.selected)

    def write_xml(self, data_file: Path, target: Path) -> None:
        """Write the XML report of *data_file* over the selected files as *target*."""
        with self._analysis(data_file) as analysis:
            self._write_xml(analysis, target)

    def write_files(self, data_file: Path, output: Path) -> float:
        """Write the HTML, XML and LCOV reports of *data_file* below *output*; return its coverage in percent."""
        with self._analysis(data_file) as analysis:
            paths = [str(path) for path in self.selected]
            analysis.html_report(morfs=paths, directory=str(output / files.HTML))
            self._write_xml(analysis, output / files.XML)
            # Of the three, this one counts what it leaves out for its shortness, too.
            return analysis.lcov_report(morfs=paths, outfile=str(output / files.LCOV))

    def _write_xml(self, analysis: coverage.Coverage, target: Path) -> None:
        # Names would begin below `run:source`, and of two packages with a `settings.py` nobody could tell whose it is;
        # so they begin in the folder, or in what is above it and all files: others would be named by whole paths.
        analysis.set_option("run:source", [os.path.commonpath([self.folder, *self.selected])])
        analysis.set_option("run:source_pkgs", [])
        analysis.set_option("run:source_dirs", [])
        analysis.xml_report(morfs=[str(path) for path in self.selected], outfile=str(target))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One world in percent: of lines, of branches (None without), and of both together as coverage.py counts them."""

    lines: float
    branches: float | None
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The worlds that exist, in total and by file, and by file what each line and branch was run by.

    `paths` are the files in the checkout; `omitted` are those that no percentage counts, with the setting that says so,
    and `excluded_lines` the lines.
    """

    totals: dict[str, World | None]
    files: dict[str, dict[str, World | None]]
    compared: dict[str, Compared]
    paths: dict[str, Path]
    omitted: dict[str, str]
    excluded_lines: int


def report(output: Path, configuration: Configuration, *, xml_per_world: bool = False) -> Report:
    """Write coverage.py's reports of what was combined below *output* and return the three worlds."""
    data_file = output / files.COMBINED
    unit, cluster = (
        configuration.read_world(output / name) if (output / name).is_file() else None
        for name in (files.UNIT, files.CLUSTER)
    )
    if (one := unit or cluster) is None or not data_file.is_file():
        raise UsageError(f"{str(data_file)!r} is not there: run `coverage-hooks combine` first")
    names = sorted(one["files"])
    compared = {name: worlds.compare(_file(unit, name), _file(cluster, name), name) for name in names}
    combined = _union(list(compared.values()))
    _check(combined, configuration.write_files(data_file, output))
    if xml_per_world:
        for name, target in files.XML_OF.items():
            if (output / name).is_file():
                configuration.write_xml(output / name, output / target)
    return Report(
        totals={"unit": _world(unit, "totals"), "cluster": _world(cluster, "totals"), "combined": combined},
        files={
            name: {
                "unit": _world(_file(unit, name), "summary"),
                "cluster": _world(_file(cluster, name), "summary"),
                "combined": _union([compared[name]]),
            }
            for name in names
        },
        compared=compared,
        paths={name: configuration.place(name) for name in names},
        omitted=configuration.omitted(names),
        excluded_lines=sum(len(each.excluded) for each in compared.values()),
    )


def _file(document: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    return None if document is None else document["files"].get(name)


def _world(document: dict[str, Any] | None, part: str) -> World | None:
    if document is None:
        return None
    summary = document[part]
    return World(
        lines=summary["percent_statements_covered"],
        branches=summary.get("percent_branches_covered"),
        percent=summary["percent_covered"],
    )


def _union(compared: list[Compared]) -> World:
    """Return what the worlds in *compared* covered together."""
    lines = _ratio(worlds.counts(each.lines for each in compared))
    branches = _ratio(worlds.counts(each.branches for each in compared), sum(each.assumed for each in compared))
    has_branches = any(each.branches is not None for each in compared)
    return World(
        lines=_percent(*lines),
        branches=_percent(*branches) if has_branches else None,
        percent=_percent(lines[0] + branches[0], lines[1] + branches[1]),
    )


def _ratio(counts: dict[str, int], assumed: int = 0) -> tuple[int, int]:
    every = sum(counts.values()) + assumed
    return every - counts["neither"], every


def _percent(covered: int, of: int) -> float:
    """Return a percentage; of nothing, all is covered: coverage.py has it so."""
    return 100.0 * covered / of if of else 100.0


def _check(combined: World, counted: float) -> None:
    """Refuse to report a number that coverage.py disagrees with; where there is no line at all, it says 0."""
    if counted and not math.isclose(combined.percent, counted, abs_tol=1e-6):
        raise CoverageHooksError(
            f"unit and cluster cover {combined.percent:.6f} % together, but coverage.py counts {counted:.6f} % in "
            "their union: a file changed meanwhile; run `coverage-hooks combine` and `coverage-hooks report` again"
        )


def _json_report(analysis: coverage.Coverage, paths: list[Path], **options: Any) -> dict[str, Any]:
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
    except CoverageException as error:
        if files.is_of_writing(cause := error.__cause__) and cause is not None:
            raise cause from None
        raise UsageError(f"coverage.py says: {error}") from None
