"""Test coverage of a Kopf operator, recorded from inside the running process.

An operator's entrypoint calls `start` before it imports its handlers; everything else is said by the environment
(``COVERAGE_HOOKS_*``). Switched off, `start` returns at once: neither coverage nor Kopf is imported, no thread is
started, no signal handler installed. Switched on, coverage may fail but the operator must not: nothing here raises.
"""

from __future__ import annotations

import importlib
import logging
import sys

from coverage_hooks.errors import (
    CoverageHooksError,
    ManifestError,
    NotPermitted,
    SourceError,
    TooLarge,
    UnsafeEntry,
    UsageError,
    VolumeError,
)
from coverage_hooks.log import say
from coverage_hooks.settings import Settings

__all__ = [
    "CoverageHooksError",
    "ManifestError",
    "NotPermitted",
    "SourceError",
    "TooLarge",
    "UnsafeEntry",
    "UsageError",
    "VolumeError",
    "save",
    "start",
]


def start() -> None:
    """Start recording if ``COVERAGE_HOOKS_ENABLED`` says so; call it before importing what is to be measured.

    A second call does nothing, and neither does a call in a forked child, which is recorded with its parent. While
    another coverage measurement runs (``coverage run``, pytest-cov) nothing is recorded, and the recording is announced
    with that reason. Waits for the volume at most ``COVERAGE_HOOKS_EXIT_TIMEOUT`` seconds, so that the recording is
    announced before its first line.
    """
    settings = Settings.from_environment()
    if not settings.enabled:
        for problem in settings.problems:
            say(logging.ERROR, problem)
        return
    # Imported here, not above: switched off, an operator must not even load the recorder, nor Kopf on our behalf.
    if importlib.import_module("coverage_hooks.record.recording").start(settings):
        try:
            importlib.import_module("coverage_hooks.kopf")
        except Exception as error:  # noqa: BLE001 - whatever keeps Kopf from being imported, it is not for us to raise
            say(logging.WARNING, f"Kopf cannot be imported; coverage is saved without it: {error}")


def save() -> bool:
    """Get what was recorded so far to the disk of the volume, and return whether that worked.

    For code after ``kopf.run()`` returns. Waits at most what is left of ``COVERAGE_HOOKS_EXIT_TIMEOUT``, all waits of
    the process taken together. Without a recording there is nothing to save, and the answer is False.
    """
    # A recording that was never started is never loaded either: saving costs nothing when switched off.
    recording = sys.modules.get("coverage_hooks.record.recording")
    return recording is not None and bool(recording.save())
