"""What a recording says about itself: who it is, how far it got, what whoever reads the report should know.

Everything in a manifest that is not about the files beside it. Touched by two threads: the one that starts recording
adds problems and names modules, the pulse counts beats and composes manifests; both only append, or replace whole
values.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from coverage_hooks.log import say
from coverage_hooks.settings import Settings
from coverage_hooks.volume import layout, machine
from coverage_hooks.volume.manifest import (
    PROBLEMS_LIMIT,
    TEXT_LIMIT,
    Begun,
    JournalFile,
    Manifest,
    Mode,
    Pod,
    Process,
    Unrecorded,
    timestamp,
)


class Facts(Protocol):
    """What the recorder knows of the measurement; see `recorder.Facts`."""

    @property
    def coverage(self) -> str: ...
    @property
    def core(self) -> str: ...
    @property
    def branch(self) -> bool: ...
    @property
    def config_sha256(self) -> str: ...


class Gap(Protocol):
    """From when until when not all that ran was recorded; see `tracers.Gap`."""

    @property
    def reason(self) -> str: ...
    @property
    def since(self) -> datetime: ...
    @property
    def until(self) -> datetime | None: ...


class Account:
    """The story of one process, told anew with every manifest."""

    def __init__(self, settings: Settings) -> None:
        self.started_at = datetime.now(UTC)
        host = settings.pod.name if settings.pod and settings.pod.name else socket.gethostname()
        self.recording = layout.recording_name(host, self.started_at)
        self.beat = -1  # the announcement is beat 0
        self.snapshot: float | None = None  # by `time.monotonic`, which cannot be set
        self.publish_seconds = 0.0
        self.imported_before_start: Sequence[str] = ()
        self.start_modules: Sequence[str] = ()
        self.begun: Mapping[str, list[int]] = {}
        self.unrecorded: Sequence[Gap] = ()
        self.facts: Facts | None = None
        self.journal: Mode = ""
        self._settings = settings
        self._pid = os.getpid()
        self._boot = machine.boot_id()
        self._problems: list[str] = []
        self._forks: list[None] = []

    def problem(self, text: str, level: int = logging.ERROR) -> None:
        """Remember *text* for the report, and log it the first time."""
        text = text[:TEXT_LIMIT]
        if text in self._problems:
            return
        self._problems = [*self._problems, text][-PROBLEMS_LIMIT:]
        say(level, text)

    def count_fork(self) -> None:
        """Count one more child; it has a journal of its own."""
        self._forks.append(None)  # atomic, unlike +=: threads may fork at the same time

    def manifest(self, journals: list[JournalFile], state: Literal["running", "finished"]) -> Manifest:
        """Return the manifest of this moment."""
        settings, now = self._settings, datetime.now(UTC)
        return Manifest(
            recording=self.recording,
            run=settings.run[:TEXT_LIMIT],
            state=state,
            beat=self.beat,
            started_at=timestamp(self.started_at),
            snapshot_at=timestamp(self._snapshot_at(now)),
            published_at=timestamp(now),
            publish_seconds=round(self.publish_seconds, 6),
            interval=settings.interval,
            journals=journals,
            process=self._process(),
            pod=Pod(**{name: value[:TEXT_LIMIT] for name, value in asdict(settings.pod).items()})
            if settings.pod
            else None,
            revision=settings.revision[:TEXT_LIMIT],
            imported_before_start=list(self.imported_before_start),
            start_modules=list(self.start_modules),
            begun=[Begun(path=path, lines=lines) for path, lines in self.begun.items()],
            unrecorded=[
                Unrecorded(
                    reason=gap.reason, since=timestamp(gap.since), until=timestamp(gap.until) if gap.until else ""
                )
                for gap in self.unrecorded
            ],
            problems=self._problems,
        )

    def _snapshot_at(self, now: datetime) -> datetime:
        """Return when the last snapshot was begun, by the clock that shows *now*: it may have been set since."""
        if self.snapshot is None:
            return self.started_at
        # Never too late: what passes between the two looks at clocks makes it earlier.
        return max(self.started_at, now - timedelta(seconds=time.monotonic() - self.snapshot))

    def _process(self) -> Process:
        facts = self.facts
        return Process(
            pid=self._pid,
            python=platform.python_version(),
            coverage=facts.coverage if facts else "",
            core=facts.core if facts else "",
            branch=facts.branch if facts else False,
            config_sha256=facts.config_sha256 if facts else "",
            forks=len(self._forks),
            journal=self.journal,
            boot=self._boot,
            parent=self._settings.parent if layout.RECORDING.fullmatch(self._settings.parent) else "",
        )
