"""The checkout that a report is about: its revision, and the source files that recordings are compared with."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coverage_hooks.errors import UsageError

#: Seconds that git may take to list a checkout.
GIT_TIMEOUT = 60

# What coverage.py takes for a module; anything else is what an editor left behind.
_MODULE = re.compile(r"[^.#~!$@%^&*()+=,]+\.pyw?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One source file of the checkout as it is now; `lines` counts all of them, `tracked` says whether git knows it."""

    path: Path
    sha256: str
    lines: int
    tracked: bool


@dataclass(kw_only=True)
class Checkout:
    """`files` are those that the configuration selects; `others` are tracked, but not selected."""

    root: Path
    revision: str = ""
    files: list[SourceFile] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    note: str = ""

    @functools.cached_property
    def by_name(self) -> Mapping[str, list[SourceFile]]:
        """The files by their last component."""
        found: dict[str, list[SourceFile]] = {}
        for file in self.files:
            found.setdefault(file.path.name, []).append(file)
        return found

    def blob(self, name: str) -> bytes | None:
        """Return the content of git blob *name* as it was when git took it in; None when the repository has none."""
        try:
            return _git_bytes(self.root, "cat-file", "blob", name)
        except _NoGitError:
            return None

    def was_at(self, blob: str, path: Path) -> bool:
        """Whether some commit of this repository had *blob* at *path*."""
        try:
            return bool(_git(self.root, "log", "--all", "-1", "--format=%H", f"--find-object={blob}", "--", str(path)))
        except _NoGitError:
            return False

    def uncommitted(self) -> list[Path]:
        """Return those of `files` that are not what the revision has, or that git does not track; without git, none."""
        try:
            # Not `git diff`, which writes down what it learns about times of files, locks or no locks.
            quiet = ("--no-optional-locks", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=no")
            listed = _git(self.root, *quiet)
        except _NoGitError:
            return []
        changed = {self.root / entry[3:] for entry in listed.split("\0") if entry}  # after two letters and a space
        return [file.path for file in self.files if file.path in changed or not file.tracked]

    def shown(self, path: Path) -> str:
        """Return *path* as people name it: relative to the checkout where it can be."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def read_checkout(selected: Iterable[Path], folder: Path) -> Checkout:
    """Return the checkout around *folder*, with the *selected* files.

    Outside a git checkout every selected file counts as tracked, and `note` says so.
    """
    try:
        root = Path(_git(folder, "rev-parse", "--show-toplevel").strip()).resolve()
        listed = _git(root, "ls-files", "-z", "--cached", "--", "*.py", "*.pyw")
    except _NoGitError as error:
        note = f"not compared with git: {error}; the files below the source folders are taken as they are"
        files = [file for path in selected if (file := _read(path, tracked=True))]
        return Checkout(root=folder, files=files, note=note)
    tracked = {root / name for name in listed.split("\0") if name}
    files = [file for path in selected if (file := _read(path, tracked=path in tracked))]
    return Checkout(
        root=root,
        revision=_revision(root),
        files=files,
        others=sorted(tracked - {file.path for file in files}),
    )


def digest(path: Path) -> str:
    """Return the SHA-256 of file *path*; empty when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _read(path: Path, *, tracked: bool) -> SourceFile | None:
    try:
        content = path.read_bytes()
    except OSError:  # listed and gone: a report cannot show it either
        return None
    return SourceFile(
        path=path, sha256=hashlib.sha256(content).hexdigest(), lines=count_lines(content), tracked=tracked
    )


def count_lines(source: bytes) -> int:
    """Return the number of the last line that code of *source* can be on; an empty module is on line 1."""
    return len(source.splitlines()) or 1  # of bytes: at the very places where Python ends a line


def find_sources(entries: Iterable[str], bases: list[Path], *, namespaces: bool) -> Iterator[Path]:
    """Yield every source file below *entries* of ``run:source``, in coverage.py's understanding.

    An entry is a folder or the name of a package or module; *bases* are the folders to look for it, best first.
    Below it a folder without ``__init__.py`` is not looked into, unless *namespaces* are included.
    """
    seen = set()
    for entry in entries:
        place = _place(entry, bases)
        for path in [place] if place.is_file() else _modules(place, namespaces=namespaces):
            if (real := path.resolve()) not in seen:
                seen.add(real)
                yield real


def _place(entry: str, bases: list[Path]) -> Path:
    """Return the folder or file that *entry* of ``run:source`` stands for."""
    module = entry.replace(".", "/")
    for base in bases:
        for candidate in (base / entry, base / module, base / f"{module}.py"):
            if candidate.is_dir() or (candidate.suffix == ".py" and candidate.is_file()):
                return candidate
    if installed := _installed(entry):
        return installed
    where = ", ".join(map(str, bases))
    raise UsageError(
        f"`run:source` names {entry!r}, which is neither a folder nor a package below {where}; "
        "start from the folder of the checkout, or give its configuration with --rcfile"
    )


def _installed(entry: str) -> Path | None:
    """Return where an editable install has package *entry*; nothing is imported to find it."""
    package, *rest = entry.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        return None
    place = Path(spec.origin).parent.joinpath(*rest)
    return place if place.is_dir() else None


def _modules(folder: Path, *, namespaces: bool) -> Iterator[Path]:
    for position, (parent, below, names) in enumerate(os.walk(folder)):
        if position and not namespaces and "__init__.py" not in names:
            below.clear()
            continue
        yield from (Path(parent, name) for name in sorted(names) if _MODULE.fullmatch(name))


class _NoGitError(Exception):
    """Why git cannot be asked."""


def _revision(root: Path) -> str:
    try:
        return _git(root, "rev-parse", "--verify", "HEAD").strip()
    except _NoGitError:  # no commit yet
        return ""


def _git(folder: Path, *arguments: str) -> str:
    return os.fsdecode(_git_bytes(folder, *arguments))


def _git_bytes(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=GIT_TIMEOUT,
            check=False,
            # A partial clone would fetch what it lacks; what is not here is said to be not here.
            env={**os.environ, "GIT_NO_LAZY_FETCH": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NoGitError(str(error)) from None
    if done.returncode:
        # All of it: what to do about a checkout of another user stands below the reason.
        raise _NoGitError(" ".join(os.fsdecode(done.stderr).split()) or "git failed")
    return done.stdout
