"""Runs a Python program in this process as the interpreter itself would, after recording has started.

``python -m MODULE``, ``python FILE`` and a console script on the PATH all become module ``__main__``, with the
``sys.argv``, ``sys.path[0]``, exit code and traceback that they have by themselves. The options of the interpreter
(``-X``, ``-W``, ``-O``, ``-I``) are those of this process. Nothing of the program is imported before recording starts,
so its first line counts like every other.

Not the same: a traceback lacks what `runpy` adds to that of a module, and ``sys.orig_argv`` names this package.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import pkgutil
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import NoReturn

import coverage_hooks
from coverage_hooks import shown

_EXPECTED = "expected a Python file, a console script, or -m and a module"


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be run: *name* is a module's, or a file, or a console script; *arguments* are what follows it."""

    name: str
    arguments: list[str]
    is_module: bool

    @classmethod
    def parse(cls, words: Sequence[str]) -> Program | None:
        """Return the program that *words* of a command line name as those of ``python`` do; None if they name none."""
        match words:
            case ["-m", name, *arguments] if name:
                return cls(name, arguments, is_module=True)
            case ["--", name, *arguments] if name:
                return cls(name, arguments, is_module=False)
            case [name, *arguments] if name.startswith("-m") and len(name) > 2:
                return cls(name[2:], arguments, is_module=True)
            case [name, *arguments] if name and not name.startswith("-"):
                return cls(name, arguments, is_module=False)
        return None

    def run(self) -> None:
        """Start recording, then run the program; it ends as if it ran by itself.

        Where there is no such file or console script it ends as the interpreter does, with a reason and exit code 2.
        """
        prepare = self._module if self.is_module else _script(self.name)
        coverage_hooks.start()
        try:
            code, main = prepare(self.arguments)
            exec(code, vars(main))  # noqa: S102 - it is what was asked for
        except (SystemExit, KeyboardInterrupt):
            raise  # the interpreter makes the exit code of them, of the second by a signal
        except BaseException as error:  # noqa: BLE001 - as the interpreter does, but without the frames of this package
            error.__traceback__ = _theirs(error.__traceback__)
            # What reports a crash when the interpreter exits looks here.
            sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
            if sys.version_info >= (3, 12):
                sys.last_exc = error
            sys.excepthook(type(error), error, error.__traceback__)
            sys.exit(1)

    def _module(self, arguments: list[str]) -> tuple[CodeType, ModuleType]:
        """Return what ``python -m`` would run."""
        if self.name.startswith("."):
            _refuse("Relative module names not supported")
        _begin(_working_folder(), ["-m", *arguments])
        spec = _found(self.name)
        if spec is not None and spec.submodule_search_locations is not None:
            package, spec = self.name, _found(f"{self.name}.__main__")
            if spec is None:
                _refuse(f"No module named {package}.__main__; {package!r} is a package and cannot be directly executed")
        if spec is None:
            _refuse(f"No module named {self.name}")
        code = _code_of(spec)
        if code is None:
            _refuse(f"No code object available for {spec.name}")
        sys.argv[0] = spec.origin or self.name
        return code, _main(spec.origin, spec, spec.parent)


def _script(name: str) -> Callable[[list[str]], tuple[CodeType, ModuleType]]:
    """Return what prepares the file or console script *name*, which is found as a shell would."""
    found = "" if os.sep in name else _console_script(name)
    # A project's folder often has the name of its console script; a folder is a program only if it says so.
    try:
        if Path(name).exists() and not (found and Path(name).is_dir() and not Path(name, "__main__.py").exists()):
            return lambda arguments: _prepared(name, arguments)
    except OSError as error:  # it may be longer than any name, or in a folder that this user may not look into
        _refuse(f"cannot run {name!r}: {error.strerror}; {_EXPECTED}", code=2)
    if not found:
        where = "no such file" if os.sep in name else "neither a file here nor a program on the PATH"
        _refuse(f"cannot run {name!r}: {where}; {_EXPECTED}", code=2)
    try:
        _compiled(found)
    except (SyntaxError, ValueError):
        _refuse(f"cannot run {name!r}: {found} is not written in Python; {_EXPECTED}", code=2)
    except OSError as error:
        _refuse(f"cannot run {name!r}: {found} cannot be read: {error.strerror}; {_EXPECTED}", code=2)
    return lambda arguments: _prepared(found, arguments)


def _console_script(name: str) -> str:
    """Return the program *name*: on the PATH, or beside this interpreter, whose folder need not be there."""
    return shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts")) or ""


def _prepared(name: str, arguments: list[str]) -> tuple[CodeType, ModuleType]:
    """Return what ``python NAME`` would run: a file, or the ``__main__`` of a folder or an archive."""
    path = os.path.join(_working_folder(), name)  # noqa: PTH118 - a Path would drop what Python keeps, as in ./name
    importer = pkgutil.get_importer(path)
    spec = importer.find_spec("__main__") if importer is not None else None
    if spec is not None and (code := _code_of(spec)) is not None:
        _begin(path, [name, *arguments], always=True)
        return code, _main(spec.origin, spec, "")
    if Path(path).is_dir():
        _refuse(f"can't find '__main__' module in {path!r}")
    _begin(str(Path(path).resolve().parent), [name, *arguments])
    loader = (SourcelessFileLoader if path.endswith(".pyc") else SourceFileLoader)("__main__", path)
    try:
        code = loader.get_code("__main__") if path.endswith(".pyc") else _compiled(path)
    except OSError as error:
        _refuse(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}", code=2)
    assert code is not None  # a loader of files raises instead
    main = _main(path, None, None)
    main.__loader__ = loader
    return code, main


def _compiled(path: str) -> CodeType:
    with io.open_code(path) as file:
        return compile(file.read(), path, "exec", dont_inherit=True)


def _begin(place: str, arguments: list[str], *, always: bool = False) -> None:
    """Set what the interpreter sets before it imports anything of a program, which it first looks for in *place*.

    With ``-P`` or ``-I`` it does not look there, unless it *always* does. See ``sys.flags.safe_path``.
    """
    sys.argv[:] = arguments
    if not sys.flags.safe_path:
        sys.path[0] = place
    elif always:
        sys.path.insert(0, place)


def _main(file: str | None, spec: ModuleSpec | None, package: str | None) -> ModuleType:
    """Make module ``__main__``, as multiprocessing and pickle look for it."""
    main = ModuleType("__main__")
    main.__spec__, main.__package__ = spec, package
    main.__loader__ = spec.loader if spec is not None else None
    vars(main).update(__builtins__=builtins, __cached__=spec.cached if spec is not None else None)
    if file is not None:
        main.__file__ = file
    sys.modules["__main__"] = main
    return main


def _found(name: str) -> ModuleSpec | None:
    """Return where module *name* is; its packages are imported to find it, and what they raise is theirs."""
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        # That a package of the name is missing is an answer; a package that misses something else is broken.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise
    except ValueError:  # a module without a spec, as ``__main__``
        return None


def _code_of(spec: ModuleSpec) -> CodeType | None:
    get_code = getattr(spec.loader, "get_code", None)
    code = get_code(spec.name) if get_code is not None else None
    return code if isinstance(code, CodeType) else None


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted; Python goes on without it
        return ""


def _refuse(reason: str, *, code: int = 1) -> NoReturn:
    """End as the interpreter does that cannot run what it was told to."""
    shown.line(f"{sys.executable}: {reason}", err=True)
    sys.exit(code)


def _theirs(traceback: TracebackType | None) -> TracebackType | None:
    """Return *traceback* from the program's first frame on; of what cannot be compiled, the interpreter shows none."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback
