"""Where modules are, and which were there before recording started.

Somebody has to call `coverage_hooks.start`: the modules that are on the stack at that moment, and the packages they are
in, have executed their first lines unrecorded and cannot help it. Any other module that was imported before could have
been imported after, so its lines are a loss.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType

#: The real path of the ``__main__`` of the process that spawned this one; empty where that is not so.
spawned_main = ""


def names_of(files: Iterable[str]) -> list[str]:
    """Return the names of the loaded modules that were made from *files*, sorted."""
    wanted = set(files)
    return sorted({_name(module) for module in list(sys.modules.values()) if file_of(module) in wanted})


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


def places_of(module: str) -> list[str]:
    """Return where Python finds *module*: the folders of a package, else its file; nothing is imported to find it."""
    top, *rest = module.split(".")
    places, folders = _found(_spec(top))
    name = top
    for part in rest:
        name = f"{name}.{part}"
        # What a folder without ``__init__.py`` says of itself needs the package above to be imported.
        within = [str(folder) for each in folders if (folder := Path(each, part)).is_dir()]
        places, folders = _found_below(name, folders)
        if within and not places:
            places = folders = within
    return places


def _found_below(name: str, folders: list[str]) -> tuple[list[str], list[str]]:
    try:
        return _found(PathFinder.find_spec(name, folders) if folders else None)
    except (ImportError, KeyError):  # a folder without ``__init__.py``, whose package was not imported
        return [], []


def _found(spec: ModuleSpec | None) -> tuple[list[str], list[str]]:
    """Return where *spec* is, and the folders to look for what is below it."""
    if spec is None:
        return [], []
    if spec.submodule_search_locations is None:
        return [spec.origin] if spec.has_location and spec.origin else [], []
    folders = list(spec.submodule_search_locations)
    return folders, folders


def script_names(file: str) -> list[str]:
    """Return the names that Kopf, or `multiprocessing`, may give the module of *file*, a real path.

    Kopf does where this command line names the file. It numbers the files and adds the path as given; without its
    ending, as what coverage.py knows as a package.
    """
    words = [word for word in sys.argv if word.endswith(".py") and os.path.realpath(word) == file]
    scripts = [f"__kopf_script_{number}__{word[:-3]}" for word in words for number in range(len(sys.argv))]
    return [*scripts, *(["__mp_main__"] if file == spawned_main else [])]


def modules_from(files: set[str]) -> Iterator[tuple[str, str, ModuleType]]:
    """Yield the loaded modules that were made from *files*, real paths: name, file, and the module itself."""
    names = {os.path.basename(file) for file in files}  # noqa: PTH119 - text: there are many modules
    for name, module in list(sys.modules.items()) if files else ():
        file = file_of(module)
        if file and os.path.basename(file) in names and (real := os.path.realpath(file)) in files:  # noqa: PTH119
            yield name, real, module


def file_of(module: object) -> str:
    """Return what *module* was made from; empty if it does not say.

    Nothing of the module's own is asked: a lazy one would be executed here, in this thread and unrecorded.
    """
    try:
        file = object.__getattribute__(module, "__dict__").get("__file__")
    except AttributeError:  # anything may stand in for a module
        return ""
    return file if isinstance(file, str) else ""


def _spec(name: str) -> ModuleSpec | None:
    try:
        found = importlib.util.find_spec(name)
    except Exception:  # noqa: BLE001 - finders of other packages are asked, too, and may raise anything
        found = None
    if found is not None:
        return found
    try:  # `python -m` has the working folder on its path; the script of this command has not
        return PathFinder.find_spec(name, [str(Path.cwd())])
    except OSError:  # it was deleted
        return None
