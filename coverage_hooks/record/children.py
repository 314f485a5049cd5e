"""Records the Python processes that an operator starts anew: those of `multiprocessing`, and others if it is asked for.

A forked child needs nothing of this. What ``spawn`` and ``forkserver`` start is a new interpreter with a command of
`multiprocessing`'s own, before which recording starts here. Any other Python program is reached through its
environment: a ``sitecustomize`` on the PYTHONPATH, which chains the one that is there. Each such process makes a
recording of its own, which names this one.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from coverage_hooks.record import imports
from coverage_hooks.settings import PARENT, Settings

_MODULE = "multiprocessing.util"
_SITE = Path(__file__).parent / "site"

#: What runs before the command of `multiprocessing`; that it starts nothing must not keep the child from running.
_BEFORE = """\
try:
    from coverage_hooks.record import children
except ImportError:
    pass
else:
    children.start({parent!r}, {main!r})
"""


def start(parent: str = "", main: str = "") -> None:
    """Start recording this process, which the process of recording *parent* has started.

    Without *parent* the environment names it. *main* is the file of that process's ``__main__``, which
    `multiprocessing` imports under another name.
    """
    imports.spawned_main = main
    settings = Settings.from_environment(os.environ | ({PARENT: parent} if parent else {}))
    if settings.enabled:
        importlib.import_module("coverage_hooks.record.recording").start(settings)


def follow(recording: str, problem: Callable[[str], None], *, programs: bool) -> None:
    """Have what this process starts with `multiprocessing` recorded, and with *programs* all Python programs.

    *recording* is the one of this process.
    """

    def follow_module(module: ModuleType) -> None:
        if not _follow(module, recording):
            problem("processes that multiprocessing spawns are not recorded: it starts them in a way that is not known")

    if module := sys.modules.get(_MODULE):
        follow_module(module)
    else:
        sys.meta_path.insert(0, _Finder(follow_module))
    if programs:
        os.environ[PARENT] = recording
        paths = os.environ.get("PYTHONPATH", "")
        if str(_SITE) not in paths.split(os.pathsep):
            os.environ["PYTHONPATH"] = f"{_SITE}{os.pathsep}{paths}" if paths else str(_SITE)


class _Finder:
    """Finds `multiprocessing.util` as ever, and changes it once it is imported: importing it here would cost time."""

    def __init__(self, then: Callable[[ModuleType], None]) -> None:
        self._then = then

    def find_spec(self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._then(module)

            loader.exec_module = exec_module
        return spec


def _follow(module: Any, recording: str) -> bool:
    """Let *module*, `multiprocessing.util`, start what it starts with recording; False if it does that otherwise."""
    spawn: Callable[[Any, Sequence[Any], Any], int] | None = getattr(module, "spawnv_passfds", None)
    if spawn is None:
        return False

    def recorded(path: Any, arguments: Sequence[Any], passed: Any) -> int:
        words = list(arguments)
        if "-c" in words[:-1] and "resource_tracker" not in (code := words[at := words.index("-c") + 1]):
            main = imports.file_of(sys.modules.get("__main__"))
            words[at] = _BEFORE.format(parent=recording, main=main and os.path.realpath(main)) + code
        return spawn(path, words, passed)

    module.spawnv_passfds = recorded
    return True
