"""Verified recordings and unit data become three data files with the paths of the checkout: unit, cluster, both.

coverage.py makes every data file, and `union` fills them; inputs are never written. Unit and cluster stay two files;
their union is `.coverage`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import coverage
from coverage.exceptions import CoverageException

from coverage_hooks.collect import outputs
from coverage_hooks.collect.configuration import Configuration, explained
from coverage_hooks.collect.data.contents import Content, read_data
from coverage_hooks.collect.data.merge import Blank, Union
from coverage_hooks.collect.data.verify import Verified
from coverage_hooks.collect.ledger import MOST_NOTES, Ledger, Row
from coverage_hooks.collect.mapping import proof
from coverage_hooks.collect.mapping.checkout import Checkout
from coverage_hooks.collect.mapping.realign import Realigner, Realignment, Tally
from coverage_hooks.collect.mapping.remap import Refused, Remapped, Remapper
from coverage_hooks.collect.mapping.versions import skews
from coverage_hooks.collect.text import counted, ranges
from coverage_hooks.errors import UsageError
from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import Fingerprint
from coverage_hooks.volume.manifest import Process

#: How many data files may wait to be written. SQLite fills them in a thread of its own, beside what Python does.
_BEHIND = 2

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
    ledger: Ledger,
    verify: Callable[[], Iterator[Verified]],
    output: Path,
    configuration: Configuration,
    inputs: Inputs,
) -> None:
    """Write the data files of what *verify* yields and of the unit data below *output*.

    What cannot be used becomes losses.
    """
    outputs.clear(output)  # first: a plugin may take the pages of a report for templates
    outputs.make_folder(output)
    majority = None if inputs.units else _majority(ledger, verify)
    sources = configuration.checkout()
    if sources.note:
        ledger.note("combine", sources.note)
    with (
        explained(),
        tempfile.TemporaryDirectory(dir=output, prefix=outputs.SCRATCH) as scratch,
        ThreadPoolExecutor(max_workers=1) as writer,
    ):
        work = _Work(configuration, output, Path(scratch), writer, ledger)
        unit = work.read_units(inputs.units)
        for told in unit.notes if unit is not None else ():
            ledger.note("combine", told)
        if unit is not None and unit.changed:
            ledger.note("combine", _stale(inputs.units, [sources.shown(path) for path in unit.changed]))
        kinds = _Kinds(ledger, unit, majority)
        remapper = Remapper(
            sources, configuration, work.by_paths_setting, Realigner(sources) if inputs.realign else None
        )
        cluster = Union()
        line_ends: set[Path] = set()
        left_out: dict[tuple[str, str], list[str]] = defaultdict(list)
        for each in kinds.fitting(verify()):
            remapped = _remapped(ledger, each, sources, remapper, inputs)
            line_ends.update(remapped.line_ends)
            for path, (place, reason) in remapped.left_out.items():
                key = path, f"is {sources.shown(place)}: {reason}, left out"
                if key in left_out or len(left_out) <= MOST_NOTES:  # one more than are told: so the ledger says so
                    left_out[key].append(each.row.recording)
            work.add(cluster, each, remapped)
        work.finish()
        for (path, told), (first, *others) in left_out.items():  # once for all replicas
            ledger.note("combine", f"{path} of {first}{f' and {len(others)} more' if others else ''} {told}")
        for told in (*skews(kinds.processes, coverage.__version__), *work.told(sources.shown)):
            ledger.note("combine", told)
        if line_ends:
            ledger.note("combine", _other_ends([sources.shown(path) for path in sorted(line_ends)]))
        branch = kinds.branch if kinds.branch is not None else configuration.branch
        work.write(cluster, outputs.CLUSTER, branch=branch)
        if unit is not None:
            work.write(unit.facts, outputs.UNIT, branch=branch)
            cluster.update(unit.facts)
        work.write(cluster, outputs.COMBINED, branch=branch)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """What the unit data says, with names of the checkout, and the files in it that were changed after it was made.

    `notes` tell what of it is not reported.
    """

    facts: Union
    branch: bool
    changed: list[Path]
    notes: list[str]


class _Kinds:
    """Whether lines or branches are reported: as the unit data has it, else as most of the sound recordings have it.

    The two cannot be mixed, so recordings of the other kind are losses. `branch` is None before anybody could tell.
    """

    def __init__(self, ledger: Ledger, unit: _Unit | None, majority: bool | None) -> None:
        self.branch = majority if unit is None else unit.branch
        self.processes: list[Process] = []
        self._ledger = ledger
        self._against = "the other recordings" if unit is None else "the unit data"
        self._follow = unit is None

    def fitting(self, verified: Iterable[Verified]) -> Iterator[Verified]:
        """Yield those that can be combined; `UsageError` when there is unit data and none of them fits it."""
        others = 0
        for each in verified:
            self.processes.append(each.process)
            if self.branch is None:
                self.branch = each.branch
            if each.branch == self.branch:
                yield each
                continue
            others += 1
            this = f"recording {each.row.recording}"
            reason = _mixed(*((this, self._against) if self.branch else (self._against, this)))
            self._ledger.lose("combine", each.row, reason, file=layout.MANIFEST)
        if not self._follow and others and others == len(self.processes):
            raise UsageError(reason)


def _majority(ledger: Ledger, verify: Callable[[], Iterator[Verified]]) -> bool | None:
    """Return whether most of the sound recordings have branches; None where they are all of one kind, or there is none.

    It takes all to know what to do with the first, so they are verified twice: all of them are too much to keep.
    """
    # One that is damaged claims something, too: it may have been sound, or be so now.
    if len({row.branch for row in ledger.rows if row.folder}) < 2:
        return None
    kinds = Counter(each.branch for each in verify())
    ledger.begin("verify")
    return kinds[True] >= kinds[False] if kinds else None


def _remapped(ledger: Ledger, verified: Verified, sources: Checkout, remapper: Remapper, inputs: Inputs) -> Remapped:
    """Return where the paths of *verified* belong, and enter what is refused."""
    result = remapper.remap(verified)
    for refused in result.refused:
        if _is_allowed(refused, sources, inputs.allow_mismatch):
            ledger.note("combine", f"{refused.path} of {verified.row.recording} {refused.reason}; left out as allowed")
        else:
            ledger.lose("combine", verified.row, refused.reason, file=refused.path)
    return result


def _is_allowed(refused: Refused, sources: Checkout, allowed: Iterable[str]) -> bool:
    names = {refused.path, *map(str, refused.nearest), *map(sources.shown, refused.nearest)}
    return any(name in names or os.path.abspath(name) in names for name in allowed)  # noqa: PTH100 - text, not a place


class _Work:
    """One combining: how files are named in data, and a folder for what is only half made."""

    def __init__(
        self, configuration: Configuration, output: Path, scratch: Path, writer: Executor, ledger: Ledger
    ) -> None:
        self._configuration = configuration
        self._output = output
        self._scratch = scratch
        self._writer = writer
        self._ledger = ledger
        self._writing: deque[tuple[Row, Future[object]]] = deque()
        self._tallies: dict[tuple[Path, Fingerprint], Tally] = {}
        self._proven: dict[Path, set[int]] = {}
        self._blanks: dict[tuple[bool, int], Blank] = {}
        self._last: tuple[int, Union, Path] | None = None  # what was written last, and where
        self._named: dict[str, str] = {}

    @property
    def _names(self) -> dict[str, str]:
        """What data files call the selected files, with the plugin that measures each; more with what was measured."""
        selected = self._configuration.selected
        if len(selected) != len(self._named):
            tracers = self._configuration.tracers
            self._named = {name: tracers.get(name, "") for name in map(self._configuration.name, selected)}
        return self._named

    def read_units(self, units: list[Path]) -> _Unit | None:
        """Return what the unit data says, all of it; `UsageError` when a unit file is unusable."""
        if not units:
            return None
        modes = {unit: self._check_unit(unit) for unit in units}
        if len(set(modes.values())) > 1:
            lines, branches = (next(unit for unit in units if modes[unit] is mode) for mode in (False, True))
            raise UsageError(_mixed(f"unit data {str(lines)!r}", f"unit data {str(branches)!r}"))
        facts, found, notes = Union(), set[Path](), list[str]()
        for number, unit in enumerate(units):
            merged = self._scratch / f"unit-{number}"
            self._configuration.combine([unit], merged)
            content = read_data(merged)
            places, left_out = self._unit_places(unit, content)
            found.update(places.values())
            notes += (_unit_note(unit, reason, paths) for reason, paths in left_out.items())
            facts.add(content, {path: self._configuration.name(place) for path, place in places.items()})
        if not found:
            raise UsageError(
                f"{_named(units)}: nothing in it is selected by `run:source`; {_unit_advice(content.paths[0])}"
            )
        return _Unit(facts=facts, branch=modes[units[0]], changed=_changed_since(units, found), notes=notes)

    def _unit_places(self, unit: Path, content: Content) -> tuple[dict[str, Path], dict[str, list[str]]]:
        """Return where the files in *content* of *unit* are, and by reason those that are not reported.

        `UsageError` for what cannot be reported and coverage.py would not leave out.
        """
        places: dict[str, Path] = {}
        left_out: dict[str, list[str]] = defaultdict(list)
        for path in content.paths:
            place, tracer = self._configuration.place(path), content.tracers.get(path, "")
            if not place.is_file():
                if self._configuration.misses(place):
                    raise UsageError(f"{_named([unit])}: {_unit_advice(path)}")
                left_out["not here, and left out by the configuration"].append(path)
            elif reason := self._configuration.left_out(place, tracer):
                left_out[reason].append(path)
            elif refusal := self._configuration.refusal(place, tracer):
                raise UsageError(f"{_named([unit])}: {path!r} {refusal}")
            else:
                self._configuration.select(place, tracer)
                places[path] = place
        return places, left_out

    def _check_unit(self, unit: Path) -> bool:
        """Return whether *unit* has branches."""
        if not unit.is_file():
            raise UsageError(f"no unit data at {str(unit)!r}; it is {MADE_BY}")
        try:
            with self._reading(unit) as data:
                if not data.measured_files():
                    raise UsageError(f"unit data {str(unit)!r} is empty; it is {MADE_BY}")
                return data.has_arcs()
        except CoverageException as error:
            raise UsageError(f"unit data {str(unit)!r} cannot be read: {error}; it is {MADE_BY}") from None

    @contextmanager
    def _reading(self, path: Path) -> Iterator[coverage.CoverageData]:
        """Open a copy: versions of coverage.py before 7.17.2 write to an empty file that they are told to read."""
        copy = self._scratch / "copy"
        shutil.copyfile(path, copy)
        data = coverage.CoverageData(str(copy))
        try:
            data.read()
            yield data
        except CoverageException as error:  # it names the copy, which will be gone
            raise CoverageException(str(error).replace(str(copy), str(path))) from None
        finally:
            data.close(force=True)

    def add(self, world: Union, verified: Verified, remapped: Remapped) -> None:
        """Add the accepted part of *verified* to *world*, and begin to write it as a file for ``coverage combine``."""
        places = {path: self._configuration.name(place) for path, place in remapped.files.items()}
        moved = {path: self._tally(verified, path, realigned) for path, realigned in remapped.realigned.items()}
        places |= {path: self._configuration.name(realigned.place) for path, realigned in remapped.realigned.items()}
        facts = Union()
        facts.add(verified.content, places, moved)
        for name, lines in self._prove(verified, remapped):
            facts.add_proven(name, lines, branch=verified.branch)
        target = outputs.make_folder(self._output / outputs.DATA) / f".coverage.{verified.row.recording}"
        names = len(self._names)
        if self._last is not None and self._last[:2] == (names, facts):  # as replicas run it
            written: Future[object] = self._writer.submit(shutil.copyfile, self._last[2], target)
        else:
            world.update(facts)
            written = self._writer.submit(self._write, facts, target, self._blank(branch=verified.branch))
            self._last = names, facts, target
        self._writing.append((verified.row, written))
        self.finish(but=_BEHIND)

    def finish(self, *, but: int = 0) -> None:
        """Wait for the data files of all recordings *but* so many."""
        while len(self._writing) > but:
            row, written = self._writing.popleft()
            try:
                written.result()
            except sqlite3.Error as error:  # none is known to come so far; one recording must not stop the rest
                if outputs.is_of_writing(error):
                    raise
                self._last = None
                self._ledger.lose("combine", row, f"SQLite says: {error}")

    def _prove(self, verified: Verified, remapped: Remapped) -> Iterator[tuple[str, set[int]]]:
        """Yield by name which lines of *verified* ran before it was recorded; of a file that differs, none is known."""
        for begun in verified.begun:
            if (place := remapped.files.get(begun.path)) is None:
                continue
            try:
                lines = proof.proven(place.read_bytes(), begun.lines)
            except (OSError, SyntaxError, ValueError):  # coverage.py says so, too, when it reports the file
                continue
            if lines:
                self._proven.setdefault(place, set()).update(lines)
                yield self._configuration.name(place), lines

    def _tally(self, verified: Verified, path: str, realignment: Realignment) -> Tally:
        return self._tallies.setdefault((realignment.place, verified.fingerprints[path]), Tally(realignment))

    def told(self, shown: Callable[[Path], str]) -> Iterator[str]:
        """Yield what there is to tell of files whose lines are not simply those that were measured."""
        for place, lines in sorted(self._proven.items()):
            counted = ", ".join(ranges(lines, range(1, max(lines) + 1)))
            yield (
                f"{shown(place)} began before recording did: proven by its syntax tree to have run by then, and "
                f"counted as run: {counted}"
            )
        for (place, _), tally in sorted(self._tallies.items(), key=lambda item: item[0][0]):
            yield f"realigned {shown(place)}: {tally.told()}"

    def write(self, facts: Union, name: str, *, branch: bool) -> None:
        """Write *facts* as data file *name* of the output; `UsageError` when there is no room for it."""
        target = self._output / name
        try:
            self._write(facts, target, self._blank(branch=branch))
        except sqlite3.Error as error:
            raise UsageError(outputs.unwritten(error, target)) from None

    def _write(self, facts: Union, target: Path, blank: Blank) -> None:
        """Make *target* a data file of *facts* in which every selected file is named, run or not."""
        half = self._scratch / "half"
        facts.write(half, blank)
        half.replace(target)

    def _blank(self, *, branch: bool) -> Blank:
        """Return a data file of coverage.py's own in which every selected file is named, and nothing else."""
        names = self._names
        key = branch, len(names)
        if key not in self._blanks:
            path = self._scratch / "blank"
            with _fresh(path) as data:
                _declare(data, branch=branch)
                data.touch_files(names)
                data.add_file_tracers({name: tracer for name, tracer in names.items() if tracer})
            self._blanks[key] = Blank.at(path)
        return self._blanks[key]

    def by_paths_setting(self, paths: Iterable[str]) -> dict[str, Path]:
        """Return where the ``[paths]`` setting leads *paths* to, by letting coverage.py combine a file of them.

        Line numbers carry the answer: line 7 of a mapped file stands for the seventh path.
        """
        asked = list(paths)
        question, answer = self._scratch / "question", self._scratch / "answer"
        with _fresh(question) as data:
            data.add_lines({path: {number} for number, path in enumerate(asked, start=1)})
        self._configuration.combine([question], answer)
        with self._reading(answer) as data:
            return {
                asked[number - 1]: self._configuration.place(place)
                for place in data.measured_files()
                for number in data.lines(place) or ()
            }


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


def _changed_since(units: Iterable[Path], places: Iterable[Path]) -> list[Path]:
    """Return those of *places* that are newer than the oldest of *units*: it says nothing of what it measured."""
    made = min(unit.stat().st_mtime for unit in units)
    return sorted(place for place in places if place.is_file() and place.stat().st_mtime > made)


def _stale(units: list[Path], changed: list[str]) -> str:
    return (
        f"{_named(units)} is older than {_first(changed)}: where lines have moved since, it says that the wrong ones "
        "were run; run the unit tests again"
    )


def _named(units: list[Path]) -> str:
    return f"unit data {', '.join(repr(str(unit)) for unit in units)}"


def _unit_note(unit: Path, reason: str, paths: Sequence[str]) -> str:
    return f"{counted(len(paths), 'file')} of {_named([unit])}: {reason}, left out: {_first(paths)}"


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _other_ends(shown: Sequence[str]) -> str:
    return (
        f"{counted(len(shown), 'file')} with other line ends than what was recorded, as a checkout on Windows has, and "
        f"the same lines: {_first(shown)}"
    )


def _unit_advice(path: str) -> str:
    if any(kind(path).is_absolute() for kind in (PurePosixPath, PureWindowsPath)):
        return (
            f"it measured {path!r}, which is not in this checkout; was it made elsewhere? "
            "Set `[run] relative_files = true`, or name the folders in `[paths]`"
        )
    return (
        f"it measured {path!r}, and there is no such file here; was it made in another folder, such as one that tox "
        "changes to? Make it in this folder or with `[run] relative_files = false`, or name its packages in `[paths]`"
    )
