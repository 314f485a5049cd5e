"""coverage.py's own analysis of the three worlds, over one list of files: every one that the configuration selects.

The list, the exclusions and the percentages are coverage.py's, through its public API; nothing is counted here.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
from coverage.exceptions import CoverageException, NoDataError

from coverage_hooks.collect import checkout, files
from coverage_hooks.errors import UsageError

WORLDS = {"unit": files.UNIT, "cluster": files.CLUSTER, "combined": files.COMBINED}


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
            )
        }  # fmt: skip

    @property
    def branch(self) -> bool:
        """Whether the configuration asks for branches."""
        return bool(self._options["run:branch"])

    @functools.cached_property
    def selected(self) -> list[Path]:
        """Every source file of the checkout that ``run:source`` selects and ``run:omit`` leaves, imported or not."""
        entries = [*self._list("run:source"), *self._list("run:source_pkgs"), *self._list("run:source_dirs")]
        if not entries:
            raise UsageError(
                "the coverage configuration names no source, so nobody knows which files to report; "
                "add `source = your_package` to `[run]`, here and in the operator's image"
            )
        bases = list(dict.fromkeys(base / below for base in (self.folder, *self._beside) for below in ("", "src")))
        namespaces = bool(self._options["report:include_namespace_packages"])
        found = sorted(checkout.find_sources(entries, bases, namespaces=namespaces))
        selected = self._without_omitted(found)
        if not selected:
            raise UsageError(f"`run:source` ({', '.join(entries)}) selects no file; nothing can be reported")
        return selected

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

    def write_files(self, data_file: Path, output: Path) -> None:
        """Write the HTML, XML and LCOV reports of *data_file* below *output*."""
        with self._analysis(data_file) as analysis:
            paths = [str(path) for path in self.selected]
            analysis.html_report(morfs=paths, directory=str(output / files.HTML))
            analysis.xml_report(morfs=paths, outfile=str(output / files.XML))
            analysis.lcov_report(morfs=paths, outfile=str(output / files.LCOV))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One world in percent: of lines, of branches (None without), and of both together as coverage.py counts them."""

    lines: float
    branches: float | None
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The worlds that exist, in total and by file; `excluded_lines` are those that no percentage counts."""

    totals: dict[str, World | None]
    files: dict[str, dict[str, World | None]]
    excluded_lines: int

    def reaches(self, threshold: float) -> bool:
        """Whether combined coverage is at least *threshold* percent; nothing is rounded up to it."""
        combined = self.totals["combined"]
        return combined is not None and combined.percent >= threshold


def report(output: Path, configuration: Configuration) -> Report:
    """Write coverage.py's reports of what was combined below *output* and return the three worlds."""
    data_file = output / files.COMBINED
    if not data_file.is_file():
        raise UsageError(f"{str(data_file)!r} is not there: run `coverage-hooks combine` first")
    worlds = {
        world: configuration.read_world(output / name) if (output / name).is_file() else None
        for world, name in WORLDS.items()
    }
    configuration.write_files(data_file, output)
    combined = worlds["combined"]
    assert combined is not None
    return Report(
        totals={world: _world(document["totals"]) if document else None for world, document in worlds.items()},
        files={
            name: {
                world: _world(document["files"][name]["summary"]) if document else None
                for world, document in worlds.items()
            }
            for name in sorted(combined["files"])
        },
        excluded_lines=combined["totals"]["excluded_lines"],
    )


def _json_report(analysis: coverage.Coverage, paths: list[Path], **options: Any) -> dict[str, Any]:
    """Return coverage.py's JSON report on *paths*; through its standard output, so that no file is written."""
    with contextlib.redirect_stdout(io.StringIO()) as written:
        analysis.json_report(morfs=[str(path) for path in paths], outfile="-", **options)
    document: dict[str, Any] = json.loads(written.getvalue())
    return document


def _world(summary: dict[str, Any]) -> World:
    return World(
        lines=summary["percent_statements_covered"],
        branches=summary.get("percent_branches_covered"),
        percent=summary["percent_covered"],
    )


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn coverage.py's complaints about configuration and source files into ours."""
    try:
        yield
    except CoverageException as error:
        raise UsageError(f"coverage.py says: {error}") from None
