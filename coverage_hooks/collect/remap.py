"""From the paths of the pod to the files of the checkout, by proof: the same bytes.

A data file knows paths and line numbers and not what stood on the lines. So a path is matched with a file of the
checkout only when the fingerprint says that the process imported exactly this content; where several files have it (all
empty ``__init__.py`` do), the one with the longest common tail of path. Whatever finds no file is refused by name, as
its line numbers would mean something else here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from coverage_hooks.collect.checkout import Checkout, SourceFile, digest
from coverage_hooks.collect.verify import Verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A measured path whose data cannot be used; `nearest` is the file of the checkout that it probably was."""

    path: str
    nearest: Path | None
    reason: str


@dataclass(slots=True, kw_only=True)
class Remapped:
    """`files` of one recording by measured path, what was refused, and what lies outside ``run:source``."""

    files: dict[str, Path] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    outside: dict[str, Path] = field(default_factory=dict)


#: Asks coverage.py's own ``[paths]`` setting where paths lead to.
Hints = Callable[[Iterable[str]], dict[str, Path]]


def remap(verified: Verified, checkout: Checkout, hints: Hints) -> Remapped:
    """Return where each measured path of *verified* belongs in *checkout*.

    *hints* is asked only when the bytes and the tail leave a tie, and believed only when it names one of the tied.
    """
    result = Remapped()
    tied: dict[str, list[SourceFile]] = {}
    for path in sorted(verified.content.highest):
        same = _same_content(verified, path, checkout)
        if len(same) > 1:
            tied[path] = same
        elif same:
            _accept(result, verified, path, same[0])
        elif outside := _outside(verified, path, checkout):
            result.outside[path] = outside
        else:
            result.refused.append(_mismatch(verified, path, checkout))
    if tied:
        _break_ties(result, verified, tied, hints(tied))
    return result


def common_tail(one: str, other: str) -> int:
    """Return how many last components two paths share."""
    count = 0
    for mine, theirs in zip(reversed(one.split("/")), reversed(other.split("/")), strict=False):
        if mine != theirs or not mine:
            break
        count += 1
    return count


def _same_content(verified: Verified, path: str, checkout: Checkout) -> list[SourceFile]:
    """Return the files with the same bytes and the longest common tail; tracked ones before untracked ones."""
    fingerprint = verified.fingerprints.get(path)
    if fingerprint is None:
        return []
    same = [file for file in _of_that_name(path, checkout) if file.sha256 == fingerprint.sha256]
    return _nearest(path, [file for file in same if file.tracked] or same)


def _of_that_name(path: str, checkout: Checkout) -> list[SourceFile]:
    return checkout.by_name.get(path.rpartition("/")[2], [])


def _nearest(path: str, files: list[SourceFile]) -> list[SourceFile]:
    tails = [common_tail(path, str(file.path)) for file in files]
    longest = max(tails, default=0)
    return [file for file, tail in zip(files, tails, strict=True) if tail == longest]


def _accept(result: Remapped, verified: Verified, path: str, file: SourceFile) -> None:
    """Take *file* for *path*, unless the data says what cannot be of a file with so many lines."""
    if (line := verified.content.highest[path]) > file.lines:
        reason = f"damaged: line {line} of a file with {file.lines} lines{_advice(verified)}"
        result.refused.append(Refused(path=path, nearest=file.path, reason=reason))
    else:
        result.files[path] = file.path


def _advice(verified: Verified) -> str:
    if not verified.row.python.startswith("3.11."):
        return ""
    return (
        "; on Python 3.11 a function that runs an event loop collects lines of asyncio: "
        "record with 3.12 or newer, or name the file in `[run] omit`"
    )


def _outside(verified: Verified, path: str, checkout: Checkout) -> Path | None:
    """Return the tracked file with the same bytes that the configuration here leaves out."""
    fingerprint = verified.fingerprints.get(path)
    name = path.rpartition("/")[2]
    if fingerprint is None:
        return None
    return next(
        (other for other in checkout.others if other.name == name and digest(other) == fingerprint.sha256), None
    )


def _mismatch(verified: Verified, path: str, checkout: Checkout) -> Refused:
    if path not in verified.fingerprints:
        return Refused(path=path, nearest=None, reason="has no fingerprint, so nobody knows what its lines were")
    there, here = verified.row.revision or "unknown", checkout.revision or "unknown"
    near = _nearest(path, _of_that_name(path, checkout))
    if not near:
        reason = f"no source file of that name is here; revision there {there}, here {here}"
        return Refused(path=path, nearest=None, reason=reason)
    names = " or ".join(checkout.shown(file.path) for file in near[:2])
    reason = f"differs from {names}: its lines are others; revision there {there}, here {here}"
    return Refused(path=path, nearest=near[0].path if len(near) == 1 else None, reason=reason)


def _break_ties(
    result: Remapped, verified: Verified, tied: dict[str, list[SourceFile]], hinted: dict[str, Path]
) -> None:
    for path, files in tied.items():
        named = [file for file in files if file.path == hinted.get(path)]
        if named:
            _accept(result, verified, path, named[0])
            continue
        names = " and ".join(str(file.path) for file in files[:2])
        reason = f"{names} have the same content and fit equally; name the right one in `[paths]`"
        result.refused.append(Refused(path=path, nearest=None, reason=reason))
