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

from coverage_hooks.collect.checkout import Checkout, SourceFile, digest
from coverage_hooks.collect.realign import Realigner, Realignment
from coverage_hooks.collect.verify import Verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A measured path whose data cannot be used; `nearest` is the file of the checkout that it probably was."""

    path: str
    nearest: Path | None
    reason: str


@dataclass(slots=True, kw_only=True)
class Remapped:
    """`files` of one recording by measured path, what was refused, and what lies outside ``run:source``.

    `realigned` are those that differ from what was recorded, with the way their lines went.
    """

    files: dict[str, Path] = field(default_factory=dict)
    realigned: dict[str, Realignment] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    outside: dict[str, Path] = field(default_factory=dict)


#: Asks coverage.py's own ``[paths]`` setting where paths lead to.
Hints = Callable[[Iterable[str]], dict[str, Path]]


class Remapper:
    """Finds the places of recorded files in one checkout.

    *hints* is asked only when the bytes and the tail leave a tie, and believed only when it names one of the tied.
    Without a *realigner* what differs is refused.
    """

    def __init__(self, checkout: Checkout, hints: Hints, realigner: Realigner | None = None) -> None:
        self._checkout = checkout
        self._hints = hints
        self._realigner = realigner
        self._same: dict[tuple[str, str], list[SourceFile]] = {}  # the replicas of an image ask the same again

    def remap(self, verified: Verified) -> Remapped:
        """Return where each measured path of *verified* belongs."""
        result = Remapped()
        tied: dict[str, list[SourceFile]] = {}
        highest = verified.content.tops
        for path in verified.content.paths:
            same = self._same_content(verified, path)
            if len(same) > 1:
                tied[path] = same
            elif same:
                _accept(result, verified, path, same[0], highest[path])
            elif outside := self._outside(verified, path):
                result.outside[path] = outside
            else:
                self._realign(result, verified, path, highest[path])
        if tied:
            self._break_ties(result, verified, tied, highest)
        return result

    def _same_content(self, verified: Verified, path: str) -> list[SourceFile]:
        """Return the files with the same bytes and the longest common tail; tracked ones before untracked ones."""
        fingerprint = verified.fingerprints.get(path)
        if fingerprint is None:
            return []
        key = path, fingerprint.sha256
        if key not in self._same:
            same = [file for file in self._of_that_name(path) if file.sha256 == fingerprint.sha256]
            self._same[key] = _nearest(path, _tracked(same))
        return self._same[key]

    def _of_that_name(self, path: str) -> list[SourceFile]:
        return self._checkout.by_name.get(path.rpartition("/")[2], [])

    def _outside(self, verified: Verified, path: str) -> Path | None:
        """Return the tracked file with the same bytes that the configuration here leaves out."""
        fingerprint = verified.fingerprints.get(path)
        name = path.rpartition("/")[2]
        if fingerprint is None:
            return None
        return next(
            (other for other in self._checkout.others if other.name == name and digest(other) == fingerprint.sha256),
            None,
        )

    def _realign(self, result: Remapped, verified: Verified, path: str, highest: int) -> None:
        """Take what a diff proves unchanged, if that was asked for, and refuse what differs."""
        refused = self._mismatch(verified, path)
        near = next((file for file in self._of_that_name(path) if file.path == refused.nearest), None)
        if self._realigner is None or near is None:
            result.refused.append(refused)
            return
        # A module in a package shares the package's name with its other versions; one by itself shares its own only.
        sure = common_tail(path, str(near.path)) > 1
        found = self._realigner.realign(near, verified.fingerprints[path], sure=sure)
        if isinstance(found, str):
            reason = f"{refused.reason}; not realigned: {found}"
            result.refused.append(Refused(path=path, nearest=near.path, reason=reason))
        elif highest > found.length:
            result.refused.append(_damaged(verified, path, near.path, highest, found.length))
        else:
            result.realigned[path] = found

    def _mismatch(self, verified: Verified, path: str) -> Refused:
        if path not in verified.fingerprints:
            return Refused(path=path, nearest=None, reason="has no fingerprint, so nobody knows what its lines were")
        there, here = verified.row.revision or "unknown", self._checkout.revision or "unknown"
        near = _nearest(path, _tracked(self._of_that_name(path)))
        if not near:
            reason = f"no source file of that name is here; revision there {there}, here {here}"
            return Refused(path=path, nearest=None, reason=reason)
        names = " or ".join(self._checkout.shown(file.path) for file in near[:2])
        reason = f"differs from {names}: its lines are others; revision there {there}, here {here}"
        return Refused(path=path, nearest=near[0].path if len(near) == 1 else None, reason=reason)

    def _break_ties(
        self, result: Remapped, verified: Verified, tied: dict[str, list[SourceFile]], highest: Mapping[str, int]
    ) -> None:
        hinted = self._hints(tied)
        roots = _roots(result.files)
        for path, files in tied.items():
            named = [file for file in files if file.path == hinted.get(path)]
            beside = [file for file in files if file.path in _below(roots, path)]
            if named or len(beside) == 1:
                _accept(result, verified, path, (named or beside)[0], highest[path])
                continue
            names = " and ".join(str(file.path) for file in files[:2])
            reason = f"{names} have the same content and fit equally; name the right one in `[paths]`"
            result.refused.append(Refused(path=path, nearest=None, reason=reason))


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


def _accept(result: Remapped, verified: Verified, path: str, file: SourceFile, highest: int) -> None:
    """Take *file* for *path*, unless the data says what cannot be of a file with so many lines."""
    if highest > file.lines:
        result.refused.append(_damaged(verified, path, file.path, highest, file.lines))
    else:
        result.files[path] = file.path


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
    return Refused(path=path, nearest=nearest, reason=reason)
