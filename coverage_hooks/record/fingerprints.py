"""What a measured file was when it was imported, and the proof that it was this.

A data file knows lines and not what stood on them. The source is read up to a beat after it was imported, and may be
another one by then; or it never was what ran, where a compiled file is used that does not check its source. So what is
read has to prove itself: it was not touched since recording started, which no process can feign (``st_ctime``), or it
compiles to the code that runs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import marshal
import os
import time
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from coverage_hooks.record.folder import is_from_elsewhere
from coverage_hooks.volume.journal import Fingerprint

#: Flags in the head of a compiled file: it holds a hash of its source; and that hash is checked.
_HASHED, _CHECKED = 1, 2


class UnprovenError(Exception):
    """Why a source cannot be taken for what was imported."""


def of(content: bytes) -> Fingerprint:
    """Return the SHA-256 and the git blob id of a file's *content*."""
    blob = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
    blob.update(content)
    return Fingerprint(sha256=hashlib.sha256(content).hexdigest(), git=blob.hexdigest())


def at_once(file: str, since: float) -> Fingerprint | None:
    """Return the fingerprint of *file*, which is being imported, if its time alone proves it; None if more is needed.

    For the thread that imports it, right before its first line. Raises nothing but what a signal handler raises.
    """
    found = _read(file)
    if found is None:
        return None
    content, status = found
    if len(content) != status.st_size or status.st_ctime >= since or not _may_be_compiled_of(content, file):
        return None
    return of(content)


def _read(file: str, size: int | None = None) -> tuple[bytes, os.stat_result] | None:
    """Return the first *size* bytes of *file*, or all and one more where it grows; None where it cannot be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            return os.read(descriptor, status.st_size + 1 if size is None else size), status
        finally:
            os.close(descriptor)
    except OSError as error:
        if is_from_elsewhere(error):
            raise
        return None


def _may_be_compiled_of(content: bytes, file: str) -> bool:
    """Whether the compiled file of *file* is used only if *content* is its source, or says that this is its source."""
    try:
        found = _read(importlib.util.cache_from_source(file), 16)
    except NotImplementedError:  # no compiled file is used at all
        return True
    if found is None:
        return True
    head, _ = found
    flags = int.from_bytes(head[4:8], "little")
    if head[:4] != importlib.util.MAGIC_NUMBER or not flags & _HASHED or flags & _CHECKED:
        return True
    return importlib.util.source_hash(content) == head[8:]


def proven(file: str, modules: Mapping[str, ModuleType], since: float) -> Fingerprint:
    """Return the fingerprint of *file*, imported after *since* as the one of *modules* at its real path.

    *since* is in seconds since the epoch. Raises `UnprovenError`, or `OSError` where it cannot be read.
    """
    path = Path(file)
    content, status = path.read_bytes(), path.stat()
    compiled = _Compiled.of(modules.get(file))
    if status.st_ctime < since and not (compiled and compiled.is_unchecked):
        return of(content)
    if file not in modules:  # a template, or what a plugin maps to it: nothing tells more
        raise UnprovenError("it was written after recording started, and is no module that can be compared")
    try:
        source = compile(content, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        raise UnprovenError("it has changed since it was imported: it does not compile") from None
    if compiled and compiled.belongs_to(content, status):
        if not _all_equal(compiled.code(), source):
            raise UnprovenError(f"{compiled.path}, which was imported, was compiled of another source")
    elif not _is_running(modules[file], source):
        raise UnprovenError("it has changed since it was imported")
    return of(content)


def of_code(file: str, code: CodeType) -> Fingerprint:
    """Return the fingerprint of *file*, of which the module *code* was compiled.

    Raises `UnprovenError` where it is another source by now, or `OSError` where it cannot be read.
    """
    content = Path(file).read_bytes()
    try:
        source = compile(content, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        source = None
    if source is None or not _all_equal(code, source):
        raise UnprovenError("it has changed since it was executed")
    return of(content)


def process_began() -> float:
    """Return when this process began, in seconds since the epoch, at most a tick too late; now where nothing tells."""
    try:
        after_boot = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) + 1
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - after_boot / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age = 0.0
    return time.time() - age


class _Compiled:
    """The file with the compiled code of a module, as its loader would use it."""

    def __init__(self, path: str, content: bytes) -> None:
        self.path = path
        self._flags = int.from_bytes(content[4:8], "little")
        self._content = content

    @classmethod
    def of(cls, module: ModuleType | None) -> _Compiled | None:
        spec = getattr(module, "__spec__", None)
        if spec is None or type(spec.loader) is not SourceFileLoader or spec.cached is None:
            return None  # a loader of another kind has rules of its own
        try:
            content = Path(spec.cached).read_bytes()
        except OSError:
            return None
        return cls(spec.cached, content) if content[:4] == importlib.util.MAGIC_NUMBER else None

    @property
    def is_unchecked(self) -> bool:
        """Whether it is used whatever its source is now."""
        return bool(self._flags & _HASHED) and not self._flags & _CHECKED

    def belongs_to(self, content: bytes, status: os.stat_result) -> bool:
        """Whether it is used for the source that has *content* and *status*."""
        if self._flags & _HASHED:
            return self.is_unchecked or importlib.util.source_hash(content) == self._content[8:16]
        head = (int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
        return head == tuple(int.from_bytes(self._content[at : at + 4], "little") for at in (8, 12))

    def code(self) -> CodeType | None:
        try:
            code = marshal.loads(self._content[16:])  # noqa: S302 - this process has run it
        except (EOFError, ValueError, TypeError):
            return None
        return code if isinstance(code, CodeType) else None


def _is_running(module: ModuleType, source: CodeType) -> bool:
    """Whether the functions of *module* are those of *source*, and there are any."""
    there = {(code.co_qualname, code.co_firstlineno): code for code in _codes(source)}
    here = [function.__code__ for function in _functions(module, module.__name__, set())]
    here = [code for code in here if os.path.realpath(code.co_filename) == source.co_filename]
    return bool(here) and all(_equal(code, there.get((code.co_qualname, code.co_firstlineno))) for code in here)


def _equal(one: CodeType, other: CodeType | None) -> bool:
    """Whether both do the same on the same lines, which some versions of Python leave out when they compare code."""
    return other is not None and one == other and list(one.co_lines()) == list(other.co_lines())


def _all_equal(one: CodeType | None, other: CodeType) -> bool:
    """Whether two modules are the same, with all that they define."""
    pairs = itertools.zip_longest(_codes(one), _codes(other)) if one is not None else [(None, other)]
    return all(mine is not None and _equal(mine, theirs) for mine, theirs in pairs)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _functions(place: object, name: str, seen: set[int]) -> Iterator[FunctionType]:
    """Yield the functions in *place*, a module or class of module *name*, without what they are wrapped in.

    No other object is asked for anything: a proxy may raise, connect, or answer to every name.
    """
    seen.add(id(place))
    for value in list(vars(place).values()):
        if issubclass(type(value), type):
            if type.__getattribute__(value, "__dict__").get("__module__") == name and id(value) not in seen:
                yield from _functions(value, name, seen)
            continue
        function = _unwrapped(value, seen)
        if type(function) is FunctionType and function.__module__ == name:
            yield function


def _unwrapped(value: Any, seen: set[int]) -> object:
    """Return the function that *value* is made of, or what it is instead."""
    if type(value) is property:
        value = value.fget
    elif type(value) in {staticmethod, classmethod}:
        value = value.__func__
    while (wrapped := _wrapped(value)) is not None and id(value) not in seen:
        seen.add(id(value))
        value = wrapped
    return value


def _wrapped(value: object) -> object:
    try:
        return object.__getattribute__(value, "__dict__").get("__wrapped__")
    except AttributeError:
        return None
