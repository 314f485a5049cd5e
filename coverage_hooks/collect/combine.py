"""Verified recordings and unit data become three data files with the paths of the checkout: unit, cluster, both.

Only coverage.py's public API touches data, and inputs are never written. Unit and cluster stay two files; their union
is `.coverage`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import coverage
from coverage.exceptions import CoverageException

from coverage_hooks.collect import checkout, files
from coverage_hooks.collect.checkout import Checkout
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.remap import Refused, Remapped, common_tail, remap
from coverage_hooks.collect.report import Configuration, explained
from coverage_hooks.collect.verify import Verified
from coverage_hooks.errors import UsageError

MADE_BY = "made by `coverage run -m pytest`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What is combined with the recordings, and which files may differ: as `--allow-mismatch` names them."""

    units: list[Path] = field(default_factory=list)
    allow_mismatch: list[str] = field(default_factory=list)


def combine(
    ledger: Ledger, verified: list[Verified], output: Path, configuration: Configuration, inputs: Inputs
) -> None:
    """Write the data files of *verified* and of the unit data below *output*; what cannot be used becomes losses."""
    sources = checkout.read_checkout(configuration.selected, configuration.folder)
    if sources.note:
        ledger.note("combine", sources.note)
    files.clear(output)
    files.make_folder(output)
    with explained(), tempfile.TemporaryDirectory(dir=output, prefix=".combine-") as scratch:
        work = _Work(configuration, output, Path(scratch))
        unit = work.read_units(inputs.units)
        branch = work.choose_mode(ledger, unit, verified)
        recordings = []
        for each in (each for each in verified if each.content.arcs == branch):
            remapped = _remapped(ledger, each, sources, work, inputs)
            try:
                recordings.append(work.write_recording(each, remapped))
            except CoverageException as error:  # nothing is known to come so far; one recording must not stop the rest
                ledger.lose("combine", each.row, f"coverage.py says: {error}", file=each.path.name)
        work.write_world(files.CLUSTER, recordings, branch=branch)
        if unit is not None:
            work.write_world(files.UNIT, [unit], branch=branch)
        work.write_world(files.COMBINED, recordings + ([unit] if unit else []), branch=branch)


def _remapped(ledger: Ledger, verified: Verified, sources: Checkout, work: _Work, inputs: Inputs) -> Remapped:
    """Return where the paths of *verified* belong, and enter what is refused."""
    result = remap(verified, sources, work.by_paths_setting)
    for refused in result.refused:
        if _is_allowed(refused, sources, inputs.allow_mismatch):
            ledger.note("combine", f"{refused.path} of {verified.row.recording} {refused.reason}; left out as allowed")
        else:
            ledger.lose("combine", verified.row, refused.reason, file=refused.path)
    for path, place in result.outside.items():
        ledger.note(
            "combine", f"{path} of {verified.row.recording} is {sources.shown(place)}: not selected here, left out"
        )
    return result


def _is_allowed(refused: Refused, sources: Checkout, allowed: Iterable[str]) -> bool:
    names = {refused.path}
    if refused.nearest is not None:
        names |= {str(refused.nearest), sources.shown(refused.nearest)}
    return any(name in names or os.path.abspath(name) in names for name in allowed)  # noqa: PTH100 - text, not a place


class _Work:
    """One combining: how files are named in data, and a folder for what is only half made."""

    def __init__(self, configuration: Configuration, output: Path, scratch: Path) -> None:
        self._configuration = configuration
        self._output = output
        self._scratch = scratch
        self._names = [configuration.name(path) for path in configuration.selected]

    def read_units(self, units: list[Path]) -> Path | None:
        """Return the unit data as one file with names of the checkout; `UsageError` when a unit file is unusable."""
        if not units:
            return None
        modes = {unit: self._check_unit(unit) for unit in units}
        if len(set(modes.values())) > 1:
            lines, branches = (next(unit for unit in units if modes[unit] is mode) for mode in (False, True))
            raise UsageError(_mixed(f"unit data {str(lines)!r}", f"unit data {str(branches)!r}"))
        merged = self._scratch / "units"
        self._configuration.combine(units, merged)
        with _reading(merged) as data:
            measured = sorted(data.measured_files())
        self._check_unit_paths(measured, units)
        selected = set(self._configuration.selected)
        found = {path: self._configuration.place(path) for path in measured}
        places = {path: self._configuration.name(place) for path, place in found.items() if place in selected}
        if not places:
            raise UsageError(f"{_named(units)}: nothing in it is selected by `run:source`; {_unit_advice(measured)}")
        return self._renamed(merged, places, self._scratch / "unit")

    def _check_unit(self, unit: Path) -> bool:
        """Return whether *unit* has branches."""
        if not unit.is_file():
            raise UsageError(f"no unit data at {str(unit)!r}; it is {MADE_BY}")
        try:
            with _reading(unit) as data:
                if not data.measured_files():
                    raise UsageError(f"unit data {str(unit)!r} is empty; it is {MADE_BY}")
                return data.has_arcs()
        except CoverageException as error:
            raise UsageError(f"unit data {str(unit)!r} cannot be read: {error}; it is {MADE_BY}") from None

    def _check_unit_paths(self, measured: list[str], units: list[Path]) -> None:
        """Refuse unit data of another checkout, which coverage.py would report as nothing at all."""
        for path in measured:
            if not self._configuration.place(path).exists() and any(common_tail(path, n) > 1 for n in self._names):
                raise UsageError(f"{_named(units)}: {_unit_advice([path])}")

    def choose_mode(self, ledger: Ledger, unit: Path | None, verified: list[Verified]) -> bool:
        """Return whether branches are reported: as the unit data has it, else as most recordings have it.

        Lines and branches cannot be mixed: recordings of the other kind are losses.
        """
        if unit is not None:
            with _reading(unit) as data:
                branch = data.has_arcs()
        elif verified:
            branch = sum(each.content.arcs for each in verified) * 2 >= len(verified)
        else:
            return self._configuration.branch
        others = [each for each in verified if each.content.arcs != branch]
        against = "the unit data" if unit is not None else "the other recordings"
        if unit is not None and others and len(others) == len(verified):
            lines, branches = f"recording {others[0].row.recording}", against
            raise UsageError(_mixed(*((lines, branches) if branch else (branches, lines))))
        for each in others:
            this = f"recording {each.row.recording}"
            reason = _mixed(*((this, against) if branch else (against, this)))
            ledger.lose("combine", each.row, reason, file=each.path.name)
        return branch

    def write_recording(self, verified: Verified, remapped: Remapped) -> Path:
        """Write the accepted part of *verified* as one of the files that ``coverage combine`` may be given."""
        places = {path: self._configuration.name(place) for path, place in remapped.files.items()}
        target = files.make_folder(self._output / files.DATA) / f".coverage.{verified.row.recording}"
        return self._renamed(verified.path, places, target)

    def write_world(self, name: str, parts: Iterable[Path], *, branch: bool) -> None:
        """Write the union of *parts*, in which every selected file is named, run or not."""
        with self._writing(self._output / name) as world:
            _declare(world, branch=branch)
            for part in parts:
                with _reading(part) as data:
                    world.update(data, map_path=str)
            world.touch_files(self._names)

    def by_paths_setting(self, paths: Iterable[str]) -> dict[str, Path]:
        """Return where the ``[paths]`` setting leads *paths* to, by letting coverage.py combine a file of them.

        Line numbers carry the answer: line 7 of a mapped file stands for the seventh path.
        """
        asked = list(paths)
        question, answer = self._scratch / "question", self._scratch / "answer"
        with _fresh(question) as data:
            data.add_lines({path: {number} for number, path in enumerate(asked, start=1)})
        self._configuration.combine([question], answer)
        with _reading(answer) as data:
            return {
                asked[number - 1]: self._configuration.place(place)
                for place in data.measured_files()
                for number in data.lines(place) or ()
            }

    def _renamed(self, source: Path, places: Mapping[str, str], target: Path) -> Path:
        """Write *source* at *target* with the paths that *places* gives; what has no place is left out.

        A path that was purged keeps its name in the data. It gets that of a selected file: those are all named anyhow.
        """
        with _reading(source) as data, self._writing(target) as renamed:
            measured = data.measured_files()
            tokens = {path: f"/{number}" for number, path in enumerate(measured)}
            if unplaced := [tokens[path] for path in measured if path not in places]:
                with _fresh(self._scratch / "purged") as purged:
                    purged.update(data, map_path=tokens.__getitem__)
                    purged.purge_files(unplaced)
                    back = {token: places.get(path, self._names[0]) for path, token in tokens.items()}
                    renamed.update(purged, map_path=back.__getitem__)
            else:
                renamed.update(data, map_path=places.__getitem__)
            renamed.touch_files(self._names)
        return target

    @contextmanager
    def _writing(self, target: Path) -> Iterator[coverage.CoverageData]:
        """Give data to fill, which becomes file *target* at the end."""
        half = self._scratch / "half"
        with _fresh(half) as data:
            yield data
        half.replace(target)


@contextmanager
def _reading(path: Path) -> Iterator[coverage.CoverageData]:
    data = coverage.CoverageData(str(path), read_only=True)
    try:
        data.read()
        yield data
    finally:
        data.close(force=True)


@contextmanager
def _fresh(path: Path) -> Iterator[coverage.CoverageData]:
    path.unlink(missing_ok=True)
    data = coverage.CoverageData(str(path))
    try:
        yield data
        data.write()
    finally:
        data.close(force=True)


def _declare(data: coverage.CoverageData, *, branch: bool) -> None:
    """Make empty *data* know its kind; without it no file can be named in it."""
    if branch:
        data.add_arcs({})
    else:
        data.add_lines({})


def _mixed(lines: str, branches: str) -> str:
    return (
        f"{lines} measured lines, {branches} measured branches: they cannot be combined; "
        "set `[run] branch` to the same in both configurations and record again"
    )


def _named(units: list[Path]) -> str:
    return f"unit data {', '.join(repr(str(unit)) for unit in units)}"


def _unit_advice(paths: list[str]) -> str:
    return (
        f"it measured {paths[0]!r}, which is not in this checkout; was it made elsewhere? "
        "Set `[run] relative_files = true`, or name the folders in `[paths]`"
    )
