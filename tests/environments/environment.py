"""A folder with an environment and a copy of the tests, and commands that run in there.

The copy is without the package that is tested, so what is imported is what was installed. An interpreter of a system
that is made here runs in that system: in a mount and a process namespace that end with it, however it ends.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cluster.errors import ControlPlaneError
from tests.cluster.images.made import run
from tests.environments import packages
from tests.environments.interpreters import Interpreter, MissingInterpreter
from tests.environments.packages import CHECKOUT, Choice

#: What the tests read of a checkout.
_COPIED = ("tests", "pyproject.toml", ".coveragerc")
#: Settings of this process that would reach tests, and what they start.
_NOT_PASSED_ON = ("COV", "PYTEST", "PYTHON", "SERVER_VERSIONS", "VIRTUAL_ENV")

#: Where the tests look for a control plane first.
_PROGRAMS = "KUBEBUILDER_ASSETS"

#: Where a system of its own has the folder.
_INSIDE = Path("/srv")
# The system itself is read-only: the next run gets it as this one did.
_ENTER = f"""
set -e
PATH="$PATH:/usr/sbin:/sbin" root=$1 folder=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$folder" "$root{_INSIDE}"
mount -t tmpfs tmpfs "$root/tmp"
chroot "$root" env --chdir={_INSIDE}/checkout "$@"
"""

_FACTS = """
import coverage_hooks, importlib.metadata, json, platform, re, sysconfig
print(json.dumps({
    "python": platform.python_version(),
    "imported": coverage_hooks.__file__,
    "installed": sysconfig.get_path("purelib"),
    "packages": {
        re.sub("[-_.]+", "-", each.name).lower(): each.version for each in importlib.metadata.distributions()
    },
}))
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an environment is made of: the whole version of its Python, and packages with theirs."""

    python: str
    packages: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder with an environment for *interpreter*, and a copy of the tests."""

    interpreter: Interpreter
    folder: Path

    @property
    def inside(self) -> Path:
        """Return the folder as the interpreter sees it."""
        return _INSIDE if self.interpreter.root else self.folder

    def command(self, *arguments: str, program: Path | None = None) -> list[str]:
        """Return the command that runs the environment's Python, or *program*; to be started in the copy."""
        words = [str(program or self.inside / "venv/bin/python"), *arguments]
        if root := self.interpreter.root:
            return [*_namespaces(), "sh", "-c", _ENTER, "sh", str(root), str(self.folder), *words]
        return words

    @property
    def copy(self) -> Path:
        """Return the folder with the copy of the tests."""
        return self.folder / "checkout"

    def environ(self) -> dict[str, str]:
        """Return the environment variables of such a command: nothing of the user's settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
        temporary = "/tmp" if self.interpreter.root else str(self.folder / "tmp")
        programs = {_PROGRAMS: str(self.inside / "programs")} if (self.folder / "programs").is_dir() else {}
        return kept | {"HOME": str(self.inside / "home"), "TMPDIR": temporary} | programs


@contextmanager
def environment(
    interpreter: Interpreter, choice: Choice, *, programs: Path | None = None
) -> Iterator[tuple[Environment, Facts]]:
    """Make an environment for *interpreter* with *choice* of the packages, and remove it in the end.

    *programs* is the folder with those of a control plane, where operators are to be run in there.
    """
    with TemporaryDirectory(prefix="coverage-hooks-environment-") as name:
        made = Environment(interpreter, Path(name))
        for folder in ("tmp", "home", "checkout"):
            (made.folder / folder).mkdir()
        for part in _COPIED:
            _copy(CHECKOUT / part, made.copy / part)
        if programs is not None:
            shutil.copytree(programs, made.folder / "programs")
        if interpreter.root:
            _may_enter(interpreter)
        build = made.command("-m", "venv", "--without-pip", str(made.inside / "venv"), program=interpreter.program)
        run("making an environment", build, cwd=made.copy)
        built = packages.wheel(made.folder)
        packages.install(
            built,
            choice,
            interpreter.version,
            made.folder / "venv",
            elsewhere=interpreter.root is not None,
            operators=programs is not None,
        )
        yield made, _facts(made)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def _facts(made: Environment) -> Facts:
    done = subprocess.run(
        made.command("-c", _FACTS), cwd=made.copy, env=made.environ(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ControlPlaneError(f"what was installed cannot be imported:\n{done.stderr}")
    said = json.loads(done.stdout)
    if not Path(said["imported"]).is_relative_to(said["installed"]):
        raise ControlPlaneError(
            f"coverage_hooks is imported from {said['imported']}: expected what was installed, in {said['installed']}"
        )
    return Facts(said["python"], said["packages"])


def _namespaces() -> list[str]:
    users = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *users, "--mount", "--pid", "--fork", "--kill-child"]


def _may_enter(interpreter: Interpreter) -> None:
    try:
        run("a namespace", [*_namespaces(), "true"])
    except (ControlPlaneError, OSError) as error:
        raise MissingInterpreter(
            f"Python {interpreter.version} is in a system of its own, and this user may not enter one: run this as "
            f"root, allow user namespaces (kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu), or install "
            f"python{interpreter.version}: {error}"
        ) from error
