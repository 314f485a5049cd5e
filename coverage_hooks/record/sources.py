"""What the measured files were when they were imported, found out as early as each can be, and whether that changed.

A file is named with its first point, in the thread that imports it; what its time alone does not prove, the pulse does.
A module may be executed again, as `importlib.reload` does. Its lines are then those of two versions, unless both are
the same.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from types import CodeType

from coverage_hooks.record import fingerprints, imports
from coverage_hooks.record.journal import File, Journal

#: How many executions of modules are kept from one beat to the next.
_EXECUTIONS = 10_000

_TWO_VERSIONS = "it was imported in two versions"


class Sources:
    """The files of one measurement, which starts now; *begun* are those that were imported before, as real paths."""

    def __init__(self, begun: set[str], problem: Callable[[str], None]) -> None:
        self._since, self._process_began = time.time(), fingerprints.process_began()
        self._begun = begun
        self._problem = problem
        self._unproven: dict[str, File] = {}
        self._executed: deque[CodeType] = deque(maxlen=_EXECUTIONS)
        self._lately: dict[str, list[CodeType]] = {}  # what was executed before the last beat, by path
        self._before: set[str] = set()  # what was executed before that

    def executes(self, code: object) -> None:
        """Note that *code* is about to be executed; for the audit event, amid anything."""
        if isinstance(code, CodeType) and code.co_name == "<module>" and not code.co_filename.startswith("<"):
            self._executed.append(code)

    def identify(self, file: File) -> None:
        """Fill in what *file* was when it was imported, if that is known at once; raises nothing of its own."""
        if file.fingerprint is None and not file.problem:
            file.fingerprint = fingerprints.at_once(file.path, self._since_when(file.path))
            if file.fingerprint is None:
                self._unproven[file.path] = file

    def prove(self, journal: Journal, known: Callable[[str], File | None]) -> None:
        """Find out what the files were whose time alone does not tell, at most one beat after they were imported.

        *known* returns a measured file by its path. Raises `OSError` where *journal* cannot be written.
        """
        modules = {file: module for _, file, module in imports.modules_from(set(self._unproven))}
        for path, file in list(self._unproven.items()):
            if file.problem:
                continue
            try:
                file.fingerprint = file.fingerprint or fingerprints.proven(path, modules, self._since_when(path))
            except Exception as error:  # noqa: BLE001 - of one file; what all others have is written all the same
                self._refuse(file, error)  # what is read later can only be further from what was imported
        for path, codes in self._executed_again().items():
            if (again := known(path)) is not None and not (again.problem or _is_one(again, codes)):
                self._refuse(again, _TWO_VERSIONS)
        for path, file in list(self._unproven.items()):
            if file.fingerprint or file.problem:  # not one that has begun meanwhile: it is for the next beat
                journal.name(file)  # if it fails, once more with the next beat
                del self._unproven[path]

    def _executed_again(self) -> dict[str, list[CodeType]]:
        """Return by path what was executed lately, of modules that were executed several times.

        That is since the beat before the last one: of what began amid a beat, its file is known only with the next.
        """
        new: dict[str, list[CodeType]] = {}
        while self._executed:
            code = self._executed.popleft()
            new.setdefault(os.path.realpath(code.co_filename), []).append(code)
        lately = {path: [*self._lately.get(path, ()), *new.get(path, ())] for path in self._lately.keys() | new}
        again = {path: codes for path, codes in lately.items() if len(codes) > 1 or path in self._before | self._begun}
        self._before.update(self._lately)
        self._lately = new
        return again

    def _since_when(self, path: str) -> float:
        return self._process_began if path in self._begun else self._since

    def _refuse(self, file: File, error: object) -> None:
        file.problem = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
        self._unproven[file.path] = file
        self._problem(f"{file.path}: no fingerprint, so no line of it can be trusted: {file.problem}")


def _is_one(file: File, codes: list[CodeType]) -> bool:
    """Whether all *codes* are of the source that *file* was when it was imported."""
    try:
        return all(fingerprints.of_code(file.path, code) == file.fingerprint for code in codes)
    except (fingerprints.UnprovenError, OSError):
        return False
