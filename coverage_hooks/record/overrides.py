"""What of a user's coverage configuration cannot work under Kopf, undone before recording starts.

Each would empty the live sets, start a second collector, touch a folder that is not ours, or end the operator; each is
named, so that nobody wonders. Everything else in the configuration is the user's to decide.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_REASONS: dict[str, tuple[str, Any]] = {
    "run:dynamic_context": ("contexts are switched by emptying live data", None),
    "run:sigterm": ("Kopf replaces the handler, and saving in a signal handler can deadlock", False),
    "run:patch": ("a patched fork or exit saves, and so empties, live data", []),
}

#: What writes the journal. Measured, it would write of itself while it writes.
_OURSELVES = [str(Path(__file__).parents[1] / part / "*") for part in ("record", "volume")]


def override(measurement: Any, problem: Callable[[str], None]) -> None:
    """Correct the configuration of *measurement*, a `coverage.Coverage` whose plugins are loaded and not yet asked."""
    for name, (reason, value) in _REASONS.items():
        found = measurement.get_option(name)
        if found and found != "none":
            problem(f"[run] {name.removeprefix('run:')} = {_shown(found)} is ignored while recording: {reason}")
            measurement.set_option(name, value)
    _refuse_multiprocessing(measurement, problem)
    _refuse_context_switchers(measurement, problem)
    _choose_core(measurement)
    if sys.version_info < (3, 12):
        _refuse_python_tracer(measurement, problem)
    measurement.set_option("run:omit", [*(measurement.get_option("run:omit") or ()), *_OURSELVES])
    # Its folder would be made, which a read-only root file system refuses.
    measurement.set_option("run:data_file", ".coverage")


def _refuse_multiprocessing(measurement: Any, problem: Callable[[str], None]) -> None:
    concurrency = list(measurement.get_option("run:concurrency") or [])
    if "multiprocessing" in concurrency:
        problem("[run] concurrency = multiprocessing is ignored while recording: its processes are recorded anyway")
        concurrency.remove("multiprocessing")
        measurement.set_option("run:concurrency", concurrency or ["thread"])


def _refuse_context_switchers(measurement: Any, problem: Callable[[str], None]) -> None:
    # The plugin itself may do more than that, so it stays. Private, and looked for with care.
    switchers = getattr(getattr(measurement, "_plugins", None), "context_switchers", None)
    if switchers:
        names = ", ".join(sorted({type(plugin).__name__ for plugin in switchers}))
        problem(f"plugin {names} is ignored while recording: contexts are switched by emptying live data")
        switchers.clear()


def _choose_core(measurement: Any) -> None:
    """Choose the C tracer for plugins that trace files, and else ``sys.monitoring`` for lines, unless the user chose.

    From CPython 3.14 on coverage.py's default is ``sys.monitoring``, which disables such plugins, and what they measure
    would be missing. Private, as above; without it coverage.py's own warning about the plugin becomes a problem. On
    CPython 3.12 and 3.13 it is as exact for lines, and each line can be written before it runs.
    """
    if measurement.get_option("run:core") or measurement.get_option("run:timid"):
        return
    has_threads_only = list(measurement.get_option("run:concurrency") or ["thread"]) == ["thread"]
    is_early = sys.version_info[:2] in {(3, 12), (3, 13)}
    if getattr(getattr(measurement, "_plugins", None), "file_tracers", None):
        measurement.set_option("run:core", "ctrace")
    elif is_early and has_threads_only and not measurement.get_option("run:branch"):
        measurement.set_option("run:core", "sysmon")


def _refuse_python_tracer(measurement: Any, problem: Callable[[str], None]) -> None:
    """Use the C tracer on CPython 3.11, which resumes a coroutine without a word when it is cancelled.

    Where one goes on after that, the tracer written in Python runs out of its stack and raises into the operator.
    """
    for name, value in (("run:timid", False), ("run:core", "ctrace")):
        if measurement.get_option(name) in {True, "pytrace"}:
            problem(f"[run] {name.removeprefix('run:')} is ignored on Python before 3.12: it can end an operator")
            measurement.set_option(name, value)


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
