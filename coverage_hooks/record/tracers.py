"""Whether coverage.py still hears what runs: debuggers and other measurements take its trace functions or its tool.

Each beat looks, and gives back what no other tool uses. What was not recorded meanwhile is known by its time.

=======================================  ===========================================  ===============================
taken away                               noticed                                      given back
=======================================  ===========================================  ===============================
the trace function for new threads       with a beat: `threading.gettrace`            if there is none
the trace function of a thread           at once: the audit event ``sys.settrace``    never: only the thread itself can
the id, events or callbacks of the tool  with a beat: ``sys.monitoring``              unless another tool has the id
everything, by another measurement       at once: `internals.hear_pauses`; else with  when that ends
                                         a beat: `internals.is_first`
=======================================  ===========================================  ===============================
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType, MethodType
from typing import Any

from coverage_hooks.record import internals
from coverage_hooks.volume.manifest import GAPS_LIMIT

_RIVAL = "other code started another coverage measurement, or stopped this one"
_HOOK = "other code took coverage.py's trace function for new threads away"
_TOOL = "other code took coverage.py's sys.monitoring tool away"
_MORE = "other code took coverage.py's trace functions or its tool away, more often than is listed"

#: The events that coverage.py has callbacks for; not all are in each version of Python.
_EVENTS = ("PY_START", "PY_RETURN", "LINE", "BRANCH_LEFT", "BRANCH_RIGHT")


@dataclass(slots=True)
class Gap:
    """From when until when not all that ran was recorded, and why; until None where that did not end."""

    reason: str
    since: datetime
    until: datetime | None = None


class Tracers:
    """What *measurement* hears with, which is about to start; *collector* is None where it is made only then.

    `heard` is for any thread, `look` for that of the pulse, and the rest for who starts and ends the measurement. Where
    it *tells_of_pauses*, another measurement is noticed however short it is.
    """

    def __init__(self, measurement: Any, collector: Any, *, tells_of_pauses: bool) -> None:
        #: What is known by now; it only grows, and what is open is closed in place.
        self.gaps: list[Gap] = []
        self._measurement = measurement
        self._collector: Any = None
        self._pid = os.getpid()
        self._others = _tools()
        self._hook: Any = None
        self._tool: _Tool | None = None
        self._began = self._looked = _now()
        self._ended = False
        self._open: dict[str, Gap] = {}
        self._over: deque[Gap] = deque(maxlen=GAPS_LIMIT)
        self._paused: datetime | None = None
        self._threads: dict[int, datetime] = {}  # when each lost its trace function, by its identifier
        self._told: set[int] = set()
        self._resume: Callable[[], None] = lambda: None
        if tells_of_pauses and collector is not None:
            self._resume = internals.hear_pauses(collector, self._pausing, self._resuming)

    def begin(self, collector: Any) -> None:
        """Remember what is there, now that the measurement has started, with *collector*."""
        self._collector = collector
        if self._is_tracing(sys.gettrace()):
            self._hook = threading.gettrace()
        for tool, name in _tools().items():
            if self._hook is None and name and self._others[tool] != name:
                self._tool = _Tool(tool, self._resume)
        self._began = self._looked = _now()

    def end(self) -> bool:
        """Look a last time, right before the measurement stops; from now on nothing is taken away."""
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and self._is_missing() and threading.get_ident() not in self._threads:
            self._threads[threading.get_ident()] = self._began  # a debugger may write it into the interpreter's memory
        found = self.look()
        self._ended = True
        return found

    def _is_missing(self) -> bool:
        """Whether this thread has lost its trace function, and that to no other measurement."""
        return (
            self._is_due()
            and self._hook is not None
            and internals.is_first(self._measurement)
            and not self._is_tracing(sys.gettrace())
        )

    def _is_due(self) -> bool:
        return not self._ended and os.getpid() == self._pid

    def look(self) -> bool:
        """Notice what was taken away, and give it back where that is safe; whether there is more than before."""
        if not self._is_due():
            return False
        before, began, found = len(self.gaps), _now(), set()
        while self._over:
            over = self._over.popleft()
            if (known := self._open.pop(_RIVAL, None)) is None:
                self._add(over)
            else:
                known.until = over.until
        for reason, is_back in self._taken():
            found.add(reason)
            if reason not in self._open:
                since = self._paused if reason == _RIVAL and self._paused else self._looked
                self._open[reason] = self._add(Gap(reason, since))
            if is_back:
                self._open.pop(reason).until = _now()
        for reason in self._open.keys() - found:
            self._open.pop(reason).until = _now()
        self._looked = began
        self._add_threads()
        return len(self.gaps) > before

    def heard(self) -> None:
        """Note that this thread's trace function is about to be replaced; for the audit event, amid anything."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - documented, and the only way to see who is calling
        while frame is not None and _module(frame).startswith("coverage_hooks."):
            frame = frame.f_back
        if (
            frame is None
            or _module(frame).startswith("coverage.")
            or self._ended
            or not self._is_tracing(sys.gettrace())
        ):
            return
        self._threads.setdefault(threading.get_ident(), _now())

    # -- what was taken away ------------------------------------------------------------------------------------------

    def _taken(self) -> Iterator[tuple[str, bool]]:
        """Yield what is not as it was when the measurement began, and whether it is again by now."""
        if not internals.is_first(self._measurement):
            yield _RIVAL, False
            return  # what it uses instead is its own
        if self._hook is not None and not _is_same(found := threading.gettrace(), self._hook):
            if found is None:
                threading.settrace(self._hook)
            yield _HOOK, found is None
        if self._tool is not None and (is_back := self._tool.look()) is not None:
            yield _TOOL, is_back

    def _add_threads(self) -> None:
        lost = {thread: since for thread, since in self._threads.copy().items() if thread not in self._told}
        if lost:
            self._told.update(lost)
            names = {thread.ident: f"thread {thread.name!r}" for thread in threading.enumerate()}
            which = sorted({names.get(thread, "a thread that has ended") for thread in lost})
            reason = f"other code took coverage.py's trace function away in {', '.join(which)}"
            self._add(Gap(reason[:1000], min(lost.values())))

    def _add(self, gap: Gap) -> Gap:
        """Enter *gap*, or let the last one stand for it too where there are too many; returns which it is."""
        if len(self.gaps) < GAPS_LIMIT:
            self.gaps.append(gap)
            return gap
        last = self.gaps[-1]
        last.reason, last.since = _MORE, min(last.since, gap.since)
        last.until = gap.until and last.until and max(last.until, gap.until)
        return last

    def _is_tracing(self, function: Any) -> bool:
        mine = function.__self__ if type(function) is MethodType else function
        return any(mine is tracer for tracer in getattr(self._collector, "tracers", ()))

    # -- another measurement, in the thread that starts and stops it --------------------------------------------------

    def _pausing(self) -> None:
        if self._paused is None and not self._ended:
            self._paused = _now()

    def _resuming(self) -> bool:
        """Note that the other measurement has ended; whether coverage.py is to resume by itself.

        With a trace function, it would give this thread the tracers of all others, and count what the calling functions
        run from now on for the wrong files. A new one knows nothing of them, and hears of what is called from now on.
        """
        since, self._paused = self._paused, None
        if since is not None and not self._ended:
            self._over.append(Gap(_RIVAL, since, _now() if self._hook is None else None))
        if self._hook is None:
            return True
        threading.settrace(self._hook)
        sys.settrace(self._hook)
        _now()  # it takes effect with a call, before a line of the callers tells their own tracers
        return False


class _Tool:
    """A *tool* of ``sys.monitoring`` as it is now; *resume* has coverage.py take it again."""

    def __init__(self, tool: int, resume: Callable[[], None]) -> None:
        self._tool = tool
        self._resume = resume
        monitoring: Any = getattr(sys, "monitoring", None)
        self._monitoring = monitoring
        self._name = monitoring.get_tool(tool)
        self._events = monitoring.get_events(tool)
        self._callbacks = {}
        for event in filter(None, (getattr(monitoring.events, name, 0) for name in _EVENTS)):
            # There is no other way to read it. What other threads run just now, they began before recording did.
            if (callback := monitoring.register_callback(tool, event, None)) is not None:
                monitoring.register_callback(tool, event, callback)
                self._callbacks[event] = callback

    def look(self) -> bool | None:
        """Return whether what was taken away is back now; None where nothing was."""
        name = self._monitoring.get_tool(self._tool)
        if name is None:
            self._resume()
            return bool(self._monitoring.get_tool(self._tool) == self._name)
        if name != self._name:
            return False
        was_taken = False
        if self._monitoring.get_events(self._tool) & self._events != self._events:
            self._monitoring.set_events(self._tool, self._events)
            was_taken = True
        for event, callback in self._callbacks.items():
            if not _is_same(self._monitoring.register_callback(self._tool, event, callback), callback):
                was_taken = True
        if was_taken:
            self._monitoring.restart_events()  # where another callback has asked not to be called again
        return was_taken or None


def _is_same(one: Any, other: Any) -> bool:
    """Whether both are the same function; nothing of others is asked, as it may answer anything."""
    return one is other or (type(one) is type(other) is MethodType and bool(one == other))


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""


def _tools() -> dict[int, str | None]:
    """Return who uses which tool of ``sys.monitoring``."""
    monitoring: Any = getattr(sys, "monitoring", None)
    return {tool: monitoring.get_tool(tool) for tool in range(6)} if monitoring is not None else {}


def _now() -> datetime:
    return datetime.now(UTC)
