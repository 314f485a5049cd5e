"""Opening and reading entries of a volume whose content nobody vouches for.

A volume is input: a link, a FIFO, a device or a file that never ends may lie where a recording should be. So every
component is opened relative to the folder above it, never following a link, never blocking, and nothing but a regular
file below its size cap is read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coverage_hooks.errors import NotPermitted, TooLarge, UnsafeEntry, UsageError, VolumeError

# A string without its end swallows the rest, so that no quote is looked at twice: two patterns, or one that wants the
# closing quote, take hours for a megabyte of escaped quotes.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)

#: How many bytes are read at a time, so that no file takes more memory than that.
CHUNK = 1 << 20

_SAFE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def only_regular(path: str, flags: int) -> int:
    """Open *path* for `open`, which is given this as its opener; `OSError` for a FIFO, a socket or a device.

    One may be waited for without end.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise FileExistsError(errno.EEXIST, f"it is {kind(mode)}, expected a regular file", path)


def check_finite(configurations: Iterable[Path]) -> None:
    """Raise `UsageError` when one of *configurations* would be read without end, such as a FIFO."""
    for path in configurations:
        if path.exists() and not (path.is_file() or path.is_dir() or path.samefile(os.devnull)):
            found = kind(path.stat().st_mode)
            raise UsageError(f"coverage configuration {str(path)!r} is {found}, expected a regular file: name one")


@contextmanager
def open_folder(name: str | os.PathLike[str], *, parent: int | None = None) -> Iterator[int]:
    """Open folder *name* for use as a ``dir_fd``; below *parent* a link is refused.

    The topmost folder is what a person typed, so it may be a link; nothing below it may.

    Raises `VolumeError` when it is not there and `UnsafeEntry` when it is something else than a folder.
    """
    flags = _SAFE | os.O_DIRECTORY if parent is not None else os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=parent)
    except NotADirectoryError:
        raise UnsafeEntry(f"{os.fspath(name)!r} is not a folder; links are not followed") from None
    except OSError as error:
        raise _refusal(name, error, lambda: _whose(name, parent)) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_file(name: str, *, parent: int, limit: int) -> Iterator[int]:
    """Open regular file *name* in folder *parent* for reading; *limit* is its largest allowed size in bytes.

    Raises `UnsafeEntry`, `TooLarge` or `VolumeError` (absent, not permitted, input/output error).
    """
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise UnsafeEntry(f"{name!r} is not a plain file name")
    try:
        descriptor = os.open(name, _SAFE, dir_fd=parent)
    except OSError as error:
        raise _refusal(name, error, lambda: _whose(name, parent)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeEntry(f"{name!r} is {kind(status.st_mode)}, expected a regular file")
        if status.st_size > limit:
            raise TooLarge(f"{name!r} has {status.st_size} bytes, more than the {limit} allowed")
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(name: str, *, parent: int, limit: int) -> bytes:
    """Return the content of regular file *name* in folder *parent*: at most *limit* bytes, also if it grows."""
    return read_aged_file(name, parent=parent, limit=limit)[0]


def read_aged_file(name: str, *, parent: int, limit: int) -> tuple[bytes, float]:
    """Return what `read_file` does, and how many seconds ago it was written, by the clock of this machine.

    They are negative when that is yet to come: a clock was set back, or two differ.
    """
    with open_file(name, parent=parent, limit=limit) as descriptor:
        written = os.fstat(descriptor).st_mtime
        chunks = []
        left = limit + 1
        while left > 0 and (chunk := _read(name, descriptor, min(left, CHUNK))):
            chunks.append(chunk)
            left -= len(chunk)
        if left <= 0:
            raise TooLarge(f"{name!r} grew beyond the {limit} bytes allowed while it was read")
        return b"".join(chunks), time.time() - written


def read_range(name: str, descriptor: int, first: int, size: int) -> bytes:
    """Return *size* bytes from *first* of the file open as *descriptor*; `VolumeError` when they are not there."""
    chunks = []
    while size and (chunk := _read_at(name, descriptor, size, first)):
        chunks.append(chunk)
        first += len(chunk)
        size -= len(chunk)
    if size:
        raise _shorter(name)
    return b"".join(chunks)


def check_same(name: str, descriptor: int, *, parent: int, size: int) -> None:
    """Raise `VolumeError` unless *name* in folder *parent* is the file open as *descriptor*, of *size* bytes or more.

    So what was read of it is what lies there, as it only grows.
    """
    opened = os.fstat(descriptor)
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        raise _refusal(name, error) from None
    if not os.path.samestat(opened, found):
        raise VolumeError(f"{name!r} was replaced while it was copied")
    if opened.st_size < size:
        raise _shorter(name)


def digest(name: str, descriptor: int, size: int) -> hashlib._Hash:
    """Return the SHA-256 of the first *size* bytes of the file open as *descriptor*, whatever was read of it."""
    content, first = hashlib.sha256(), 0
    while first < size:
        chunk = read_range(name, descriptor, first, min(CHUNK, size - first))
        content.update(chunk)
        first += len(chunk)
    return content


def parse_json(content: bytes, *, depth: int = 16) -> Any:
    """Return *content* as JSON, refusing more than *depth* nested brackets before a parser sees them.

    Raises `ValueError` with a reason fit to be shown.
    """
    try:
        # Decoded here, not by the parser: it would also take UTF-16, whose bytes can hide brackets from the count.
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text: {error.reason} at byte {error.start}") from None
    level = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[0][0] != '"':
            level += 1 if token[0] in "[{" else -1
        if level > depth:
            raise ValueError(f"brackets nested deeper than {depth}")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _shorter(name: str) -> VolumeError:
    return VolumeError(f"{name!r} became shorter while it was copied")


def _read(name: str, descriptor: int, size: int) -> bytes:
    try:
        return os.read(descriptor, size)
    except OSError as error:
        raise _refusal(name, error) from None


def _read_at(name: str, descriptor: int, size: int, first: int) -> bytes:
    try:
        return os.pread(descriptor, size, first)
    except OSError as error:
        raise _refusal(name, error) from None


def _refusal(name: str | os.PathLike[str], error: OSError, whose: Callable[[], str] = lambda: "") -> VolumeError:
    """Return what *error* says of *name*; where it is about rights, also *whose* that is."""
    if error.errno == errno.ELOOP:  # what O_NOFOLLOW answers for a link
        return UnsafeEntry(f"{os.fspath(name)!r} is a link; links are not followed")
    text = f"{os.fspath(name)!r}: {error.strerror or error}"
    return NotPermitted(f"{text}{whose()}") if isinstance(error, PermissionError) else VolumeError(text)


def _whose(name: str | os.PathLike[str], parent: int | None) -> str:
    """Return whose *name* in folder *parent* is, or that folder above it which keeps that a secret."""
    with contextlib.suppress(OSError):
        return f": it {_belongs(os.stat(name, dir_fd=parent, follow_symlinks=parent is None))}"
    if parent is not None:
        return f": it is in a folder that {_belongs(os.fstat(parent))}"
    for folder in Path(name).absolute().parents:
        with contextlib.suppress(OSError):
            return f": it is in a folder that {_belongs(folder.stat())}"
    return ""


def _belongs(status: os.stat_result) -> str:
    """Return whose the entry with *status* is, and who this is."""
    return (
        f"belongs to user {status.st_uid}, group {status.st_gid}, with mode {stat.S_IMODE(status.st_mode):o}, and this "
        f"is user {os.geteuid()}, group {os.getegid()}"
    )


def kind(mode: int) -> str:
    """Return what an entry with *mode* is, which is no regular file."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
