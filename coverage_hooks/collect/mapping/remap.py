"""From the paths of the pod to the files of the checkout, by proof: the same bytes.

A data file knows paths and line numbers and not what stood on the lines. So a path is matched with a file of the
checkout only when the fingerprint says that the process imported exactly this content; where several files have it (all
empty ``__init__.py`` do), the one with the longest common tail of path, and among equals the one that lies to the files
found so far as its path does to theirs. Whatever finds no file is refused by name, as its line numbers would mean
something else here; or it is realigned, when that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coverage_hooks.collect.data.verify import Verified
from coverage_hooks.collect.mapping.checkout import Checkout, SourceFile
from coverage_hooks.collect.mapping.realign import Realigner, Realignment
from coverage_hooks.volume.journal import Fingerprint

#: How many arcs a file has at most, for each of its lines and besides: no program has one between any two lines.
_ARCS_OF_LINE, _ARCS_BESIDES = 50, 1000

#: How many characters have the paths whose places are remembered.
_REMEMBERED = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A measured path whose data cannot be used; `nearest` are the files of the checkout that it may have been.

    `is_missing` says that none there has its name.
    """

    path: str
    nearest: list[Path]
    reason: str
    is_missing: bool = False


@dataclass(slots=True, kw_only=True)
class Remapped:
    """`files` of one recording by measured path, what was refused, and what is not reported here, with the reason.

    `realigned` are those that differ from what was recorded, with the way their lines went; `line_ends` those of which
    only the line ends differ.
    """

    files: dict[str, Path] = field(default_factory=dict)
    realigned: dict[str, Realignment] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    left_out: dict[str, tuple[Path, str]] = field(default_factory=dict)
    line_ends: list[Path] = field(default_factory=list)


#: Asks coverage.py's own ``[paths]`` setting where paths lead to.
Hints = Callable[[Iterable[str]], dict[str, Path]]


class Selection(Protocol):
    """Which files of the checkout are reported."""

    def covers(self, path: Path) -> bool: ...
    def left_out(self, path: Path, tracer: str = "") -> str: ...
    def misses(self, path: Path) -> bool: ...
    def refusal(self, path: Path, tracer: str) -> str: ...
    def select(self, path: Path, tracer: str = "") -> None: ...


class Remapper:
    """Finds the places of recorded files in one checkout.

    *hints* is asked only when the bytes and the tail leave a tie, and believed only when it names one of the tied.
    Without a *realigner* what differs is refused.
    """

    def __init__(
        self, checkout: Checkout, selection: Selection, hints: Hints, realigner: Realigner | None = None
    ) -> None:
        self._checkout = checkout
        self._selection = selection
        self._hints = hints
        self._realigner = realigner
        # The replicas of an image ask the same again.
        self._same: dict[tuple[str, str, str], tuple[list[SourceFile], str]] = {}
        self._room = _REMEMBERED

    def remap(self, verified: Verified) -> Remapped:
        """Return where each measured path of *verified* belongs."""
        result = Remapped()
        tied: dict[str, list[SourceFile]] = {}
        for path in verified.content.paths:
            same, left_out = self._same_content(verified, path)
            if not same:
                self._realign(result, verified, path)
            elif left_out:
                result.left_out[path] = same[0].path, left_out
            elif len(same) > 1:
                tied[path] = same
            else:
                self._accept(result, verified, path, same[0])
        if tied:
            self._break_ties(result, verified, tied)
        self._place_what_is_not_here(result)
        return result

    def _place_what_is_not_here(self, result: Remapped) -> None:
        """Tell where a file would be that is not here, as one that a build makes: by that name it may be left out."""
        roots = _roots(result.files)
        refused, result.refused = result.refused, []
        for each in refused:
            places = sorted(_below(roots, each.path)) if each.is_missing else []
            if len(places) != 1:
                result.refused.append(each)
            elif not self._selection.misses(places[0]):
                result.left_out[each.path] = places[0], "not here, and left out by the configuration"
            else:
                shown = self._checkout.shown(places[0])
                advice = f"it would be {shown}: where a build makes it, make it here, too, or --allow-mismatch {shown}"
                result.refused.append(
                    Refused(path=each.path, nearest=places, reason=f"{each.reason}; {advice}", is_missing=True)
                )

    def _same_content(self, verified: Verified, path: str) -> tuple[list[SourceFile], str]:
        """Return the files with the same lines and the longest common tail, tracked ones before untracked ones.

        What is reported goes before what is not; if none is, the second is the reason.
        """
        fingerprint = verified.fingerprints.get(path)
        if fingerprint is None:
            return [], ""
        tracer = verified.content.tracers.get(path, "")
        key = path, fingerprint.sha256, tracer
        if key in self._same:
            return self._same[key]
        found = self._found_same(path, fingerprint, tracer)
        self._room -= len(path)
        if self._room >= 0:
            self._same[key] = found
        return found

    def _found_same(self, path: str, fingerprint: Fingerprint, tracer: str) -> tuple[list[SourceFile], str]:
        same = [file for file in self._of_that_name(path) if fingerprint.sha256 in file.equal]
        near = _nearest(path, _tracked(same))
        reasons = [self._selection.left_out(file.path, tracer) for file in near]
        kept = [file for file, reason in zip(near, reasons, strict=True) if not reason]
        exact = [file for file in kept if file.sha256 == fingerprint.sha256]
        return (exact or kept or near), ("" if kept or not near else reasons[0])

    def _of_that_name(self, path: str) -> list[SourceFile]:
        return self._checkout.named(path.rpartition("/")[2])

    def _near(self, path: str) -> list[SourceFile]:
        """Return the files below the source folders that *path* may have been."""
        return _nearest(
            path, _tracked([file for file in self._of_that_name(path) if self._selection.covers(file.path)])
        )

    def _realign(self, result: Remapped, verified: Verified, path: str) -> None:
        """Take what a diff proves unchanged, if that was asked for, and refuse what differs."""
        refused = self._mismatch(verified, path)
        near = self._near(path)
        is_python = path in verified.fingerprints and path not in verified.content.tracers
        if self._realigner is None or not is_python or len(near) != 1:
            result.refused.append(refused)
            return
        # A module in a package shares the package's name with its other versions; one by itself shares its own only.
        sure = common_tail(path, str(near[0].path)) > 1
        found = self._realigner.realign(near[0], verified.fingerprints[path], sure=sure)
        highest = verified.content.tops[path]
        if isinstance(found, str):
            reason = f"{refused.reason}; not realigned: {found}"
            result.refused.append(Refused(path=path, nearest=refused.nearest, reason=reason))
        elif highest > found.length:
            result.refused.append(_damaged(verified, path, near[0].path, highest, found.length))
        elif left_out := self._selection.left_out(near[0].path):
            result.left_out[path] = near[0].path, left_out
        else:
            self._selection.select(near[0].path)
            result.realigned[path] = found

    def _mismatch(self, verified: Verified, path: str) -> Refused:
        near = self._near(path)
        if path not in verified.fingerprints:
            problem = verified.problems.get(path, "")
            reason = f"has no fingerprint, so nobody knows what its lines were{problem and f': {problem}'}"
        else:
            there, here = verified.row.revision or "unknown", self._checkout.revision or "unknown"
            names = " or ".join(self._checkout.shown(file.path) for file in near[:2])
            what = f"differs from {names}: its lines are others" if near else "no source file of that name is here"
            reason = f"{what}; revision there {there}, here {here}"
        is_missing = not near and path in verified.fingerprints
        return Refused(path=path, nearest=[file.path for file in near], reason=reason, is_missing=is_missing)

    def _break_ties(self, result: Remapped, verified: Verified, tied: dict[str, list[SourceFile]]) -> None:
        hinted = self._hints(tied)
        roots = _roots(result.files)
        for path, files in tied.items():
            named = [file for file in files if file.path == hinted.get(path)]
            beside = [file for file in files if file.path in _below(roots, path)]
            if named or len(beside) == 1:
                self._accept(result, verified, path, (named or beside)[0])
                continue
            names = " and ".join(str(file.path) for file in files[:2])
            reason = f"{names} have the same content and fit equally; name the right one in `[paths]`"
            result.refused.append(Refused(path=path, nearest=[file.path for file in files], reason=reason))

    def _accept(self, result: Remapped, verified: Verified, path: str, file: SourceFile) -> None:
        """Take *file* for *path*, unless it cannot be reported, or the data says what cannot be of so many lines."""
        highest, tracer = verified.content.tops[path], verified.content.tracers.get(path, "")
        if refusal := self._selection.refusal(file.path, tracer):
            result.refused.append(Refused(path=path, nearest=[file.path], reason=refusal))
        elif highest > file.lines:
            result.refused.append(_damaged(verified, path, file.path, highest, file.lines))
        elif (arcs := _arcs(verified, path)) > _ARCS_OF_LINE * file.lines + _ARCS_BESIDES:
            reason = f"damaged: holds {arcs} arcs between {file.lines} lines"
            result.refused.append(Refused(path=path, nearest=[file.path], reason=reason))
        else:
            self._selection.select(file.path, tracer)
            result.files[path] = file.path
            if file.sha256 != verified.fingerprints[path].sha256:
                result.line_ends.append(file.path)


def common_tail(one: str, other: str) -> int:
    """Return how many last components two paths share."""
    count = 0
    for mine, theirs in zip(reversed(one.split("/")), reversed(other.split("/")), strict=False):
        if mine != theirs or not mine:
            break
        count += 1
    return count


def _roots(files: Mapping[str, Path]) -> set[tuple[str, str]]:
    """Return the folders that *files* there and here have in common but for their names."""
    roots = set()
    for path, place in files.items():
        tail = common_tail(path, str(place))
        roots.add((path.rsplit("/", tail)[0], str(place).rsplit("/", tail)[0]))
    return roots


def _below(roots: Iterable[tuple[str, str]], path: str) -> set[Path]:
    """Return where *path* would be if it lay below one of *roots*."""
    return {Path(here + path.removeprefix(there)) for there, here in roots if path.startswith(f"{there}/")}


def _tracked(files: list[SourceFile]) -> list[SourceFile]:
    """Return the tracked ones of *files*, as twins that a build has left are not; all when none is."""
    return [file for file in files if file.tracked] or files


def _nearest(path: str, files: list[SourceFile]) -> list[SourceFile]:
    tails = [common_tail(path, str(file.path)) for file in files]
    longest = max(tails, default=0)
    return [file for file, tail in zip(files, tails, strict=True) if tail == longest]


def _arcs(verified: Verified, path: str) -> int:
    return len((verified.content.arcs or {}).get((path, ""), ()))


def _damaged(verified: Verified, path: str, nearest: Path, highest: int, lines: int) -> Refused:
    held = f"line {highest} of a file with {lines} lines"
    if verified.row.python.startswith("3.11."):
        reason = (
            f"holds {held}: Python 3.11 gave it lines of asyncio, as it does to a function that runs the event loop. "
            "Nothing of this file is used, and everything else of the recording is; record with Python 3.12 or newer, "
            "let `kopf run` or kopf.run() start the event loop, or name the file in `[run] omit`"
        )
    else:
        reason = f"damaged: {held}"
    return Refused(path=path, nearest=[nearest], reason=reason)
