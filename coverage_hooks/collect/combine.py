"""Verified recordings and unit data become three data files with the paths of the checkout: unit, cluster, both.

coverage.py makes every data file, and `union` fills them; inputs are never written. Unit and cluster stay two files;
their union is `.coverage`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import coverage
from coverage.exceptions import CoverageException

from coverage_hooks.collect import checkout, files, union
from coverage_hooks.collect.checkout import Checkout
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.realign import Realigner, Realignment, Tally
from coverage_hooks.collect.remap import Refused, Remapped, Remapper, common_tail
from coverage_hooks.collect.report import Configuration, explained
from coverage_hooks.collect.skew import skews
from coverage_hooks.collect.union import Union
from coverage_hooks.collect.verify import Verified
from coverage_hooks.errors import UsageError
from coverage_hooks.volume.manifest import Fingerprint

MADE_BY = "made by `coverage run -m pytest`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What is combined with the recordings, and which files may differ: as `--allow-mismatch` names them.

    With `realign`, what a diff proves unchanged in a file that differs is carried over.
    """

    units: list[Path] = field(default_factory=list)
    allow_mismatch: list[str] = field(default_factory=list)
    realign: bool = False


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
        for skew in skews((each.process for each in verified), coverage.__version__):
            ledger.note("combine", skew)
        remapper = Remapper(sources, work.by_paths_setting, Realigner(sources) if inputs.realign else None)
        with work.writing(files.CLUSTER, branch=branch) as cluster:
            for each in (each for each in verified if each.content.arcs == branch):
                remapped = _remapped(ledger, each, sources, remapper, inputs)
                try:
                    cluster.add(work.write_recording(each, remapped))
                except sqlite3.Error as error:  # none is known to come so far; one recording must not stop the rest
                    ledger.lose("combine", each.row, f"SQLite says: {error}", file=each.path.name)
        for place, told in work.realigned():
            ledger.note("combine", f"realigned {sources.shown(place)}: {told}")
        parts = [output / files.CLUSTER]
        if unit is not None:
            work.copy(unit, files.UNIT)
            parts.append(unit)
        with work.writing(files.COMBINED, branch=branch) as combined:
            for part in parts:
                combined.add(part)


def _remapped(ledger: Ledger, verified: Verified, sources: Checkout, remapper: Remapper, inputs: Inputs) -> Remapped:
    """Return where the paths of *verified* belong, and enter what is refused."""
    result = remapper.remap(verified)
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
        self._tallies: dict[tuple[Path, Fingerprint], Tally] = {}
        self._blank: dict[bool, bytes] = {}

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
        with self._filling(self._scratch / "unit", branch=modes[units[0]]) as renamed:
            renamed.add(merged, places)
        return self._scratch / "unit"

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
        moved = {path: self._tally(verified, path, realigned) for path, realigned in remapped.realigned.items()}
        places |= {path: self._configuration.name(realigned.place) for path, realigned in remapped.realigned.items()}
        target = files.make_folder(self._output / files.DATA) / f".coverage.{verified.row.recording}"
        half = self._scratch / "half"
        if not moved and len(set(places.values())) == len(verified.content.paths):  # nothing but names changes
            shutil.copyfile(verified.path, half)
            union.rename(half, places, self._names)
        else:
            with self._filling(half, branch=verified.content.arcs) as renamed:
                renamed.add(verified.path, places, moved)
        return half.replace(target)

    def _tally(self, verified: Verified, path: str, realignment: Realignment) -> Tally:
        key = realignment.place, verified.fingerprints[path]
        tally = self._tallies.setdefault(key, Tally(realignment))
        tally.recordings += 1
        return tally

    def realigned(self) -> Iterator[tuple[Path, str]]:
        """Yield every file that was realigned, with what there is to tell."""
        for (place, _), tally in sorted(self._tallies.items(), key=lambda item: item[0][0]):
            yield place, tally.told()

    @contextmanager
    def writing(self, name: str, *, branch: bool) -> Iterator[Union]:
        """Give data file *name* of the output to fill, in which every selected file is named, run or not."""
        made = self._scratch / name
        with self._filling(made, branch=branch) as filled:
            yield filled
        made.replace(self._output / name)

    def copy(self, part: Path, name: str) -> None:
        """Make data file *part* data file *name* of the output too."""
        shutil.copyfile(part, self._scratch / "half")
        (self._scratch / "half").replace(self._output / name)

    @contextmanager
    def _filling(self, target: Path, *, branch: bool) -> Iterator[Union]:
        if branch not in self._blank:
            blank = self._scratch / "blank"
            with _fresh(blank) as data:
                _declare(data, branch=branch)
                data.touch_files(self._names)
            self._blank[branch] = blank.read_bytes()
        target.write_bytes(self._blank[branch])
        with union.extending(target, arcs=branch) as filled:
            yield filled

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
