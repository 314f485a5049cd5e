"""A program that the machine may have already: the one that a variable names, or the one on the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import BinariesError
from tests.cluster.waiting import WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnProgram:
    """A program of the machine; `called` finds in what it prints when asked with `ask` the version, such as v3.14.0.

    `remedy` tells how to get the program.
    """

    name: str
    variable: str
    at_least: tuple[int, int]
    ask: Sequence[str]
    called: Callable[[str], str] = str.strip
    remedy: str

    @property
    def wanted(self) -> str:
        """Return the versions that will do, in words."""
        return f"{self.at_least[0]}.{self.at_least[1]} or newer"

    def named(self, environ: Mapping[str, str]) -> Path | None:
        """Return the one that the variable names, or None if it is not set; never another one."""
        if not (given := environ.get(self.variable)):
            return None
        program = shutil.which(given, path=environ.get("PATH", ""))
        if program is None:
            raise BinariesError(f"{self.variable}={given} is no program.\n{self.remedy}")
        if not self._is_new_enough(version := self._version(program, environ)):
            called = version or "of no known version"
            raise BinariesError(f"{self.variable}={given} is {called}: too old.\n{self.remedy}")
        return Path(program).absolute()

    def on_the_path(self, say: Callable[[str], None], environ: Mapping[str, str]) -> Path | None:
        """Return the one on the PATH, if it is new enough; *say* is told if it is not."""
        if not (found := shutil.which(self.name, path=environ.get("PATH", ""))):
            return None
        if self._is_new_enough(version := self._version(found, environ)):
            return Path(found).absolute()
        say(f"{self.name}: {found} is {version or 'of no known version'}: too old, expected {self.wanted}")
        return None

    def _version(self, program: str, environ: Mapping[str, str]) -> str:
        command = [program, *self.ask]
        try:
            asked = subprocess.run(
                command, env=dict(environ), capture_output=True, text=True, check=False, timeout=WITHIN
            )
        except OSError:  # a program for another kind of machine
            return ""
        return self.called(asked.stdout)

    def _is_new_enough(self, version: str) -> bool:
        found = re.match(r"v(\d+)\.(\d+)", version)
        return found is not None and (int(found[1]), int(found[2])) >= self.at_least
