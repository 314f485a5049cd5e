"""Which modules were there before recording started.

Somebody has to call `coverage_hooks.start`: the modules that are on the stack at that moment, and the packages they are
in, have executed their first lines unrecorded and cannot help it. Any other module that was imported before could have
been imported after, so its lines are a loss.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType, ModuleType


def names_of(files: Iterable[str]) -> list[str]:
    """Return the names of the loaded modules that were made from *files*, sorted."""
    wanted = set(files)
    return sorted(
        {_name(module) for module in list(sys.modules.values()) if getattr(module, "__file__", None) in wanted}
    )


def excused(before: Iterable[str]) -> list[str]:
    """Return the modules on the stack for whose sake some of *before* had to be imported: themselves or a parent."""
    known = list(before)
    stack = names_on_stack()
    return sorted(name for name in stack if any(name == each or name.startswith(f"{each}.") for each in known))


def names_on_stack() -> set[str]:
    """Return the names of the modules whose code is being executed by this thread."""
    names = set()
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented, and the only way to see who is calling
    while frame is not None:
        module = sys.modules.get(frame.f_globals.get("__name__", ""))
        names.add(_name(module) if module is not None else "")
        frame = frame.f_back
    return names - {""}


def _name(module: ModuleType) -> str:
    """Return the importable name of *module*, also if it is ``__main__`` by ``python -m``."""
    spec = getattr(module, "__spec__", None)
    return str(spec.name if spec is not None else module.__name__)
