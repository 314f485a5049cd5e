"""Each lock has all that its packages require, with their extras, on every Python that it is for.

A lock is installed without asking what its packages require, so nothing else would tell. That is read where they are
installed: of a package that another Python alone needs, it is known when these tests run on that one.
"""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.cluster.images.wheels import PYTHON
from tests.environments.interpreters import VERSIONS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Of each lock: the extras of this project that it is for, and the Pythons.
LOCKS = {
    "requirements.lock": ([*PROJECT["optional-dependencies"]], VERSIONS),
    "requirements-operator.lock": (["keycloak-operator"], (PYTHON,)),
    "requirements-operator-coverage.lock": (["keycloak-operator", "record"], (PYTHON,)),
}


def locked(content: str) -> list[Requirement]:
    """Return the lines of a lock, without their hashes."""
    return [Requirement(line) for line in re.findall(r"^([a-z0-9][^\\\n]*)", content, re.MULTILINE)]


def markers(python: str) -> dict[str, str]:
    """Return what markers are about, of CPython *python* on Linux."""
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    cpython = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    version = {"python_version": python, "python_full_version": f"{python}.0", "implementation_version": f"{python}.0"}
    return {**{name: str(value) for name, value in default_environment().items()}, **linux, **cpython, **version}


def versions(lock: Iterable[Requirement], python: str) -> dict[str, str]:
    """Return the versions that *lock* has for *python*."""
    here = [line for line in lock if line.marker is None or line.marker.evaluate(markers(python))]
    return {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in here}


def unsatisfied(
    wanted: str, found: dict[str, str], python: str, required: Callable[[str], Iterable[str]]
) -> Iterator[str]:
    """Yield the requirements that *found* does not satisfy: those of *wanted*, and of all that is in *found*."""
    about = markers(python)
    todo = [(Requirement(text), "", "the lock") for text in (wanted, *found)]
    seen = set()
    while todo:
        requirement, extra, by = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({**about, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in found or not requirement.specifier.contains(found[name], prereleases=True):
            yield f"{by} requires {requirement}: locked is {found.get(name, 'none')}"
            continue
        for each in ("", *requirement.extras):
            if (name, each) not in seen:
                seen.add((name, each))
                todo += [(Requirement(text), each, f"{name}[{each}]") for text in required(name)]


def declared(name: str) -> list[str]:
    """Return what the package *name* requires, as far as that is known here; of this project, by its file."""
    if name == PROJECT["name"]:
        extras = PROJECT["optional-dependencies"].items()
        return [f'{text}; extra == "{extra}"' for extra, texts in extras for text in texts]
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


@pytest.mark.parametrize(
    ("name", "extras", "python"), [(name, extras, each) for name, (extras, all_) in LOCKS.items() for each in all_]
)
def test_a_lock_has_what_its_packages_require(name: str, extras: list[str], python: str) -> None:
    found = versions(locked((ROOT / name).read_text()), python) | {PROJECT["name"]: PROJECT["version"]}
    assert len(found) > 20
    assert list(unsatisfied(f"{PROJECT['name']}[{','.join(extras)}]", found, python, declared)) == []


def test_what_is_installed_is_what_is_locked() -> None:
    """Or what it requires would be that of another version."""
    python = ".".join(platform.python_version_tuple()[:2])
    found = versions(locked((ROOT / "requirements.lock").read_text()), python)
    assert {name: metadata.version(name) for name in found} == found


@pytest.mark.parametrize(
    ("lock", "python", "said"),
    [
        ("a==1\nb==2.5\nc==1", "3.11", []),
        ("a==1\nb==2.5", "3.11", ['b[x] requires c; extra == "x": locked is none']),
        ("a==1\nb==1\nc==1", "3.11", ["a[] requires b[x]>=2: locked is 1"]),
        ("a==1\nb==2.5\nc==1 ; sys_platform == 'win32'", "3.11", ['b[x] requires c; extra == "x": locked is none']),
        ("a==1\nb==2.5\nc==1", "3.12", ['a[] requires d; python_version >= "3.12": locked is none']),
        ("a==1\nb==2.5\nc==1\nd==1 ; python_full_version >= '3.12'", "3.12", []),
        ("b==2.5", "3.11", ["the lock requires a: locked is none"]),
        ("a==1\nb==2.5\nc==1\ne==1", "3.11", ["e[] requires f: locked is none"]),
    ],
)
def test_what_a_lock_lacks_is_named(lock: str, python: str, said: list[str]) -> None:
    required = {
        "a": ["b[x]>=2", "d; python_version >= '3.12'"],
        "b": ["c; extra == 'x'", "absent; extra == 'y'"],
        "e": ["f"],
    }
    found = versions(locked(lock), python)
    assert list(unsatisfied("a", found, python, lambda name: required.get(name, []))) == said
