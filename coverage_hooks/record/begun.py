"""What was running, or had run, when recording started: the modules on the stack, and those imported before.

A tracer is told only of what is entered after it started. The frames that are on the stack then are entered already, so
they are watched from here on by a tool of their own in `sys.monitoring`. What they and finished modules ran before is
not recorded. The manifest says where each of them stood, and the syntax tree of the source proves on the test machine
which statements must have run to get there.

Before Python 3.12 there is no such tool, and coverage.py's tracer cannot stand in for it: a coroutine that goes on
after a cancellation would leave its lines in the frame that runs the event loop. There, the lines at which the frames
of modules stand are noted with each beat instead, and prove what ran before them in the same way.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType
from typing import Any


def frames_by_file(files: Iterable[str]) -> dict[FrameType, str]:
    """Return the frames of this thread's stack whose code is in *files*, as real paths, with the file of each."""
    wanted = set(files)
    found = {}
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented, and the only way to see who is calling
    while frame is not None:
        if (file := file_of(frame)) in wanted:
            found[frame] = file
        frame = frame.f_back
    return found


def file_of(frame: FrameType) -> str:
    """Return the real path of the source of *frame*, also if its compiled code was moved, as coverage.py does."""
    name = frame.f_code.co_filename
    loaded = frame.f_globals.get("__file__")
    if isinstance(loaded, str) and os.path.basename(loaded) == os.path.basename(name):  # noqa: PTH119 - text, no place
        name = loaded
    return os.path.realpath(name)


def _modules_of_other_threads(files: Iterable[str]) -> Iterator[tuple[FrameType, str]]:
    """Yield the frames of modules in *files* that other threads are in: they have not ended, and are not watched."""
    wanted = set(files)
    tops = sys._current_frames()  # noqa: SLF001 - documented
    # A frame that refers to itself would keep all below it, and their modules, until garbage is collected.
    del tops[threading.get_ident()]
    for top in tops.values():
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_code.co_name == "<module>" and (file := file_of(frame)) in wanted:
                yield frame, file
            frame = frame.f_back


class Begun:
    """The code that had begun in *files*, real paths, when this was made; *branch* asks for arcs instead of lines.

    *points* has lines or arcs by file, grows while recording goes on, and may be read by other threads.
    """

    def __init__(self, files: Iterable[str], points: dict[str, set[Any]], *, branch: bool) -> None:
        self._files = sorted(set(files))
        frames = frames_by_file(self._files)
        self._lines: dict[str, set[int]] = {file: set() for file in self._files}
        for frame, file in frames.items():
            self._lines[file].add(frame.f_lineno)
        for frame, file in _modules_of_other_threads(self._files):
            self._lines[file].add(frame.f_lineno)
        self.points = points
        self._watch: _Watch | None = None
        # Kept, which a frame of a function must not be: what it holds would live as long.
        self._modules: dict[FrameType, str] = {}
        if sys.version_info >= (3, 12):
            self._watch = _Watch(frames, self.points, branch=branch)
        else:
            self._modules = {frame: file for frame, file in frames.items() if frame.f_code.co_name == "<module>"}

    def start(self) -> None:
        """Watch the frames from now on."""
        if self._watch is not None:
            self._watch.start()

    def release(self) -> None:
        """Let go of the frames, which would keep their modules and callers alive beyond the end of the interpreter."""
        self._modules = {}

    @property
    def tool(self) -> int | None:
        """The tool in `sys.monitoring`, and None without one."""
        return self._watch.tool if self._watch is not None else None

    def positions(self) -> dict[str, list[int]]:
        """Return the lines at which the frames of each file were seen to stand; none where its module had ended."""
        for frame, file in self._modules.items():
            if (line := frame.f_lineno) is not None:  # as amid an exception
                self._lines[file].add(line)
        return {file: sorted(lines) for file, lines in self._lines.items()}


class _Watch:
    """Adds to *points* what *frames* run from now on, each on its own: code of theirs may run in other frames, too."""

    def __init__(self, frames: dict[FrameType, str], points: dict[str, set[Any]], *, branch: bool) -> None:
        self.tool: int | None = None
        self._branch = branch
        self._points = points
        for file in {*frames.values()} - points.keys():
            points[file] = set()  # which may become another kind of set there
        # By their ids: code objects of two files may be equal, and comparing them takes longer than running them.
        self._codes: dict[int, tuple[CodeType, str]] = {
            id(frame.f_code): (frame.f_code, file) for frame, file in frames.items()
        }
        # By their ids: as long as a frame runs, nothing else has its id. See `_entered`.
        self._last = {id(frame): frame.f_lineno for frame in frames}
        self._code_of = {id(frame): id(frame.f_code) for frame in frames}
        self._disable: Any = None

    def start(self) -> None:
        monitoring: Any = getattr(sys, "monitoring", None)
        self.tool = next((tool for tool in _free_tools(monitoring)), None) if self._codes else None
        if self.tool is None:
            return
        monitoring.use_tool_id(self.tool, "coverage-hooks")
        self._disable = monitoring.DISABLE
        events = monitoring.events
        callbacks = {events.LINE: self._line, events.PY_RETURN: self._returned, events.PY_START: self._entered}
        for event, callback in callbacks.items():
            monitoring.register_callback(self.tool, event, callback)
        for code, _ in self._codes.values():
            monitoring.set_local_events(self.tool, code, events.LINE | events.PY_RETURN | events.PY_START)

    def _line(self, code: CodeType, line: int) -> object:
        frame = id(sys._getframe(1))  # noqa: SLF001 - the frame is no argument of a callback
        if (last := self._last.get(frame)) is None:
            return self._unless_awaited(code)
        self._last[frame] = line
        self._add(code, last, line)
        return None

    def _returned(self, code: CodeType, _offset: int, _value: object) -> object:
        frame = id(sys._getframe(1))  # noqa: SLF001 - as above
        if (last := self._last.pop(frame, None)) is None:
            return self._unless_awaited(code)
        self._code_of.pop(frame, None)
        if self._branch:
            self._add(code, last, -code.co_firstlineno)
        return None

    def _entered(self, code: CodeType, _offset: int) -> object:
        """Forget a frame that ended by an exception, of which no tool is told for one code alone: its id is reused."""
        frame = id(sys._getframe(1))  # noqa: SLF001 - as above
        self._last.pop(frame, None)
        self._code_of.pop(frame, None)
        return self._unless_awaited(code)

    def _unless_awaited(self, code: CodeType) -> object:
        """Hear no more of this place in *code* once none of the frames runs it: it may be called a million times."""
        return None if id(code) in self._code_of.copy().values() else self._disable

    def _add(self, code: CodeType, last: int, line: int) -> None:
        self._points[self._codes[id(code)][1]].add((last, line) if self._branch else line)


def _free_tools(monitoring: Any) -> Iterator[int]:
    """Yield the ids that nothing uses and that are meant for nothing else, then those that are."""
    return (tool for tool in (3, 4, 2, 0) if monitoring is not None and monitoring.get_tool(tool) is None)
