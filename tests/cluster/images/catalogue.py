"""The images that there are, and what each is made from."""

from __future__ import annotations

import os
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import keycloak_binaries
from tests.cluster.images.building import build
from tests.cluster.images.made import Say, made_once
from tests.cluster.images.systems import root_file_system
from tests.cluster.images.wheels import wheels

CHECKOUT = Path(__file__).parents[3]
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Image:
    """An image: what it is called in a cluster."""

    repository: str
    tag: str = "tests"

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def file_name(self) -> str:
        """Return its name without anything that a file's may not have."""
        return f"{self.repository.rpartition('/')[2]}-{self.tag}"


SANDBOX = Image("localhost/sandbox")
OPERATOR = Image("localhost/keycloak-operator")
#: The same repository: the chart derives this tag from the other one.
COVERAGE = Image("localhost/keycloak-operator", "tests-coverage")
KEYCLOAK = Image("localhost/keycloak")


def archive(image: Image, say: Say) -> Path:
    """Return a file with *image*, in the format ``docker-archive``, making it if need be."""
    return _RECIPES[image](say)


def _base(system: str, say: Say) -> Path:
    root = root_file_system(system, say)
    dockerfile = _HERE / "base.Dockerfile"

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent) as context:
            os.link(root, Path(context, "system.tar"))
            build(f"localhost/{system}:tests", dockerfile, Path(context), path, arguments={"SYSTEM": "system.tar"})

    return made_once(f"base-{system}", [root.name, dockerfile.read_bytes()], make)


def _sandbox(say: Say) -> Path:
    base, dockerfile = _base("python", say), _HERE / "sandbox.Dockerfile"

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent) as context:
            build(str(SANDBOX), dockerfile, Path(context), path, arguments={"BASE_IMAGE": f"docker-archive:{base}"})

    return made_once(SANDBOX.file_name, [base.name, dockerfile.read_bytes()], make)


def _operator(say: Say) -> Path:
    base, lock = _base("python", say), CHECKOUT / "requirements-operator.lock"
    dockerfile = CHECKOUT / "Dockerfile"
    arguments = {"BASE_IMAGE": f"docker-archive:{base}", **_origin()}

    def make(path: Path) -> None:
        say(f"images: building {OPERATOR}")
        build(str(OPERATOR), dockerfile, CHECKOUT, path, arguments=arguments, wheels=wheels(lock, say))

    files = [dockerfile, CHECKOUT / ".dockerignore", CHECKOUT / "LICENSE", lock, *_sources()]
    return made_once(OPERATOR.file_name, [*arguments.values(), *_contents(files)], make)


def _coverage(say: Say) -> Path:
    base, operator = _base("python", say), _operator(say)
    dockerfile, lock = CHECKOUT / "Dockerfile.test", CHECKOUT / "requirements-operator-coverage.lock"
    arguments = {
        "BASE_IMAGE": f"docker-archive:{base}",
        "OPERATOR_IMAGE": f"docker-archive:{operator}",
        **_origin(),
    }

    def make(path: Path) -> None:
        say(f"images: building {COVERAGE}")
        build(str(COVERAGE), dockerfile, CHECKOUT, path, arguments=arguments, wheels=wheels(lock, say))

    files = [dockerfile, CHECKOUT / ".dockerignore", CHECKOUT / ".coveragerc", lock]
    return made_once(COVERAGE.file_name, [*arguments.values(), *_contents(files)], make)


def _keycloak(say: Say) -> Path:
    base, home = _base("java", say), keycloak_binaries.locate(say)
    dockerfile = _HERE / "keycloak.Dockerfile"

    def make(path: Path) -> None:
        say(f"images: building {KEYCLOAK}, once")
        build(str(KEYCLOAK), dockerfile, home, path, arguments={"BASE_IMAGE": f"docker-archive:{base}"})

    return made_once(KEYCLOAK.file_name, [base.name, home.name, dockerfile.read_bytes()], make)


_RECIPES: dict[Image, Callable[[Say], Path]] = {
    SANDBOX: _sandbox,
    OPERATOR: _operator,
    COVERAGE: _coverage,
    KEYCLOAK: _keycloak,
}


def _origin() -> dict[str, str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    return {"REVISION": _revision(), "VERSION": project["version"]}


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    # Nothing, where this is no checkout.
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip()


def _sources() -> list[Path]:
    packages = (CHECKOUT / "coverage_hooks", CHECKOUT / "keycloak_operator")
    found = (path for package in packages for path in package.rglob("*") if path.is_file())
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _contents(files: list[Path]) -> Iterator[bytes | str]:
    for path in files:
        yield str(path.relative_to(CHECKOUT))
        yield path.read_bytes()
