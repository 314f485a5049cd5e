"""The checkout that a report is about: its revision, and the source files that recordings are compared with."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coverage_hooks.errors import UsageError
from coverage_hooks.volume import access

#: Seconds that git may take to list a checkout.
GIT_TIMEOUT = 60

#: Of a name whose bytes are no UTF-8; no data file, and no report, could hold it.
_NO_TEXT = re.compile("[\ud800-\udfff]")

# What coverage.py takes for a module; anything else is what an editor left behind.
_MODULE = re.compile(r"[^.#~!$@%^&*()+=,]+\.pyw?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One source file of the checkout as it is now; `lines` counts all of them, `tracked` says whether git knows it.

    `equal` has its SHA-256, and those that it has with other line ends.
    """

    path: Path
    sha256: str
    equal: frozenset[str]
    lines: int
    tracked: bool


@dataclass(kw_only=True)
class Checkout:
    """`selected` is what coverage.py finds by itself; `files` is all that may have been measured besides, too.

    `tracked` are the files that git knows, those of submodules among them; None outside a git checkout, where all count
    as tracked.
    """

    root: Path
    revision: str = ""
    selected: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    tracked: frozenset[Path] | None = None
    note: str = ""
    _known: dict[str, list[SourceFile]] = field(default_factory=dict, init=False)

    @functools.cached_property
    def _by_name(self) -> Mapping[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in self.files:
            found.setdefault(path.name, []).append(path)
        return found

    def named(self, name: str) -> list[SourceFile]:
        """Return the files with that last component, or behind a link with it, as they are now; read once."""
        if name not in self._by_name:  # not kept: a volume may name any number of files
            return []
        if name not in self._known:
            # A link may lead to a file that is listed, too.
            paths = dict.fromkeys(path.resolve() for path in self._by_name[name] if not oddity(path))
            read = (_read(path, tracked=self._is_tracked(path)) for path in paths)
            self._known[name] = [file for file in read if file is not None]
        return self._known[name]

    def _is_tracked(self, path: Path) -> bool:
        return self.tracked is None or path in self.tracked

    def blob(self, name: str, path: Path) -> bytes | None:
        """Return the content of git blob *name* as the repository of *path* took it in; None when it has none."""
        try:
            return _git_bytes(path.parent, "cat-file", "blob", name)
        except _NoGitError:
            return None

    def was_at(self, blob: str, path: Path) -> bool:
        """Whether some commit of the repository of *path* had *blob* there."""
        quiet = ("--no-ext-diff", "--no-textconv")
        asked = ("log", "--all", "-1", "--format=%H", *quiet, f"--find-object={blob}", "--", str(path))
        try:
            return bool(_git(path.parent, *asked))
        except _NoGitError:
            return False

    def uncommitted(self) -> list[Path]:
        """Return what is selected and is not what the revision has, or that git does not track; without git, nothing.

        Of a submodule with changes, which git shows as one, that is every file.
        """
        if self.tracked is not None and not self.revision:
            return self.selected
        try:
            changed = _changed(self.root, set(self.selected))
        except _NoGitError:
            return []
        return [
            path
            for path in self.selected
            if not self._is_tracked(path) or not changed.isdisjoint((path, *path.parents))
        ]

    def shown(self, path: Path) -> str:
        """Return *path* as people name it: relative to the checkout where it can be."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def read_checkout(selected: Iterable[Path], folder: Path, below: Iterable[Path] = ()) -> Checkout:
    """Return the checkout around *folder*, with the *selected* files, and what else lies *below* the source folders.

    Outside a git checkout every file counts as tracked, and `note` says so.
    """
    selected = list(selected)
    found = dict.fromkeys([*selected, *below])
    try:
        root = Path(_git(folder, "rev-parse", "--show-toplevel").strip()).resolve()
        listed = _git(root, "ls-files", "-z", "--cached", "--recurse-submodules")
    except _NoGitError as error:
        note = f"not compared with git: {error}; the files below the source folders are taken as they are"
        return Checkout(root=folder, selected=selected, files=list(found), note=note)
    tracked = {root / name: None for name in listed.split("\0") if name}
    return Checkout(
        root=root,
        revision=_revision(root),
        selected=selected,
        files=list(found | tracked),
        tracked=frozenset(tracked),
    )


def _read(path: Path, *, tracked: bool) -> SourceFile | None:
    try:
        content = path.read_bytes()
    except OSError:  # listed and gone: a report cannot show it either; or a folder, as a link may lead to one
        return None
    sha256 = _digest(content)
    return SourceFile(
        path=path,
        sha256=sha256,
        equal=frozenset({sha256, *map(_digest, _with_other_ends(content))}),
        lines=count_lines(content),
        tracked=tracked,
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _with_other_ends(content: bytes) -> Iterator[bytes]:
    """Yield *content* with the line ends of Unix, and with those of Windows, where its lines stay what they are."""
    unix = content.replace(b"\r\n", b"\n")
    for other in (unix, unix.replace(b"\n", b"\r\n")):
        if other.splitlines() == content.splitlines():
            yield other


def count_lines(source: bytes) -> int:
    """Return the number of the last line that code of *source* can be on; an empty module is on line 1."""
    return len(source.splitlines()) or 1  # of bytes: at the very places where Python ends a line


def find_places(entries: Iterable[str], bases: list[Path]) -> list[Path]:
    """Return the folders and files that *entries* of ``run:source`` stand for, in coverage.py's understanding.

    An entry is a folder or the name of a package or module; *bases* are the folders to look for it, best first.
    """
    return list(dict.fromkeys(_place(entry, bases).resolve() for entry in entries))


def find_sources(places: Iterable[Path], *, namespaces: bool) -> Iterator[tuple[Path, Path]]:
    """Yield everything in *places* that coverage.py takes for a source file by itself, also what `oddity` finds odd.

    With each comes the name by which it was found.

    A folder without ``__init__.py`` below them is not looked into, unless *namespaces* are included.
    """
    seen = set()
    for place in places:
        for path in [place] if place.is_file() else _modules(place, namespaces=namespaces):
            real = path if oddity(path) else path.resolve()
            if real not in seen:
                seen.add(real)
                yield real, path


def top_of(folder: Path) -> Path:
    """Return the folder of the checkout around *folder*, or itself; git may be told to name another one."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)


def oddity(path: Path) -> str:
    """Return why *path*, which is named like a source file, can be in no report; nothing where it can.

    To open a FIFO is to wait for ever, and a link may lead in a circle.
    """
    if _NO_TEXT.search(str(path)) or len(str(path).splitlines()) > 1:
        return "its name, which is no line of text"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"what it is: {'a link' if path.is_symlink() else 'a file'} that cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else f"what it is: {access.kind(mode)}, expected a regular file"


def find_all(places: Iterable[Path]) -> Iterator[Path]:
    """Yield every file in *places*, but for those of git and of virtual environments."""
    for place in places:
        if place.is_file():
            yield place
        for parent, below, names in os.walk(place):
            if "pyvenv.cfg" in names:
                below.clear()
                continue
            if ".git" in below:
                below.remove(".git")
            yield from (Path(parent, name) for name in names)


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


#: How `git ls-files` shows a submodule, and how many digits the names of blobs have but in a repository of SHA-256.
_SUBMODULE, _SHA1_DIGITS = "160000", 40

#: What git is told, as else it may run programs that the configuration of the repository names. Whose checkout it is
#: decides that, and a checkout is looked at here, not trusted.
_HARMLESS = (
    "--no-pager",
    "--no-optional-locks",
    "--no-replace-objects",
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "log.showSignature=false"),
    *("-c", "diff.external="),
    *("-c", "protocol.allow=never"),
)

#: What of its environment git is left: which of the user's configuration counts, where a checkout may end, and whose it
#: is taken for in a test.
_LEFT = re.compile(r"GIT_(CONFIG_(COUNT|KEY_\d+|VALUE_\d+|GLOBAL|SYSTEM|NOSYSTEM)|CEILING_\w+|DISCOVERY_\w+|TEST_\w+)")


def _environment() -> dict[str, str]:
    """Return the environment of git: without what names programs, or another repository than that which is asked for.

    A partial clone would fetch what it lacks, by programs that its configuration names; what is not here is said to be
    not here.
    """
    left = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _LEFT.fullmatch(name)}
    return {**left, "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "", "GIT_TERMINAL_PROMPT": "0"}


class _NoGitError(Exception):
    """Why git cannot be asked."""


def _changed(root: Path, selected: set[Path]) -> set[Path]:
    """Return those of *selected* that differ from the revision of the repository at *root*, and submodules that do.

    `git status` would run the filters that the configuration of the repository names, and so would `git diff`.
    """
    changed = {root / name for name in _git(root, "diff-index", "--cached", "--name-only", "-z", "HEAD").split("\0")}
    for entry in filter(None, _git(root, "ls-files", "-z", "--stage").split("\0")):
        about, _, name = entry.partition("\t")
        mode, blob, _ = about.split(" ")
        path = root / name
        if mode == _SUBMODULE:
            if (path / ".git").exists() and (_revision(path) != blob or _changed(path, selected)):
                changed.add(path)
        elif path in selected and not _is_blob(path, blob):
            changed.add(path)
    return changed - {root}


def _is_blob(path: Path, blob: str) -> bool:
    """Whether file *path* is what git *blob* is, but for its line ends."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    make = hashlib.sha1 if len(blob) == _SHA1_DIGITS else hashlib.sha256
    return any(make(b"blob %d\0" % len(one) + one).hexdigest() == blob for one in (content, *_with_other_ends(content)))


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
            ["git", "-C", str(folder), *_HARMLESS, *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=GIT_TIMEOUT,
            check=False,
            env=_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NoGitError(str(error)) from None
    if done.returncode:
        # All of it: what to do about a checkout of another user stands below the reason.
        raise _NoGitError(" ".join(os.fsdecode(done.stderr).split()) or "git failed")
    return done.stdout
