"""What the journals of a recording say together; nothing in them is trusted.

A journal is read to its end, or to the first record that is unsound, and what is before that counts. Where the file
ends within a record or a name, it was being written: its point has not run.
"""

from __future__ import annotations

import dataclasses
import functools
import mmap
import re
from collections.abc import Sequence

from coverage_hooks.collect.data.arcs import Arcs, unpack
from coverage_hooks.collect.data.contents import Content
from coverage_hooks.errors import ManifestError, VolumeError
from coverage_hooks.volume.journal import NAME, NAME_LIMIT, RECORD, Fingerprint, Name, padded

#: Beyond any line that a program has, and the lowest end of an arc: the last byte of each is 0, or 255 below zero.
LAST_LINE, FIRST_END = (1 << 24) - 1, -(1 << 24)

#: Beyond any program, too, and little enough for the memory: content is held whole, of several recordings at a time.
#: The bytes are those of all names, and one for each line of each file.
MOST_ARCS, MOST_BYTES, MOST_NAMES = 1_000_000, 20 << 20, 100_000

#: Texts of names that are longer are parsed each time: those that are kept must not fill the memory.
_KEPT = 1024

#: How many records are looked at together: a journal may be much longer than what is new in it.
_TOGETHER = 1 << 16

#: The first half of a record that introduces a name, as one number.
_NAME = NAME << 32

#: What no path has, or none that a data file could hold.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")

_NOT_RUN, _RUN = b"01"


class Journals:
    """What the journals of one recording say, of lines or, with *branch*, of arcs.

    `problems` tell of which paths it is not known what was imported, and why, if that is known.
    """

    def __init__(self, *, branch: bool) -> None:
        self.problems: dict[str, str] = {}
        self._fingerprints: dict[str, Fingerprint] = {}
        self._branch = branch
        self._lines: dict[str, bytearray] = {}  # by path a digit for each line, from line 0 on
        self._arcs: dict[str, set[int]] = {}
        self._tracers: dict[str, str] = {}
        self._line_bytes = self._name_bytes = self._name_count = 0
        # By number of one journal, what there is by path.
        self._names: dict[int, Name] = {}
        self._numbered_lines: dict[int, bytearray] = {}
        self._numbered_arcs: dict[int, set[int]] = {}

    def read(self, journal: memoryview) -> tuple[int, str]:
        """Add what *journal* says; return how many bytes of it are sound, and what follows that is not.

        `VolumeError` when that is more than any program has.
        """
        self._names, self._numbered_lines, self._numbered_arcs = {}, {}, {}
        at, size = 0, len(journal) // RECORD.size
        wrong = ""
        try:
            while at < size:
                before, at = at, self._read(journal, at, min(size, at + _TOGETHER))
                _expect_at_most(MOST_ARCS, sum(map(len, self._arcs.values())))
                let_go(journal, before * RECORD.size, at * RECORD.size)
        except _UnsoundError as found:
            at, wrong = found.record, str(found)
        for name in self._names.values():
            if name.fingerprint is None and not name.problem:
                self.problems.setdefault(name.path, "")
        return at * RECORD.size, wrong

    @property
    def fingerprints(self) -> dict[str, Fingerprint]:
        """What was imported, by path, where that is known and the same in all journals."""
        return {path: known for path, known in self._fingerprints.items() if path not in self.problems}

    def content(self) -> Content:
        """Return all of it."""
        lines = {(path, ""): int(digits[::-1], 2) for path, digits in self._lines.items() if digits}
        arcs = {(path, ""): Arcs.of(found) for path, found in self._arcs.items() if found}
        return Content.of(self._lines.keys(), self._tracers, lines=lines, arcs=arcs if self._branch else None)

    def _read(self, journal: memoryview, first: int, last: int) -> int:
        """Add the records of *journal* from number *first* to before *last*, and return which is to be read next."""
        # Without a sign, what is below zero as a line is beyond any, too.
        words = journal[first * RECORD.size : last * RECORD.size].cast("q" if self._branch else "Q")
        firsts, seconds = words[::2].tolist(), words[1::2].tolist()
        here = 0
        while here < len(firsts):
            try:
                name = firsts.index(_NAME, here)
            except ValueError:
                name = len(firsts)
            if name > here:
                self._add(journal, first + here, firsts[here:name], seconds[here:name])
            here = name
            if name < len(firsts):
                here += self._name(journal, first + name, seconds[name])
        return first + here

    def _add(self, journal: memoryview, at: int, files: Sequence[int], points: Sequence[int]) -> None:
        """Add *points*, each of the file whose number is in *files*; record *at* of *journal* has the first."""
        if self._branch:
            records = journal[at * RECORD.size : (at + len(files)) * RECORD.size]
            last_bytes = bytes(records[11 :: RECORD.size]) + bytes(records[15 :: RECORD.size])
            are_added = not last_bytes.translate(None, b"\0\xff") and self._add_arcs(files, points)
        else:
            are_added = self._add_lines(files, points)
        if not are_added:
            sound = next(number for number, each in enumerate(zip(files, points, strict=True)) if self._wrong(*each))
            self._add_arcs(files[:sound], points[:sound])  # lines are
            raise _UnsoundError(at + sound, self._wrong(files[sound], points[sound]))

    def _add_lines(self, files: Sequence[int], lines: Sequence[int]) -> bool:
        """Add *lines*, and return whether that was possible; else those before the first that is unsound are added."""
        run = self._numbered_lines
        records = zip(files, lines, strict=True)
        while True:
            try:
                for file, line in records:
                    run[file][line] = _RUN
            except KeyError:
                return False
            except IndexError:
                if line > LAST_LINE:
                    return False
                more = line + 256 - len(run[file])
                self._line_bytes += more
                _expect_at_most(MOST_BYTES, self._line_bytes)
                run[file].extend(bytes([_NOT_RUN]) * more)
                run[file][line] = _RUN
            else:
                return True

    def _add_arcs(self, files: Sequence[int], arcs: Sequence[int]) -> bool:
        """As `_add_lines`, of arcs whose ends are sound."""
        run = self._numbered_arcs
        try:
            for file, arc in zip(files, arcs, strict=True):
                run[file].add(arc)
        except KeyError:
            return False
        return True

    def _wrong(self, file: int, point: int) -> str:
        """Return what is wrong with the record of *file* and *point*, if something is."""
        if file == 0:
            return "a hole, or what is no record"
        if file >> 32:
            return "a record of an unknown kind"
        if file not in self._names:
            return f"a point of file {file}, which has no name"
        start, end = unpack(point - (1 << 64) if point >> 63 == 1 else point)
        if not self._branch:
            return f"{self._names[file].path} has no line ({start}, {end})" if point > LAST_LINE else ""
        is_sound = min(start, end) >= FIRST_END and max(start, end) <= LAST_LINE
        return "" if is_sound else f"{self._names[file].path} has no arc ({start}, {end})"

    def _name(self, journal: memoryview, at: int, size: int) -> int:
        """Add the name that record *at* introduces, and return how many records it takes."""
        if not 0 < size <= NAME_LIMIT:
            raise _UnsoundError(at, "a name of no possible length")
        first = (at + 1) * RECORD.size
        text = bytes(journal[first : first + padded(size)])
        if len(text) < padded(size):
            raise _UnsoundError(at, "a name of no possible text" if 0 in text else "")
        if text[size:].strip(b" "):
            raise _UnsoundError(at, "a name that goes on behind its length")
        try:
            name = (_parsed if size <= _KEPT else _parse)(text[:size])
        except ManifestError as error:
            raise _UnsoundError(at, str(error)) from None
        is_new = name.number not in self._names
        known = self._names.setdefault(name.number, name)
        if (known.path, known.tracer) != (name.path, name.tracer):
            raise _UnsoundError(at, f"a second name for file {name.number}")
        if is_new:
            self._name_count += 1
            _expect_at_most(MOST_NAMES, self._name_count)
            self._numbered_lines[name.number] = self._lines.setdefault(name.path, bytearray())
            self._numbered_arcs[name.number] = self._arcs.setdefault(name.path, set())
            if name.tracer:
                self._tracers[name.path] = name.tracer
        if name.problem:
            self.problems.setdefault(name.path, name.problem)
        elif name.fingerprint and self._fingerprints.setdefault(name.path, name.fingerprint) != name.fingerprint:
            self.problems.setdefault(name.path, "it was imported in two versions")
        if name.problem or name.fingerprint:
            self._names[name.number] = name
        self._name_bytes += size
        _expect_at_most(MOST_BYTES, self._name_bytes)
        return 1 + padded(size) // RECORD.size


class _UnsoundError(Exception):
    """Record number `record` of a journal is not what it should be; without a text it is cut short."""

    def __init__(self, record: int, wrong: str) -> None:
        super().__init__(wrong)
        self.record = record


def _expect_at_most(most: int, found: int) -> None:
    if found > most:
        raise VolumeError("damaged: it holds more than any program has")


def let_go(mapped: memoryview, first: int, end: int) -> None:
    """Tell the kernel that the bytes of a *mapped* file from *first* to *end* were looked at.

    Else all of a large one counts as memory of this process.
    """
    if isinstance(mapped.obj, mmap.mmap):
        first = first // mmap.PAGESIZE * mmap.PAGESIZE
        length = end // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length > 0:
            mapped.obj.madvise(mmap.MADV_DONTNEED, first, length)


def _parse(text: bytes) -> Name:
    name = Name.parse(text)
    return dataclasses.replace(name, problem="its path is no text") if _NO_TEXT.search(name.path) else name


#: Most are parsed once: replicas of an operator name much the same files.
_parsed = functools.lru_cache(maxsize=2048)(_parse)
