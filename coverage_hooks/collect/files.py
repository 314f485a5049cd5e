"""The output folder: what is called how in it, and how to write so that nobody ever reads half a file.

No data file has a name that ``coverage combine`` or ``coverage report`` would take for a part of another, except those
in `DATA`, which are made to be combined.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from coverage_hooks.errors import UsageError

RAW, LEDGER, DATA = "raw", "ledger.json", "data"
UNIT, CLUSTER, COMBINED = "unit.coverage", "cluster.coverage", ".coverage"
HTML, XML, LCOV, WORLDS = "html", "coverage.xml", "coverage.lcov", "worlds.html"
XML_OF = {UNIT: "unit.xml", CLUSTER: "cluster.xml"}
SUMMARY_JSON, SUMMARY_MARKDOWN = "summary.json", "summary.md"


#: What coverage.py writes into a folder that it found empty, and what else it makes there.
_MARK = "# Created by coverage.py\n*\n"
_OF_HTML = re.compile(
    r"(function|class)_index\.html|z_[0-9a-f]{16}_.+\.html|.+_pyw?\.html|.+_cb_[0-9a-f]{8}\.(css|js|png)|status\.json"
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
        its_own = not folder.is_symlink() and mark.read_text() == _MARK
    except (OSError, ValueError):
        return
    if not its_own:
        return
    for path in folder.iterdir():
        if _OF_HTML.fullmatch(path.name) and (path.is_file() or path.is_symlink()):
            path.unlink()
    if list(folder.iterdir()) == [mark]:
        mark.unlink()
        folder.rmdir()


def make_folder(path: Path) -> Path:
    """Return folder *path*, made if it was not there; `UsageError` when it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the output folder {str(path)!r} cannot be made: {error.strerror or error}") from None
    return path


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
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write(target: Path, content: str | bytes) -> None:
    """Make *content* the content of *target*."""
    with replacing(target) as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current
