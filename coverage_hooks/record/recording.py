"""One process's recording, from its announcement to its last save.

Promises: at most one per process; nobody waits for the volume in vain longer than `Settings.exit_timeout`: once when
starting, and once for all saves together. In mode `immediate` a process that is killed loses nothing, and the threads
that run new lines write them themselves; else it loses what it ran since the last beat, and the pulse alone writes.
Forked children are recorded with it, in journals of their own; they have no pulse.

Not promised: anything for lines executed before `start`, or in threads older than it. Both are named.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import importlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, NoReturn, TypeVar

from coverage_hooks.log import say
from coverage_hooks.record import children, imports, storage
from coverage_hooks.record.account import Account
from coverage_hooks.record.processes import Processes
from coverage_hooks.record.publisher import Publisher
from coverage_hooks.record.pulse import Pulse
from coverage_hooks.settings import Settings, rivals
from coverage_hooks.volume.manifest import JournalFile, Manifest

if TYPE_CHECKING:
    from coverage_hooks.record.recorder import Recorder

Result = TypeVar("Result")

_RIVALLED = (
    "another coverage measurement runs in this process already ({because}), so nothing is recorded; start the operator "
    "without it"
)

_NOT_STARTED = "coverage.py did not start, so nothing is recorded"

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
        self._recorder: Recorder | None = None
        self._prefixes: list[JournalFile] = []
        self._settled = False
        self._processes = Processes(recorded=settings.children)
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
        elif self._door is not None:
            self._attempt(_NOT_STARTED, self._prepare)
        # Handlers run in reverse: whatever the operator registers later comes before this one, and coverage.py's own,
        # which closes its data, after it.
        atexit.register(self.finish)
        if not self.is_rivalled:
            heard = self._recorder.heard() if self._recorder is not None else {}
            self._processes.listen({"os.exec": self._before_exec, **heard})
        self._attempt("nothing is saved: the pulse did not start", self._pulse.begin)
        if not (announced := self._wait(self._pulse.ask())):
            say(logging.ERROR, f"The recording could not be announced in {self._settings.directory}; trying on.")
        self._patience = self._settings.exit_timeout
        if self._recorder is not None:
            self._attempt(_NOT_STARTED, lambda: self._measure(announced=announced))

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

    def _prepare(self) -> None:
        assert self._door is not None
        recorder: Recorder = self._door.Recorder(self._settings.rcfile, problem=self.problem)
        recorder.prepare()
        self._account.facts = recorder.facts
        self._recorder = recorder  # last: from now on the pulse asks it

    def _measure(self, *, announced: bool) -> None:
        """Start measuring; unless the volume has *announced* the recording, no thread of the operator waits for it."""
        assert self._recorder is not None
        if not announced:
            self._choose(local=False)
        try:
            before = imports.names_of(self._recorder.start(self._publisher.opened))
            self._account.imported_before_start = before
            self._account.start_modules = imports.excused(before)
        finally:
            self._account.facts = self._recorder.facts
        self._follow_children(self._recorder)
        self._pulse.ask()  # what was imported too early is known now, and shall not wait for an interval
        say(logging.INFO, f"Coverage is recorded to {self._settings.directory / self._account.recording}.")

    def _choose(self, *, local: bool) -> None:
        if self._recorder is not None and (told := self._recorder.choose(local=local)):
            self.problem(told)

    def _follow_children(self, recorder: Recorder) -> None:
        """Record forked children, too: first their locks are freed, as they inherit them in the state they are in."""
        for free in recorder.fork_locks():
            os.register_at_fork(after_in_child=free)
        assert recorder.journal is not None
        os.register_at_fork(after_in_parent=self._account.count_fork, after_in_child=recorder.journal.after_in_child)
        os.register_at_fork(after_in_parent=recorder.journal.forked)
        os.register_at_fork(after_in_child=self._save_when_terminated)
        if self._settings.parent:
            self._save_when_terminated()
        children.follow(self._account.recording, self.problem, programs=self._settings.children)
        os._exit = functools.partial(self._exit, os._exit)

    def _save_when_terminated(self) -> None:
        """Save on a SIGTERM that would end this child without a word: a `multiprocessing.Pool` ends its workers so."""
        assert self._recorder is not None
        if self._recorder.current_mode != "immediate" and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            with contextlib.suppress(ValueError):  # not in its main thread
                signal.signal(signal.SIGTERM, self._terminated)

    def _terminated(self, number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        try:
            self.finish()
        finally:
            os.kill(os.getpid(), number)

    def _exit(self, end: Callable[[int], NoReturn], status: int) -> NoReturn:
        """Save, then end the process; most forked children end like this."""
        try:
            self.finish()
        finally:
            end(status)

    def _before_exec(self, _: object) -> None:
        """Save before another program takes the place of this one; it may fail to, so nothing ends here."""
        if self.is_mine():
            self.save()
        else:
            self._finish_child()

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
        if not self.is_mine():
            self._finish_child()
            return
        if self._recorder is not None:
            self._attempt("coverage.py did not stop", self._recorder.stop)
        self._wait(self._pulse.ask(last=True))
        if self._recorder is not None:
            self._recorder.release()

    def _finish_child(self) -> None:
        """Write what a forked child has not written; it has no pulse, and nobody reads what it would say of itself."""
        if self._recorder is not None and (mode := self._recorder.current_mode) != "immediate":
            with contextlib.suppress(Exception):
                self._recorder.catch_up(last=mode == "final")
                if self._recorder.journal is not None and not self._recorder.journal.is_whole:
                    self._recorder.journal.settle()

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
        snapshot, before = time.monotonic(), self._prefixes
        account = self._account
        account.beat += 1
        for told in self._attempt("processes that it starts are not named", lambda: [*self._processes.new()]) or ():
            account.problem(told, logging.WARNING)
        complete = bool(self._attempt("recorded, but not saved", lambda: self._settle(last=last)))
        if complete:
            account.snapshot = snapshot
        if self._recorder is not None:
            account.begun = self._attempt("where code stood is not known", self._recorder.begun) or account.begun
            self._tell_gaps(self._recorder)
            account.journal = self._recorder.current_mode
            if self._recorder.journal is not None:
                self._prefixes = self._recorder.journal.prefixes()
        durable = last or account.beat == 0 or self._prefixes != before
        manifest = account.manifest(self._prefixes, "finished" if last and complete else "running")
        written = self._attempt("the manifest was not written", lambda: self._put_manifest(manifest, durable=durable))
        self._settled = complete and bool(written)
        return self._settled

    def _tell_gaps(self, recorder: Recorder) -> None:
        """Log from when on not all is recorded, once; the manifest says it to whoever reads the report."""
        gaps = [*recorder.unrecorded()]
        for gap in gaps[len(self._account.unrecorded) :]:
            say(logging.ERROR, f"Not all that runs from {gap.since:%H:%M:%S} UTC on is recorded: {gap.reason}.")
        self._account.unrecorded = gaps

    def _settle(self, *, last: bool) -> bool:
        """Get what was recorded to the disk; False while nothing can be known before the end."""
        began = time.monotonic()
        if not self._settled:  # the first time, and again after a failure
            self._publisher.make_folder()
        if self._recorder is None:
            return True
        if self._recorder.journal is None:  # not started: the announcement says how it will be recorded
            self._choose(local=storage.is_local(self._publisher.folder))
            return True
        complete = self._recorder.catch_up(last=last)
        if not self._recorder.journal.settle():  # it was gone, and what is appended has to be appended again
            complete = self._recorder.catch_up(last=last) and self._recorder.journal.settle()
        self._account.publish_seconds = time.monotonic() - began
        return complete

    def _put_manifest(self, manifest: Manifest, *, durable: bool) -> bool:
        self._publisher.put_manifest(manifest, durable=durable)
        return True
