"""The Go toolchain: finding it, and running a build that tells how it goes on."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.binaries.recipe import GO_AT_LEAST, Recipe
from tests.cluster.errors import BinariesError

PERIOD = 5.0


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A `go` that is new enough, and the environment to run it in."""

    program: str
    environ: Mapping[str, str]

    def build(self, recipe: Recipe, folder: Path, say: Callable[[str], None]) -> None:
        """Build into *folder*; raise BinariesError with the end of the output if that fails."""
        verb, *rest = recipe.arguments()
        command = [self.program, verb, "-o", f"{folder}/", *rest]
        tally = _Tally()
        with subprocess.Popen(
            command, cwd=recipe.module, env=self.environ, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                code = _watch(process, tally, lambda line: say(f"{recipe.purpose}: {line}"))
            finally:
                process.terminate()
        if code:
            raise BinariesError(f"go build failed with exit code {code}:\n{tally.tail()}")


def toolchain(environ: Mapping[str, str], remedy: str) -> Toolchain:
    """Return the toolchain on the PATH of *environ*.

    If there is none that is new enough, raise BinariesError, which ends with *remedy*.
    """
    program = shutil.which("go", path=environ.get("PATH", ""))
    if program is None:
        raise BinariesError(f"There is no Go toolchain on the PATH.\n{remedy}")
    # local: a go.mod that names a newer patch release must not make Go fetch another toolchain.
    settings = {**environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    version = subprocess.run([program, "env", "GOVERSION"], env=settings, capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", version.stdout)
    if found is None or (int(found[1]), int(found[2])) < GO_AT_LEAST:
        raise BinariesError(f"{program} is {version.stdout.strip() or 'of no known version'}: too old.\n{remedy}")
    return Toolchain(program, settings)


def _watch(process: subprocess.Popen[str], tally: _Tally, say: Callable[[str], None]) -> int:
    """Return the exit code of *process*; until then say every few seconds what it did."""
    start = time.monotonic()
    reader = threading.Thread(target=tally.read, args=(process.stderr,), daemon=True)
    reader.start()
    while True:
        try:
            code = process.wait(PERIOD)
        except subprocess.TimeoutExpired:
            say(f"building, {time.monotonic() - start:3.0f} s, {tally}")
        else:
            reader.join()
            return code


@dataclass(slots=True)
class _Tally:
    """What `go build -v` told so far."""

    modules: int = 0
    packages: int = 0
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=30))

    def read(self, output: Iterable[str]) -> None:
        for line in output:
            self.lines.append(line)
            if line.startswith("go: downloading "):
                self.modules += 1
            elif not line.startswith(("go:", "#", "\t")):
                self.packages += 1

    def tail(self) -> str:
        return "".join(self.lines)

    def __str__(self) -> str:
        return f"{self.modules} modules downloaded, {self.packages} packages compiled"
