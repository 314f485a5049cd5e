"""The output folder: what is called how in it, and how to write so that nobody ever reads half a file.

No data file has a name that ``coverage combine`` or ``coverage report`` would take for a part of another, except those
in `DATA`, which are made to be combined.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from coverage_hooks.collect import locks
from coverage_hooks.errors import UsageError
from coverage_hooks.volume import access
from coverage_hooks.volume.layout import COMPLETE, JOURNAL, MANIFEST

RAW, LEDGER, DATA = "raw", "ledger.json", "data"
UNIT, CLUSTER, COMBINED = "unit.coverage", "cluster.coverage", ".coverage"
HTML, XML, LCOV, WORLDS = "html", "coverage.xml", "coverage.lcov", "worlds.html"
XML_OF = {UNIT: "unit.xml", CLUSTER: "cluster.xml"}
SUMMARY_JSON, SUMMARY_MARKDOWN = "summary.json", "summary.md"

#: Whose lock has who writes the folder.
LOCK = ".lock"

#: How the name of a folder begins for what is only half made.
SCRATCH = ".combine-"

#: What a file is called until it is written.
_HALF = re.compile(
    rf"\.({'|'.join(map(re.escape, (LEDGER, WORLDS, SUMMARY_JSON, SUMMARY_MARKDOWN, MANIFEST, COMPLETE)))}|"
    rf"{JOURNAL.pattern})\.[a-z0-9_]{{8}}\.tmp"
)

_ROOM, _AWAY = "make room there", "something else is in its place: move that away"

#: What to do about an error that is not one of rights.
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY), _AWAY),
}

#: Errors that only writing has, so that they are about the output folder even when they name no file.
_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}

#: The same of SQLite, and what to do about it.
_OF_SQLITE = {
    sqlite3.SQLITE_FULL: _ROOM,
    sqlite3.SQLITE_IOERR: _ROOM,
    sqlite3.SQLITE_READONLY: "",
    sqlite3.SQLITE_CANTOPEN: "",
}

#: What coverage.py writes into a folder that it found empty, and what else it makes there.
_MARK = "# Created by coverage.py\n*\n"
_OF_ALL_PAGES = re.compile(r".+_cb_[0-9a-f]{8}\.(css|js|png)")
_OF_HTML = re.compile(
    rf"(function|class)_index\.html|z_[0-9a-f]{{16}}_.+\.html|.+_pyw?\.html|{_OF_ALL_PAGES.pattern}|status\.json"
)


def clear(output: Path) -> None:
    """Remove what an earlier collect left in *output*, so that nothing old is taken for new; raw copies are kept."""
    make_folder(output)
    made = (
        UNIT,
        CLUSTER,
        COMBINED,
        XML,
        *XML_OF.values(),
        LCOV,
        WORLDS,
        SUMMARY_JSON,
        SUMMARY_MARKDOWN,
    )
    for path in (*(output / DATA).glob(".coverage.*"), *(output / name for name in made)):
        path.unlink(missing_ok=True)
    _clear_html(output / HTML)


def _clear_html(folder: Path) -> None:
    """Remove the HTML report in *folder*: all that coverage.py made there, if it made the folder, else the first page.

    Without its first page the rest is of no use. What somebody else put there stays, and then the folder does, too.
    """
    (folder / "index.html").unlink(missing_ok=True)
    mark = folder / ".gitignore"
    try:
        its_own = not folder.is_symlink() and _is_marked(folder, mark)
    except (OSError, ValueError):
        return
    if not its_own:
        return
    for path in folder.iterdir():
        if _OF_HTML.fullmatch(path.name) and (path.is_file() or path.is_symlink()):
            path.unlink()
    if set(folder.iterdir()) <= {mark}:
        mark.unlink(missing_ok=True)
        folder.rmdir()


def _is_marked(folder: Path, mark: Path) -> bool:
    """Return whether coverage.py has marked *folder* as its own, or was ended right before it had."""
    if mark.exists():
        return _MARK.startswith(mark.read_text())
    return all(_OF_ALL_PAGES.fullmatch(path.name) for path in folder.iterdir())


def make_folder(path: Path) -> Path:
    """Return folder *path*, made if it was not there; `UsageError` when it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(unwritten(error, path)) from None
    return path


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Keep other processes from writing folder *output*; `UsageError` when one does, or when it cannot be written.

    In the end what is half written is removed: an error may strike at any moment, and a killed process leaves things.
    What cannot be written is told by the errors of whatever writes: coverage.py's own reports are among them.
    """
    try:
        with open(make_folder(output) / LOCK, "ab", opener=access.only_regular) as lock:
            try:
                locks.take(lock)
            except BlockingIOError:
                raise UsageError(
                    f"output folder {str(output)!r} is in use by another coverage-hooks or pytest: wait until that has "
                    "ended, or choose another output folder"
                ) from None
            try:
                yield
            finally:
                _remove_halves(output)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{error.object!r} cannot be used: its name is no UTF-8 text, which data files and reports are; rename it"
        ) from None
    except (OSError, sqlite3.Error) as error:
        if not (is_of_writing(error) if isinstance(error, sqlite3.Error) else _is_about(error, output)):
            raise
        raise UsageError(unwritten(error, output)) from None


def _remove_halves(output: Path) -> None:
    for path in (*output.glob(".*.tmp"), *output.glob(f"{RAW}/*/*/.*.tmp")):
        if _HALF.fullmatch(path.name):
            path.unlink(missing_ok=True)
    for path in output.glob(f"{SCRATCH}????????"):
        if not path.is_symlink():
            shutil.rmtree(path)


def is_of_writing(error: object) -> bool:
    """Return whether *error* is one of SQLite, and says that a file of the output folder cannot be written."""
    return isinstance(error, sqlite3.Error) and _sqlite_code(error) in _OF_SQLITE


def _is_about(error: OSError, output: Path) -> bool:
    """Return whether *error* says that something in folder *output* cannot be written."""
    where = _where(error)
    if where is None:
        return error.errno in _OF_WRITING
    return where.absolute().is_relative_to(output.absolute())


def unwritten(error: OSError | sqlite3.Error, output: Path) -> str:
    """Return that *output*, or what in it *error* names, cannot be written, why, and what to do."""
    if isinstance(error, sqlite3.Error):
        where, reason, advice = output, f"SQLite says: {error}", _OF_SQLITE.get(_sqlite_code(error), "")
    else:
        where, reason = _where(error) or output, error.strerror or str(error)
        advice = _ADVICE.get(error.errno or 0, "")
    return (
        f"{str(where)!r} cannot be written: {reason}; {advice or 'let this user write there'}, or choose another "
        "output folder"
    )


def _where(error: OSError) -> Path | None:
    named = error.filename if error.filename2 is None else error.filename2  # what a file is renamed to
    return Path(os.fsdecode(named)) if isinstance(named, (str, bytes)) else None


def _sqlite_code(error: sqlite3.Error) -> int:
    """Return the primary code of *error*; its extended one tells more than is asked here."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """Give a file to write, which becomes *target* at the end; after an error *target* is as it was."""
    descriptor, name = tempfile.mkstemp(dir=make_folder(target.parent), prefix=f".{target.name}.", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:
            yield file
        # mkstemp makes what only its owner can read; reports are for everybody whom the umask admits.
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(target)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _OF_WRITING:
            error.filename, error.filename2 = str(target), None  # what was to be written, and not its other name
        raise


def write(target: Path, content: str | bytes) -> None:
    """Make *content* the content of *target*."""
    with replacing(target) as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))


def write_json(target: Path, document: object) -> None:
    """Make *document* the content of *target*; dataclasses in it are written by their fields.

    Part by part: thousands of rows as one text would take more than all the rest.
    """
    with replacing(target) as file:
        for part in json.JSONEncoder(indent=1, default=dataclasses.asdict).iterencode(document):
            file.write(part.encode("utf-8", "backslashreplace"))
        file.write(b"\n")


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current
