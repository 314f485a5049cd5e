"""One process's recording, from its announcement to its last save.

Promises: at most one per process; the volume is touched by the pulse alone, and nobody waits for it in vain longer than
`Settings.exit_timeout`: once when starting, and once for all saves together. A process that is killed loses what it
recorded within the last interval plus the length of one publish.

Not promised: anything for lines executed before `start`, in threads older than it, or in forked children. The first two
are named, children are counted.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from coverage_hooks.log import say
from coverage_hooks.record import imports
from coverage_hooks.record.account import Account
from coverage_hooks.record.processes import Processes
from coverage_hooks.record.publisher import Content, Publisher
from coverage_hooks.record.pulse import Pulse
from coverage_hooks.settings import Settings, rivals
from coverage_hooks.volume.manifest import Manifest

if TYPE_CHECKING:
    from coverage_hooks.record.recorder import Recorder

Result = TypeVar("Result")

_RIVALLED = (
    "another coverage measurement runs in this process already ({because}), so nothing is recorded; start the operator "
    "without it"
)

_current: Recording | None = None


def start(settings: Settings) -> bool:
    """Start this process's recording; False if it has one, or if another measurement runs, which is announced."""
    global _current  # noqa: PLW0603 - a process has one recording, as it has one trace function
    if _current is not None:
        say(logging.DEBUG, "Coverage is recorded already, or this is a forked child; start() does nothing.")
        return False
    _current = recording = Recording(settings)
    recording.begin()
    return not recording.is_rivalled


def current() -> Recording | None:
    """Return this process's recording; a forked child has none."""
    return _current if _current is not None and _current.is_mine() else None


def save() -> bool:
    """See `coverage_hooks.save`."""
    return (recording := current()) is not None and recording.save()


class Recording:
    """The recorder, the publisher and the pulse of one process, put together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pid = os.getpid()
        self._account = Account(settings)
        self._publisher = Publisher(settings.directory, self._account.recording)
        self._pulse = Pulse(self._beat, settings.interval)
        self._patience = settings.exit_timeout
        # Reentrant: should whatever runs in the pulse's own thread fork, it must not wait for itself.
        self._sqlite_guard = threading.RLock()
        self._recorder: Recorder | None = None
        self._unpublished: Content | None = None
        self._settled = False
        self._processes = Processes()
        self._door = self._attempt(
            "coverage.py cannot be imported, so nothing is recorded",
            lambda: importlib.import_module("coverage_hooks.record.recorder"),
        )

        #: Whether coverage.py measured this process by other means already, so that nothing can be recorded.
        self.is_rivalled = self._door is not None and self._door.is_measuring_already()

    def is_mine(self) -> bool:
        """Whether this is the process that started the recording, and not a forked child of it."""
        return os.getpid() == self._pid

    def problem(self, text: str) -> None:
        """Note *text* in the manifest and in the log."""
        self._account.problem(text)

    def _attempt(self, failure: str, action: Callable[[], Result]) -> Result | None:
        """Return what *action* returns: the one place where coverage fails so that the operator does not."""
        try:
            return action()
        # SystemExit: coverage.py leaves the process when it is told to use a C tracer that it does not have.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it becomes a named problem
            # Without the file's name, which is another one with each attempt: a problem that lasts is one problem.
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            self.problem(f"{failure}: {type(error).__name__}: {why}")
            return None

    # -- starting ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Announce the recording on the volume, then start measuring."""
        self._note_what_is_too_late()
        if self.is_rivalled:
            self.problem(_RIVALLED.format(because=", ".join(rivals()) or "`coverage run` or pytest-cov"))
        # Handlers run in reverse: whatever the operator registers later, and coverage.py's own, which stops the tracer,
        # come before this one, so it sees everything there will ever be.
        atexit.register(self.finish)
        if not self.is_rivalled:  # whose tracer goes on in children
            self._disarm_in_children()
            self._processes.listen()
        self._attempt("nothing is saved: the pulse did not start", self._pulse.begin)
        if not self._wait(self._pulse.ask()):
            say(logging.ERROR, f"The recording could not be announced in {self._settings.directory}; trying on.")
        self._patience = self._settings.exit_timeout
        if self._door is not None and not self.is_rivalled:
            self._attempt("coverage.py did not start, so nothing is recorded", self._measure)

    def _note_what_is_too_late(self) -> None:
        for problem in self._settings.problems:
            self.problem(problem)
        if self._settings.context != "none":
            self.problem(
                f"COVERAGE_HOOKS_CONTEXT={self._settings.context}: not supported yet; recording without contexts"
            )
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                self.problem(f"thread {thread.name!r} is older than the recording; what it executes is not recorded")

    def _measure(self) -> None:
        assert self._door is not None
        recorder: Recorder = self._door.Recorder(self._settings.rcfile, problem=self.problem, guard=self._sqlite_guard)
        try:
            before = imports.names_of(recorder.start())
            self._account.imported_before_start = before
            self._account.start_modules = imports.excused(before)
            self._account.facts = recorder.facts
            for disarm in recorder.disarms():
                os.register_at_fork(after_in_child=disarm)
        finally:
            self._recorder = recorder  # last: from now on the pulse publishes what it has, with the facts about it
        say(logging.INFO, f"Coverage is recorded to {self._settings.directory / self._account.recording}.")

    def _disarm_in_children(self) -> None:
        """Keep forked children from recording, and forks from happening in the middle of work in SQLite.

        A child inherits locks in the state they are in: SQLite's, and the one that coverage's tracer takes at every
        call. So the first thing that runs in a child is C code which removes the tracer: a Python function in a
        measured file would already wait for that lock.
        """
        os.register_at_fork(
            before=self._sqlite_guard.acquire,
            after_in_parent=self._sqlite_guard.release,
            after_in_child=functools.partial(sys.settrace, None),
        )
        os.register_at_fork(
            after_in_parent=self._account.count_fork,
            after_in_child=functools.partial(threading.settrace, None),
        )
        os.register_at_fork(after_in_child=self._sqlite_guard.release)

    # -- saving -----------------------------------------------------------------------------------------------------

    def save(self) -> bool:
        """Publish everything recorded before this call; False if it is not on the volume when patience runs out."""
        return self._wait(self._pulse.ask()) and not self.is_rivalled

    async def save_async(self) -> bool:
        """As `save`, without ever blocking the event loop."""
        began = time.monotonic()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._pulse.ask()), self._patience)
        except TimeoutError:
            return self._gave_up(began)

    def finish(self) -> None:
        """Save a last time and end the pulse; called when the interpreter exits."""
        if self.is_mine():
            self._wait(self._pulse.ask(last=True))
            if self._recorder is not None:
                self._recorder.release()

    def _wait(self, answer: Future[bool]) -> bool:
        began = time.monotonic()
        try:
            return answer.result(timeout=self._patience)
        except TimeoutError:
            return self._gave_up(began)

    def _gave_up(self, began: float) -> bool:
        """Lose patience by the time that was waited for nothing; a volume that answers never costs any."""
        self._patience = max(0.0, self._patience - (time.monotonic() - began))
        say(logging.ERROR, f"The volume {self._settings.directory} does not answer; going on without it.")
        return False

    # -- in the pulse's thread --------------------------------------------------------------------------------------

    def _beat(self, *, last: bool) -> bool:
        """Publish what is new, or just show that the process lives; returns whether everything is on the volume."""
        snapshot_at, before = datetime.now(UTC), self._publisher.sequence
        account = self._account
        account.beat += 1
        for told in self._attempt("processes that it starts are not named", lambda: [*self._processes.new()]) or ():
            account.problem(told, logging.WARNING)
        complete = bool(self._attempt("recorded, but not saved", lambda: self._put_content(last=last)))
        if complete:
            account.snapshot_at = snapshot_at
        if self._recorder is not None:
            account.begun = self._attempt("where code stood is not known", self._recorder.begun) or account.begun
        durable = last or account.beat == 0 or self._publisher.sequence != before
        manifest = account.manifest(self._publisher, "finished" if last and complete else "running")
        written = self._attempt("the manifest was not written", lambda: self._put_manifest(manifest, durable=durable))
        self._settled = complete and bool(written)
        return self._settled

    def _put_content(self, *, last: bool) -> bool:
        """Put what is new on the volume; False while nothing can be known before the end."""
        began = time.monotonic()
        if not self._settled:  # the first time, and again after a failure
            self._publisher.make_folder()
        if self._recorder is not None:
            again = self._publisher.is_robbed()  # somebody may have cleared the volume
            content = self._recorder.finish(again=again) if last else self._recorder.snapshot(again=again)
            self._unpublished = content or self._unpublished
        if self._unpublished is not None:
            self._publisher.put_content(self._unpublished)
            self._unpublished = None
            self._account.publish_seconds = time.monotonic() - began
        return last or self._recorder is None or self._recorder.is_live

    def _put_manifest(self, manifest: Manifest, *, durable: bool) -> bool:
        self._publisher.put_manifest(manifest, durable=durable)
        return True
