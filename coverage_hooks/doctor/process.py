"""What would keep an operator that starts here, now, from being recorded: asked without starting anything.

Everything is asked as the recorder asks it: the settings by `Settings`, the configuration by a recorder that is never
started. Nothing of the operator is imported, only what its configuration names as plugins, as recording would.
"""

from __future__ import annotations

import importlib
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType

import coverage_hooks
from coverage_hooks.doctor import volume_trial
from coverage_hooks.doctor.findings import Finding, note, ok, wrong
from coverage_hooks.record import imports, storage
from coverage_hooks.settings import Settings

#: What all of this is tested on, and the least that works.
TESTED_PYTHON = ((3, 11), (3, 12), (3, 13), (3, 14), (3, 15))
LEAST = {"coverage": "7.17.4", "kopf": "1.37"}

_INSTALL = "pip install 'coverage-hooks[record]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where an operator would start: its settings, and what else of the environment matters; see `settings`.

    `is_operators` says that this is a pod with nothing of a test machine in it, so that recording is what it is for.
    """

    settings: Settings
    strangers: dict[str, str] = field(default_factory=dict)
    rivals: list[str] = field(default_factory=list)
    is_operators: bool = False


def recording(here: Surroundings) -> Iterator[Finding]:
    """Yield every finding about an operator that starts *here*.

    Where nothing is to be recorded, what is wrong with a recording is a note; that it is off because of a slip is not.
    """
    yield _ourselves()
    yield from environment(here)
    for finding in _measuring(here):
        if finding.level == "wrong" and not (here.settings.enabled or here.is_operators):
            yield note(f"not needed while recording is off: {finding.text}")
        else:
            yield finding


def _measuring(here: Surroundings) -> Iterator[Finding]:
    yield python(sys.version_info[:2], gil=getattr(sys, "_is_gil_enabled", lambda: True)())
    try:
        door = importlib.import_module("coverage_hooks.record.recorder")
    # SystemExit: coverage.py leaves the process when it is told to use a C tracer that it does not have.
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as the recorder does: whatever it is, it has a name
        yield wrong(f"coverage.py cannot be imported, so nothing is recorded: {_named(error)}; {_INSTALL}")
    else:
        yield from _coverage(door, here)
    yield kopf()
    yield from volume_trial.volume(here.settings, is_operators=here.is_operators)


def _ourselves() -> Finding:
    version = _version("coverage-hooks")
    return ok(f"coverage_hooks {version or '(copied, not installed)'} in {Path(coverage_hooks.__file__).parent}")


def python(version: tuple[int, int], *, gil: bool) -> Finding:
    """Return what is known of recording on this interpreter."""
    shown = f"Python {platform.python_version()}"
    if not gil:
        return note(f"{shown} without GIL: everything is saved at the end of the process only, so a kill loses all")
    if version not in TESTED_PYTHON:
        tested = ", ".join(".".join(map(str, each)) for each in TESTED_PYTHON)
        return note(f"{shown}: recording is tested on {tested}")
    if version == (3, 11):
        return note(
            f"{shown} is not exact: it does not tell that a coroutine goes on after a cancellation was swallowed, so "
            "lines after that may read as missed; 3.12 and newer tell (docs/how-it-records.md)"
        )
    return ok(shown)


def environment(here: Surroundings) -> Iterator[Finding]:
    """Yield what the environment asks for, and what in it has no effect or a wrong one."""
    settings = here.settings
    yield from map(wrong, settings.problems)
    for name, meant in here.strangers.items():
        advice = f"did you mean {meant}?" if meant else "docs/reference.md has those that there are"
        yield wrong(f"{name} is none of the settings, so it has no effect; {advice}")
    if settings.enabled:
        yield ok("recording is on")
    elif here.is_operators:
        yield wrong(
            "recording is off in a pod that has nothing else to do with it: expected COVERAGE_HOOKS_ENABLED=1 in the "
            "container's environment (of the chart: coverage.enabled=true)"
        )
    else:
        yield note(
            "recording is off, as it has to be on a test machine; an operator that is started from here is recorded "
            "with COVERAGE_HOOKS_ENABLED=1"
        )
    yield ok(f"settings: {', '.join(_shown(settings))}")
    if settings.context != "none":
        yield note(f"COVERAGE_HOOKS_CONTEXT={settings.context} is not supported yet: recorded is without contexts")
    if here.is_operators and (settings.pod is None or not settings.pod.name):
        yield note(
            "COVERAGE_HOOKS_POD_NAME is not set, so `collect` cannot join a recording with what Kubernetes says of its "
            "pod; pass it on from the downward API (docs/reference.md)"
        )
    for name in here.rivals:
        text = (
            f"{name} is set: coverage.py measures every process by itself, and coverage_hooks starts nothing beside it"
        )
        yield wrong(f"{text}; unset it") if settings.enabled or here.is_operators else note(text)


def _shown(settings: Settings) -> Iterator[str]:
    yield f"directory {settings.directory}"
    yield f"interval {settings.interval:g} s"
    yield f"exit timeout {settings.exit_timeout:g} s"
    yield f"run {settings.run!r}" if settings.run else "no run id"
    if settings.revision:
        yield f"revision {settings.revision}"
    if settings.pod is not None:
        yield f"pod {settings.pod.namespace or '?'}/{settings.pod.name or '?'}"


def _coverage(door: ModuleType, here: Surroundings) -> Iterator[Finding]:
    shown, tracer = f"coverage.py {door.version()}", door.has_c_tracer()
    if _older(door.version(), LEAST["coverage"]):
        yield wrong(f"{shown} is too old for recording: expected {LEAST['coverage']} or newer; {_INSTALL}")
    elif not tracer and sys.version_info < (3, 12):
        yield wrong(
            f"{shown} lacks its C tracer, and the one in Python can end an operator before Python 3.12, so nothing is "
            "recorded: install a wheel of it that is made for this Python and platform"
        )
    elif not tracer:
        yield note(f"{shown} lacks its C tracer: recorded is by a slower one; install a wheel made for this platform")
    else:
        yield ok(f"{shown}, with its C tracer")
    if door.is_measuring_already():
        yield wrong(
            "another coverage measurement runs in this process already, and coverage_hooks starts nothing beside one: "
            "start the operator without `coverage run`, pytest-cov or coverage.py's own variables"
        )
    yield from configuration(door, here.settings)


def configuration(door: ModuleType, settings: Settings) -> Iterator[Finding]:
    """Yield what the coverage configuration would have recorded, and what of it the recorder overrides."""
    problems: list[str] = []
    try:
        recorder = door.Recorder(settings.rcfile, problem=problems.append)
        outlook = recorder.outlook()
        is_local = storage.is_local(volume_trial.nearest(settings.directory))
        reason = recorder.choose(local=is_local)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything, and so it would then
        yield wrong(f"the coverage configuration cannot be used, so nothing is recorded: {_named(error)}")
        return
    if outlook.configuration:
        yield ok(f"coverage configuration {outlook.configuration}")
    else:
        yield note(f"no coverage configuration in {_working_folder()}: everything is coverage.py's default")
    yield from map(note, problems)
    yield _trial(recorder.current_mode, reason, is_local=is_local)
    if not (outlook.source or outlook.packages or outlook.folders):
        only = f", only run:include = {', '.join(outlook.include)}" if outlook.include else ""
        yield wrong(
            f"`run:source` is not set{only}: whatever is imported is recorded, and `collect` does not know what to "
            "report; add `source = your_package` to `[run]`, here and in the checkout, or name the file that has it in "
            "COVERAGE_HOOKS_RCFILE"
        )
    for entry in outlook.source:
        yield _selected("run:source", entry, may_be_folder=True)
    for entry in outlook.packages:
        yield _selected("run:source_pkgs", entry, may_be_folder=False)
    for entry in outlook.folders:
        if Path(entry).is_dir():
            yield ok(f"`run:source_dirs` names {entry}, which is there")
        else:
            yield wrong(f"`run:source_dirs` names {entry!r}, which is no folder seen from {_working_folder()}")


def _trial(mode: str, reason: str, *, is_local: bool) -> Finding:
    """Return what became of a few lines that were recorded for a trial, and what a kill would lose."""
    if mode == "final":
        return wrong(f"a trial was recorded: {reason}; expected coverage.py {LEAST['coverage']} or newer; {_INSTALL}")
    if reason:
        return note(f"a trial was recorded: {reason}")
    if mode == "immediate":
        return ok("a trial was recorded, and each line arrived before it ran: a kill loses nothing")
    why = "coverage.py's core here is not sysmon" if is_local else "the volume is not known to be a local file system"
    return ok(f"a trial was recorded: its lines arrive once per interval, so a kill loses what ran since ({why})")


def _selected(option: str, entry: str, *, may_be_folder: bool) -> Finding:
    """Return whether *entry* of *option* is there; a folder goes before a package, as for coverage.py."""
    is_folder = may_be_folder and Path(entry).is_dir()
    place = next(map(Path, imports.places_of(entry)), None)
    if is_folder:
        folder = Path(entry).resolve()
        if place is not None and not place.resolve().is_relative_to(folder):
            return note(
                f"`{option}` names {entry!r}, which is folder {folder} to coverage.py, but Python imports {place}: if "
                "the operator does so, too, nothing of it is recorded; start it elsewhere, or use `source_pkgs`"
            )
        return ok(f"`{option}` names {entry!r}, which is folder {folder}")
    if place is not None:
        return ok(
            f"`{option}` names {entry!r}, which is {place}: what runs from there is recorded under any module name"
        )
    return wrong(
        f"`{option}` names {entry!r}: expected {'a folder or ' if may_be_folder else ''}a package, found neither seen "
        f"from {_working_folder()} nor on Python's path, so nothing of it would be recorded; ask from where the "
        "operator starts, with its Python, or correct the name"
    )


def kopf() -> Finding:
    """Return whether Kopf is there; it is imported by its name, as its door would start recording."""
    try:
        importlib.import_module("kopf")
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being imported is what is asked for
        return wrong(f"Kopf cannot be imported, so its cleanup saves nothing: {_named(error)}; pip install kopf")
    version = _version("kopf")
    if version and _older(version, LEAST["kopf"]):
        return wrong(f"Kopf {version} is too old: expected {LEAST['kopf']} or newer")
    return ok(f"Kopf {version or '(of no known version)'}")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _older(version: str, least: str) -> bool:
    """Return whether *version* is before *least*; one that is not made of numbers is taken to be new."""
    numbers = [int(digits.group()) for part in version.split(".") if (digits := re.match(r"\d+", part))]
    return bool(numbers) and numbers < [int(part) for part in least.split(".")]


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "a working folder that is gone"
