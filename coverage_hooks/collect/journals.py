"""What the journals of a recording say together; nothing in them is trusted.

A journal is read to its end, or to the first record that is unsound, and what is before that counts. Where the file
ends within a record or a name, it was being written: its point has not run.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from array import array
from collections import defaultdict
from collections.abc import Sequence

from coverage_hooks.collect.arcs import Arcs, unpack
from coverage_hooks.collect.contents import Content, bits_of
from coverage_hooks.errors import ManifestError, VolumeError
from coverage_hooks.volume.journal import NAME, NAME_LIMIT, RECORD, Fingerprint, Name, padded

#: Beyond any line that a program has, so that no claim can make a set of lines fill the memory.
LAST_LINE = 10_000_000

#: Beyond any program, too, and little enough for the memory: content is held whole, of several recordings at a time.
#: The bytes are those of all names, and those of all lines as bits.
MOST_POINTS, MOST_BYTES = 2_000_000, 40 << 20

#: How many records are looked at together: a journal may be much longer than what is new in it.
_TOGETHER = 1 << 16

#: The first half of a record that introduces a name, as one number.
_NAME = NAME << 32

#: What no path has, or none that a data file could hold.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class Journals:
    """What the journals of one recording say, of lines or, with *branch*, of arcs.

    `problems` tell of which paths it is not known what was imported, and why, if that is known.
    """

    def __init__(self, *, branch: bool) -> None:
        self.problems: dict[str, str] = {}
        self._fingerprints: dict[str, Fingerprint] = {}
        self._branch = branch
        self._points: dict[str, set[int]] = {}
        self._tracers: dict[str, str] = {}
        self._point_count = self._name_bytes = 0

    def read(self, journal: memoryview) -> tuple[int, str]:
        """Add what *journal* says; return how many bytes of it are sound, and what follows that is not.

        `VolumeError` when that is more than any program has.
        """
        names: dict[int, Name] = {}
        at, size = 0, len(journal) // RECORD.size
        wrong = ""
        try:
            while at < size:
                at = self._read(journal, at, names)
        except _UnsoundError as found:
            at, wrong = found.record, str(found)
        for name in names.values():
            if name.fingerprint is None and not name.problem:
                self.problems.setdefault(name.path, "")
        return at * RECORD.size, wrong

    @property
    def fingerprints(self) -> dict[str, Fingerprint]:
        """What was imported, by path, where that is known and the same in all journals."""
        return {path: known for path, known in self._fingerprints.items() if path not in self.problems}

    def content(self) -> Content:
        """Return all of it; `VolumeError` when that is more than any program has."""
        lines: dict[tuple[str, str], int] = {}
        arcs: dict[tuple[str, str], Arcs] | None = None
        found = {(path, ""): points for path, points in self._points.items() if points}
        if self._branch:
            arcs = {key: Arcs.of(points) for key, points in found.items()}
        else:
            _expect_at_most(MOST_BYTES, sum(max(points) // 8 + 1 for points in found.values()))
            lines = {key: bits_of(points) for key, points in found.items()}
        return Content.of(self._points.keys(), self._tracers, lines=lines, arcs=arcs)

    def _read(self, journal: memoryview, at: int, names: dict[int, Name]) -> int:
        """Add the records of *journal* from number *at* on, and return from which on there are more."""
        words = journal[at * RECORD.size :][: _TOGETHER * RECORD.size]
        words = words[: len(words) // RECORD.size * RECORD.size].cast("q")
        firsts, seconds = words[::2].tolist(), words[1::2].tolist()
        here = 0
        while here < len(firsts):
            try:
                name = firsts.index(_NAME, here)
            except ValueError:
                name = len(firsts)
            if name > here:
                self._add(at + here, firsts[here:name], seconds[here:name], names)
            here = name
            if name < len(firsts):
                here += self._name(journal, at + name, seconds[name], names)
        return at + here

    def _add(self, at: int, files: Sequence[int], points: Sequence[int], names: dict[int, Name]) -> None:
        """Add *points*, each of the file whose number is in *files*; record *at* has the first."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for file, point in zip(files, points, strict=True):
            found[file].append(point)
        if not (found.keys() <= names.keys() and self._are_sound(points)):
            whole = (
                number
                for number, each in enumerate(points)
                if files[number] not in names or not self._are_sound([each])
            )
            sound = next(whole)
            if sound:
                self._add(at, files[:sound], points[:sound], names)
            raise _UnsoundError(at + sound, self._wrong(files[sound], points[sound], names))
        for file, each in found.items():
            kept = self._points[names[file].path]
            self._point_count -= len(kept)
            kept.update(each)
            self._point_count += len(kept)
        _expect_at_most(MOST_POINTS, self._point_count)

    def _are_sound(self, points: Sequence[int]) -> bool:
        """Whether *points* are such as a program may have."""
        if not self._branch:
            return min(points) >= 0 and max(points) <= LAST_LINE  # as the other half is 0
        ends = memoryview(array("q", points)).cast("B").cast("i")
        return min(ends) >= -LAST_LINE and max(ends) <= LAST_LINE

    def _name(self, journal: memoryview, at: int, size: int, names: dict[int, Name]) -> int:
        """Add the name that record *at* introduces, and return how many records it takes."""
        if not 0 < size <= NAME_LIMIT:
            raise _UnsoundError(at, "a name of no possible length")
        first = (at + 1) * RECORD.size
        text = bytes(journal[first : first + padded(size)])
        if len(text) < padded(size):
            raise _UnsoundError(at, "a name of no possible text" if 0 in text else "")
        try:
            name = _parsed(text)
        except ManifestError as error:
            raise _UnsoundError(at, str(error)) from None
        if name.number not in names:
            names[name.number] = name
            self._points.setdefault(name.path, set())
            if name.tracer:
                self._tracers[name.path] = name.tracer
        known = names[name.number]
        if (known.path, known.tracer) != (name.path, name.tracer):
            raise _UnsoundError(at, f"a second name for file {name.number}")
        if name.problem:
            self.problems.setdefault(name.path, name.problem)
        elif name.fingerprint and self._fingerprints.setdefault(name.path, name.fingerprint) != name.fingerprint:
            self.problems.setdefault(name.path, "it was imported in two versions")
        if name.problem or name.fingerprint:
            names[name.number] = name
        self._name_bytes += size
        _expect_at_most(MOST_BYTES, self._name_bytes)
        return 1 + padded(size) // RECORD.size

    def _wrong(self, file: int, point: int, names: dict[int, Name]) -> str:
        """Return what is wrong with the record of *file* and *point*."""
        if file == 0:
            return "a hole, or what is no record"
        if file >> 32:
            return "a record of an unknown kind"
        if file not in names:
            return f"a point of file {file}, which has no name"
        start, end = unpack(point)
        if end and not self._branch:
            return "an arc, where lines were measured"
        what = f"an arc from {start} to {end}" if self._branch else f"line {start}"
        return f"{names[file].path} has {what}, and no program has that"


class _UnsoundError(Exception):
    """Record number `record` of a journal is not what it should be; without a text it is cut short."""

    def __init__(self, record: int, wrong: str) -> None:
        super().__init__(wrong)
        self.record = record


def _expect_at_most(most: int, found: int) -> None:
    if found > most:
        raise VolumeError("damaged: it holds more than any program has")


@functools.lru_cache(maxsize=2048)
def _parsed(text: bytes) -> Name:
    """Parse *text*, most of them once: replicas of an operator name much the same files."""
    name = Name.parse(text)
    if _NO_TEXT.search(name.path):
        return dataclasses.replace(name, problem="its path is no text")
    return name
