"""Carrying lines over from the source that was recorded to the source that is here, where a diff proves them unchanged.

What is compared is statements, not lines: a statement is its text from the first decorator to the last bracket, and the
functions and classes it is in. Compound statements are their headers, their bodies being statements again. Only what
lies in an equal block of the two sequences is carried, so a call of four lines of which one has changed is not, nor is
a line that now stands in a string, or in another function. A block that was moved counts as the diff sees it: gone
here, new there.

Carried means: this statement ran when that version was recorded. That the version here would run it is not claimed.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coverage_hooks.collect.mapping.checkout import Checkout, SourceFile, count_lines
from coverage_hooks.volume.journal import Fingerprint

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CODE = (*_SCOPES, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Realignment:
    """How the lines of a recorded file go to those of file `place`; `length` is the number of lines it had.

    `module` says that what starts at line 1 there is what starts at line 1 here.
    """

    place: Path
    length: int
    lines: Mapping[int, int]
    module: bool

    def line(self, number: int) -> int | None:
        """Return where line *number* is now."""
        return self.lines.get(number)

    def arc(self, start: int, end: int) -> tuple[int, int] | None:
        """Return where the arc from *start* to *end* is now; only when both ends are."""
        here = self._end(start), self._end(end)
        return None if here[0] is None or here[1] is None else (here[0], here[1])

    def _end(self, number: int) -> int | None:
        # Negative is the start of a code object, and a module starts at line 1, whatever stands there.
        if number == -1:
            return -1 if self.module else None
        here = self.lines.get(abs(number))
        return here if here is None or number > 0 else -here


class Tally:
    """A realignment as data is moved by it, counting what went along and what did not."""

    def __init__(self, realignment: Realignment) -> None:
        self._realignment = realignment
        self._lines: dict[int, bool] = {}
        self._arcs: dict[tuple[int, int], bool] = {}

    def line(self, number: int) -> int | None:
        """As `Realignment.line`."""
        here = self._realignment.line(number)
        self._lines[number] = here is not None
        return here

    def arc(self, start: int, end: int) -> tuple[int, int] | None:
        """As `Realignment.arc`; a line is carried when one of its arcs is."""
        here = self._realignment.arc(start, end)
        self._arcs[start, end] = here is not None
        for number in (start, end):
            if number > 0:
                self._lines[number] = self._lines.get(number, False) or here is not None
        return here

    def told(self) -> str:
        """Return what a reader has to know of it."""
        carried, found = sum(self._lines.values()), len(self._lines)
        arcs = f"; {sum(self._arcs.values())} of {len(self._arcs)} arcs carried" if self._arcs else ""
        return f"{carried} of {found} lines carried, {found - carried} dropped (changed source){arcs}"


class Realigner:
    """Finds the recorded version of files in the repository of a checkout, and compares each with what is here once."""

    def __init__(self, checkout: Checkout) -> None:
        self._checkout = checkout
        self._found: dict[tuple[Path, Fingerprint], Realignment | str] = {}

    def realign(self, file: SourceFile, recorded: Fingerprint, *, sure: bool) -> Realignment | str:
        """Return how the *recorded* version goes to *file*, or the reason why it does not.

        Unless it is *sure* that the two are versions of one file, the repository's history has to say so.
        """
        key = file.path, recorded
        if key not in self._found:
            self._found[key] = self._compare(file, recorded, sure=sure)
        return self._found[key]

    def _compare(self, file: SourceFile, recorded: Fingerprint, *, sure: bool) -> Realignment | str:
        there = self._checkout.blob(recorded.git, file.path)
        if there is None:
            return (
                f"the repository here has no blob {recorded.git}, so nobody knows what was recorded; "
                "fetch the revision that the image was built from"
            )
        if hashlib.sha256(there).hexdigest() != recorded.sha256:
            return f"blob {recorded.git} of the repository here is not what was recorded: its SHA-256 is another"
        if not sure and not self._checkout.was_at(recorded.git, file.path):
            return f"the history of {self._checkout.shown(file.path)} does not know the recorded version"
        try:
            here = file.path.read_bytes()
            return compare(there, here, file.path)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"the two versions cannot be compared: {error}"


def compare(there: bytes, here: bytes, place: Path) -> Realignment:
    """Return how the lines of source *there* go to those of source *here*; `SyntaxError` when one of them is none."""
    tree = _parsed(there)
    old, new = _statements(tree, there), _statements(_parsed(here), here)
    matcher = difflib.SequenceMatcher(None, [each.key for each in old], [each.key for each in new], autojunk=False)
    lines: dict[int, int] = {}
    for block in matcher.get_matching_blocks():
        for mine, theirs in zip(old[block.a :][: block.size], new[block.b :][: block.size], strict=True):
            lines.update(zip(range(mine.first, mine.last + 1), range(theirs.first, theirs.last + 1), strict=True))
    # What starts at line 1 beside the module has the same number; when that line moved, nobody can tell them apart.
    module = lines.get(1) == 1 or not any(_first_line(node) == 1 for node in ast.walk(tree) if isinstance(node, _CODE))
    return Realignment(place=place, length=count_lines(there), lines=lines, module=module)


def _parsed(source: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an escape that is none, for one: whoever runs that source has been told
        return ast.parse(source)


@dataclass(frozen=True, slots=True)
class _Statement:
    """Lines `first` to `last`, both counted from 1, and what has to be equal for them to be the same."""

    first: int
    last: int
    key: tuple[object, ...]


def _statements(tree: ast.Module, source: bytes) -> list[_Statement]:
    """Return the statements of *source* by their first lines; those that share a line are one."""
    text = source.splitlines()  # of bytes: at the very places where Python ends a line
    merged: list[tuple[int, int, tuple[object, ...]]] = []
    for first, last, what in sorted(_spans(tree, (), text), key=lambda span: span[:2]):
        if merged and first <= merged[-1][1]:
            start, end, before = merged.pop()
            merged.append((start, max(end, last), (*before, *what)))
        else:
            merged.append((first, last, what))
    return [_Statement(first, last, (*what, *text[first - 1 : last])) for first, last, what in merged]


def _spans(node: ast.AST, scope: tuple[str, ...], text: list[bytes]) -> Iterator[tuple[int, int, tuple[object, ...]]]:
    """Yield the first and last line of every statement below *node*, with its kind and where it stands."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield _first_line(child), _last_line(child, text), (type(child).__name__, scope)
            yield from _spans(child, (*scope, child.name) if isinstance(child, _SCOPES) else scope, text)


def _first_line(node: ast.AST) -> int:
    begin = node.pattern if isinstance(node, ast.match_case) else node
    return min(getattr(each, "lineno", 0) for each in (begin, *getattr(node, "decorator_list", ())))


def _last_line(node: ast.AST, text: list[bytes]) -> int:
    """Return the last line of a statement, or of the header of a compound one: with its closing bracket and colon."""
    below: list[ast.AST] = getattr(node, "body", None) or getattr(node, "cases", None) or []
    if not below:
        return int(getattr(node, "end_lineno", 0))
    last = max(_first_line(node), _first_line(below[0]) - 1)
    while last > _first_line(node) and (not text[last - 1].strip() or text[last - 1].lstrip().startswith(b"#")):
        last -= 1  # remarks between the header and the body belong to neither
    return last
