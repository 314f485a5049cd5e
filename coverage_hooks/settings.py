"""The environment, of a recorded process and of a build: the only place that reads it.

In the pod a wrong setting must not stop an operator, so nothing here raises: a value that cannot be used is replaced by
its default and named in `Settings.problems`, which ends up in the log and in the manifest.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from pathlib import Path

PREFIX = "COVERAGE_HOOKS_"

#: coverage.py's own: each starts a measurement of its own, beside which this package starts none.
RIVALS = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")

#: Whether Python programs that an operator starts are recorded, too; and whose recording has started this process.
CHILDREN, PARENT = f"{PREFIX}CHILDREN", f"{PREFIX}PARENT"

_ON = {"1", "true", "yes", "on"}
_OFF = {"", "0", "false", "no", "off"}

#: What Kubernetes or a shell puts a value in the place of; the first leaves it where it has none.
_PLACEHOLDER = re.compile(r"\$\([A-Za-z_.-][\w.-]*\)|\$\{[A-Za-z_][^}]*\}|\$[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIdentity:
    """Who the pod is, from the downward API; empty where it was not passed on."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    node: str = ""
    container: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``COVERAGE_HOOKS_*`` as values; `interval` and `exit_timeout` in seconds.

    `rcfile` is None for coverage.py's own search. `pod` is None outside a pod.
    """

    enabled: bool = False
    directory: Path = Path(".coverage-hooks")
    interval: float = 1.0
    exit_timeout: float = 5.0
    run: str = ""
    rcfile: str | None = None
    revision: str = ""
    context: str = "none"
    children: bool = False
    parent: str = ""
    pod: PodIdentity | None = None
    problems: list[str] = field(default_factory=list)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings that *environ* holds."""
        problems: list[str] = []

        def text(name: str) -> str:
            return environ.get(PREFIX + name, "").strip()

        def literal(name: str, *, is_path: bool = False) -> str:
            """Return a text that is used as it is; a recording under an odd name is better than none."""
            value = text(name)
            if found := _PLACEHOLDER.search(value):
                problems.append(
                    f"{PREFIX}{name}={value!r}: {found[0]!r} stands there as it is: nothing filled it in. Kubernetes "
                    "fills in $(NAME) alone, of a variable that the same container defines above it: define it there, "
                    "or write the value"
                )
            if is_path and value.startswith("~"):
                problems.append(
                    f"{PREFIX}{name}={value!r}: '~' stands there as it is, as only a shell fills it in: write the "
                    "whole path"
                )
            return value

        def seconds(name: str, default: float, low: float, high: float) -> float:
            value = text(name)
            if not value:
                return default
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if low <= number <= high:
                return number
            problems.append(f"{PREFIX}{name}={value!r}: expected {low:g} to {high:g} seconds; using {default:g}")
            return default

        def switch(name: str, otherwise: str) -> bool:
            value = text(name).lower()
            if value not in _ON | _OFF:
                problems.append(f"{PREFIX}{name}={value!r}: expected one of 1, true, yes, on; {otherwise}")
            return value in _ON

        context = text("CONTEXT").lower() or "none"
        if context not in {"none", "handler"}:
            problems.append(f"{PREFIX}CONTEXT={context!r}: expected none or handler; using none")
            context = "none"
        pod = PodIdentity(
            **{name: literal(f"POD_{name.upper()}") for name in ("name", "namespace", "uid", "node", "container")}
        )
        return cls(
            enabled=switch("ENABLED", "coverage stays off"),
            directory=_absolute(Path(literal("DIR", is_path=True) or ".coverage-hooks"), problems),
            interval=seconds("INTERVAL", 1.0, 0.1, 60.0),
            exit_timeout=seconds("EXIT_TIMEOUT", 5.0, 0.0, 3600.0),
            run=literal("RUN"),
            rcfile=literal("RCFILE", is_path=True) or None,
            revision=literal("REVISION"),
            context=context,
            children=switch("CHILDREN", "Python programs that the operator starts are not recorded"),
            parent=text("PARENT"),
            pod=pod if pod != PodIdentity() else None,
            problems=problems,
        )


#: Every variable that `Settings` reads.
NAMES = tuple(
    PREFIX + name
    for name in (
        *("ENABLED", "DIR", "INTERVAL", "EXIT_TIMEOUT", "RUN", "RCFILE", "REVISION", "CONTEXT", "CHILDREN", "PARENT"),
        *(f"POD_{each.name.upper()}" for each in fields(PodIdentity)),
    )
)

#: How alike a name has to be to one of ours, from 0 to 1, to be taken for a slip of the pen.
_ALIKE = 0.9


def strangers(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of *environ* that look like settings and are none, each with the one that was likely meant.

    That is empty where nothing is near.
    """
    # Imported here: an operator that is not recorded pays for no import that it does not need.
    import difflib  # noqa: PLC0415

    found = {}
    for name in sorted(environ.keys() - set(NAMES)):
        if name.startswith(PREFIX):
            # Without what they all have in common, or they would all be alike.
            rests = [each.removeprefix(PREFIX) for each in NAMES]
            near = difflib.get_close_matches(name.removeprefix(PREFIX).upper(), rests, 1)
            found[name] = PREFIX + near[0] if near else ""
        elif near := difflib.get_close_matches(name.upper(), NAMES, 1, _ALIKE):
            found[name] = near[0]
    return found


def rivals(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the variables of *environ* that make coverage.py measure every process by itself."""
    return [name for name in RIVALS if environ.get(name)]


def configurations(rcfile: Path | None, folder: Path, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return where coverage.py looks for its configuration in *folder*: *rcfile*, if it is given."""
    if rcfile is not None:
        return [rcfile]
    named = environ.get("COVERAGE_RCFILE", "")
    return [folder / name for name in (named, ".coveragerc", "setup.cfg", "tox.ini", "pyproject.toml") if name]


def forget_impossible_sizes(environ: MutableMapping[str, str] = os.environ) -> None:
    """Take a size of the terminal out of *environ* that no terminal has: whatever draws tables would fail at it."""
    for name in ("COLUMNS", "LINES"):
        if len(environ.get(name, "")) > 4:
            del environ[name]


def in_pod(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process runs in a container of a pod, as Kubernetes tells each of them."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST"))


def build_summary(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that a CI system shows on a build's own page, if it runs there and has one."""
    name = environ.get("GITHUB_STEP_SUMMARY", "").strip()
    return Path(name) if name else None


def _absolute(directory: Path, problems: list[str]) -> Path:
    """Return *directory* independent of the working folder, which an operator may change later."""
    try:
        return directory.absolute()
    except OSError as error:  # the working folder was deleted
        problems.append(f"{PREFIX}DIR={str(directory)!r} is relative, and the working folder is gone: {error.strerror}")
        return directory
