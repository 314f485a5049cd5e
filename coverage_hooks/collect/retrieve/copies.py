"""From the volume to raw copies here: choose the run, see who is alive, copy each recording as one set.

Nothing on the volume is changed. Raw copies are kept; a second run copies only what changed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coverage_hooks.collect import clocks, outputs, runs, text
from coverage_hooks.collect.data.contents import DamagedError
from coverage_hooks.collect.ledger import (
    NOTHING_LOST,
    Ledger,
    Row,
    begun_at_start,
    lost_at_start,
    too_early,
    unrecorded,
)
from coverage_hooks.collect.pods import expected
from coverage_hooks.collect.pods.expected import Moments, Witness
from coverage_hooks.collect.runs import Choice, Chosen, Found
from coverage_hooks.collect.source import Limits, Source
from coverage_hooks.collect.text import counted
from coverage_hooks.errors import SourceError, VolumeError
from coverage_hooks.volume import access, layout
from coverage_hooks.volume.manifest import Manifest, parse_timestamp, timestamp

#: How often a set is tried again because its publisher replaced it meanwhile.
ATTEMPTS = 5

#: How many intervals a snapshot may be older than the manifest around it, before its saves count as failing.
LATE_INTERVALS = 3

#: What a manifest may claim as its interval; a larger claim would make the collector wait for hours.
LONGEST_INTERVAL = 60.0


#: How many recordings of one run are collected, and how many journals of one recording.
MOST_RECORDINGS, MOST_JOURNALS = 20_000, 10_000

#: How many characters of a recorder's problem are repeated in what is said of its recording, and how many runs named.
_REPEATED, _NAMED_RUNS = 500, 20

#: Told once what a wait is for, when it has turned out to be one, and an empty text when it is over.
Say = Callable[[str], object]

#: From how many seconds on a wait is worth a word, and of how many recordings.
LONG_WAIT, NAMED = 2.0, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a beat may stand still before its recording is silent: `intervals`, at least `minimum` seconds."""

    minimum: float = 10.0
    intervals: int = 3
    poll: float = 0.1

    def seconds(self, interval: float) -> float:
        """Return the seconds to wait for a recording that beats every *interval* seconds."""
        return max(self.minimum, self.intervals * min(interval, LONGEST_INTERVAL))


def retrieve(
    source: Source,
    output: Path,
    choice: Choice,
    *,
    expect: int | None = None,
    waivers: Iterable[str] = (),
    patience: Patience | None = None,
    limits: Limits | None = None,
    witness: Witness | None = None,
    say: Say | None = None,
) -> Ledger:
    """Copy the chosen recordings of *source* below *output* and return the ledger of what was found.

    *say* is told of a wait for recordings that run.
    """
    patience = patience or Patience()
    listed = datetime.now(UTC)
    chosen = runs.choose(runs.look_briefly(source), choice)
    if chosen.barred:
        raise SourceError(chosen.barred)
    beyond = len(chosen.found) - MOST_RECORDINGS
    del chosen.found[MOST_RECORDINGS:]
    ledger = Ledger(
        run=chosen.run,
        since=timestamp(choice.since) if choice.since else None,
        requested=choice.run is not None or choice.since is not None,
        expected=expect,
        waivers=sorted(waivers),
        earlier=[each.earlier() for each in chosen.earlier],
    )
    if beyond > 0:
        ledger.lose("retrieve", None, _too_many(beyond))
    if choice == Choice() and (doubt := chosen.doubt(listed)):
        ledger.note("retrieve", doubt)
    silent = await_beats(source, [each.manifest for each in chosen.found if each.manifest], patience, say=say)
    boot = source.boot() if chosen.found else ""
    for found in chosen.found:
        _take(source, found, output, ledger, limits or Limits(), boot=boot, silent=found.recording in silent)
    copied = datetime.now(UTC)
    _join(ledger, chosen, witness, Moments(listed=listed, copied=copied))
    for row in ledger.rows:
        if row.state in {"silent", "killed", "ended"} and not row.lost_nothing:
            ledger.lose("retrieve", row, expected.loss_of(row))
    _count(ledger, chosen)
    return ledger


def _too_many(beyond: int) -> str:
    return (
        f"{beyond} of the recordings that are asked for are not collected, as only {MOST_RECORDINGS} are at a time: "
        "choose fewer by --run or --since"
    )


def _join(ledger: Ledger, chosen: Chosen, witness: Witness | None, moments: Moments) -> None:
    """Enter what *witness* says of the processes; that it cannot say anything is no loss, and proves nothing."""
    try:
        testimony = witness.testify(moments.copied) if witness is not None else None
    except SourceError as error:
        ledger.completeness = f"unproven: {error}"
        return
    if witness is not None and testimony is not None:
        expected.enter(ledger, chosen, testimony, witness.claim, moments)


def await_beats(
    source: Source, manifests: Iterable[Manifest], patience: Patience, *, say: Say | None = None
) -> set[str]:
    """Wait until the beat of every running recording has moved twice; return the names of those that stood still.

    All are waited for at once. What has moved twice has published everything that ran before this call. When that
    takes long, *say* is told whom it is waited for, and for how long after the last beat at most.
    """
    waiting = {each.recording: _Watched(each, patience) for each in manifests if each.state == "running"}
    silent: set[str] = set()
    since, told = time.monotonic(), False
    while waiting:
        time.sleep(patience.poll)
        for recording, watched in list(waiting.items()):
            watched.look(runs.look_at(source, recording).manifest)
            if watched.settled:
                del waiting[recording]
            elif watched.expired:
                del waiting[recording]
                silent.add(recording)
        if say is not None and waiting and not told and time.monotonic() - since > LONG_WAIT:
            told = True
            say(_waited_for(waiting))
    if say is not None and told:
        say("")
    return silent


def _waited_for(waiting: dict[str, _Watched]) -> str:
    seconds = max(watched.seconds for watched in waiting.values())
    more = f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
    names = f"{', '.join(sorted(waiting)[:NAMED])}{more}"
    return f"waiting up to {seconds:g} s for the beats of {counted(len(waiting), 'running recording')}: {names}"


class _Watched:
    """A running recording, and when its beat was last seen to move."""

    def __init__(self, manifest: Manifest, patience: Patience) -> None:
        self._first = self._last = manifest.beat
        self.seconds = patience.seconds(manifest.interval)
        self._deadline = time.monotonic() + self.seconds
        self.settled = False

    def look(self, manifest: Manifest | None) -> None:
        if manifest is None:  # being replaced, or gone: the deadline decides
            return
        if manifest.beat > self._last:
            self._last = manifest.beat
            self._deadline = time.monotonic() + self.seconds
        self.settled = manifest.state == "finished" or self._last >= self._first + 2

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self._deadline


def _take(
    source: Source, found: Found, output: Path, ledger: Ledger, limits: Limits, *, boot: str, silent: bool
) -> None:
    """Copy recording *found* and enter it into *ledger*; *boot* is that of the machine which reads the volume."""
    if found.manifest is None:
        row = Row(recording=found.recording, note=found.reason)
        ledger.enter(row)
        ledger.lose("retrieve", row, found.reason, file=layout.MANIFEST)
        return
    folder = Path(outputs.RAW, text.folder_name(found.manifest.run), found.recording)
    try:
        fetched = _fetch(source, found.recording, output / folder, limits)
    except VolumeError as error:
        row = Row.of(found.manifest, "")
        ledger.enter(row)
        row.fail(str(error))
        ledger.lose("retrieve", row, row.note, file=error.file if isinstance(error, DamagedError) else layout.MANIFEST)
        return
    manifest = fetched.manifest
    row = Row.of(manifest, str(folder))
    ledger.enter(row)
    row.complete = fetched.complete
    row.same_boot = manifest.process.boot == boot if manifest.process.boot and boot else None
    for name, reason in fetched.refused.items():
        ledger.lose("retrieve", row, reason, file=name)
    if manifest.state == "running":
        _judge_running(ledger, row, manifest, fetched.age, fetched.read, silent=silent)
    if not any(journal.size for journal in manifest.journals) and not _has_points(output / folder):
        _judge_empty(ledger, row, manifest)
    _judge_gaps(ledger, row, manifest)
    _judge_start(ledger, row, manifest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """What was copied: its manifest, of what `age` that was when it was `read`, and whether its marker was there.

    `refused` says why of the journals that the manifest does not name some are not here.
    """

    manifest: Manifest
    age: float
    read: datetime
    complete: bool
    refused: dict[str, str]


def _fetch(source: Source, recording: str, folder: Path, limits: Limits) -> _Fetched:
    """Copy manifest, journals and marker of *recording* into *folder* as one set.

    The manifest is read first. A journal only grows, so that of then is the beginning of what is copied after it.
    """
    announcement, read = source.announcement(recording), datetime.now(UTC)
    for attempt in range(1, ATTEMPTS + 1):
        manifest = runs.read_manifest(recording, announcement.content)
        try:
            complete, refused = _copy_set(source, manifest, folder, limits)
        except VolumeError:
            # A recorder that finds its journal spoilt begins another, and says so; under the same manifest it did not.
            again, read = source.announcement(recording), datetime.now(UTC)
            if again.content == announcement.content or attempt == ATTEMPTS:
                raise
            announcement = again
            continue
        outputs.write(folder / layout.MANIFEST, announcement.content)
        return _Fetched(manifest=manifest, age=announcement.age, read=read, complete=complete, refused=refused)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _copy_set(source: Source, manifest: Manifest, folder: Path, limits: Limits) -> tuple[bool, dict[str, str]]:
    """Copy the journals of *manifest* and all others beside them.

    Return whether the marker was there, and why of the others some are not here.
    """
    outputs.make_folder(folder)
    for journal in manifest.journals:
        if manifest.state != "finished" or not _is_here(folder / journal.file, journal.sha256):
            try:
                source.copy(manifest.recording, journal.file, folder / journal.file, limit=limits.journal)
            except VolumeError as error:
                raise DamagedError(journal.file, str(error)) from None
    # Listed only now: a marker that is still there says that no point was missing before.
    listed, refused = source.files(manifest.recording), {}
    known = {layout.COMPLETE, *(journal.file for journal in manifest.journals)}
    others = [name for name in listed if name not in known]
    if rest := others[MOST_JOURNALS:]:
        refused[rest[0]] = f"this and {len(rest) - 1} more are not read: only {MOST_JOURNALS} of a recording are"
    for name in others[:MOST_JOURNALS]:
        try:
            source.copy(manifest.recording, name, folder / name, limit=limits.journal)
        except VolumeError as error:  # most likely of a child: what its parent ran is here all the same
            refused[name] = str(error)
    complete = layout.COMPLETE in listed
    if complete:
        outputs.write(folder / layout.COMPLETE, b"")
    else:
        (folder / layout.COMPLETE).unlink(missing_ok=True)
    return complete, refused


def _is_here(path: Path, sha256: str) -> bool:
    try:
        with open(path, "rb", opener=access.only_regular) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _has_points(folder: Path) -> bool:
    """Return whether any journal that was copied into *folder* holds anything."""
    return any(layout.JOURNAL.fullmatch(path.name) and path.stat().st_size for path in folder.iterdir())


def _judge_start(ledger: Ledger, row: Row, manifest: Manifest) -> None:
    """Enter what ran before recording started: as a loss, or as what has to."""
    if modules := lost_at_start(manifest):
        ledger.lose("retrieve", row, too_early(modules), file=", ".join(modules))
    if modules := begun_at_start(manifest):
        reason = "began before coverage_hooks.start() was called, as they have to: what is proven of it counts"
        told = f"{', '.join(modules)} {reason}"
        if all(note.text != told for note in ledger.notes):  # replicas begin alike
            ledger.note("retrieve", told)


def _judge_gaps(ledger: Ledger, row: Row, manifest: Manifest) -> None:
    """Enter from when until when not all that ran was recorded, each as a loss."""
    for gap in manifest.unrecorded:
        ledger.lose("retrieve", row, unrecorded(gap))


def _judge_empty(ledger: Ledger, row: Row, manifest: Manifest) -> None:
    """Enter that nothing was recorded: a loss, but of another one's child that is known to have run none of it."""
    whole = manifest.state == "finished" or row.lost_nothing
    row.fail(_nothing_published(row, manifest), "announced")
    if row.parent and whole and not (manifest.problems or manifest.unrecorded):
        row.note = "started by another process, and ran nothing of `run:source`"
    else:
        ledger.lose("retrieve", row, row.note)


def _nothing_published(row: Row, manifest: Manifest) -> str:
    full = "the volume is full, " if manifest.state == "running" else ""
    advice = (
        _last_problem(manifest)
        if manifest.problems
        else f"nothing of `run:source` ran, {full}or the operator's coverage configuration names other code; "
        "see its log too"
    )
    if row.mode == "final" and manifest.state == "running":
        return f"announced itself and has not ended: in mode final all is saved then, so all is lost; {advice}"
    return f"announced itself and published nothing; {advice}"


def _judge_running(ledger: Ledger, row: Row, manifest: Manifest, age: float, read: datetime, *, silent: bool) -> None:
    """Enter that a process that never said it had finished is silent, or beats without saving anything."""
    saved = parse_timestamp(row.saved_at)
    if silent:
        row.state = "silent"
        if not (differ := row.clock or clocks.of_file(manifest, age, read)):
            row.beat_age, row.unsaved = round(age, 1), round((read - saved).total_seconds(), 1)
        if row.lossless and row.same_boot:
            row.lost_seconds = 0.0
        row.note = _silence(row, differ)
        return  # a loss, most likely, but a witness may know better why
    if not manifest.problems or row.lossless:
        return
    behind = (parse_timestamp(manifest.published_at) - saved).total_seconds()  # by one clock: the pod's
    if row.clock:
        row.note = f"it beats, but for how long nothing was saved is unknown: {row.clock}; {_last_problem(manifest)}"
        ledger.lose("retrieve", row, row.note)
    elif behind > (LATE_INTERVALS + 1) * manifest.interval + manifest.publish_seconds:
        row.note = f"it beats, but nothing was saved for {behind:.1f} s: {_last_problem(manifest)}"
        ledger.lose("retrieve", row, row.note)


def _last_problem(manifest: Manifest) -> str:
    return text.shortened(manifest.problems[-1], _REPEATED)


def _silence(row: Row, differ: str) -> str:
    """Return what there is to say of a beat that stands still, in seconds where no clocks *differ*."""
    beat, why = f"beat {row.beat}", "does not move: killed, hung, or its last save failed"
    if row.lossless:
        why = "does not move: killed or hung"
        if row.lost_nothing:
            return f"{beat} {why}; {NOTHING_LOST}, and this machine has not restarted since"
        return (
            f"{beat} {why}. Each line was on the volume before it ran; but whether the machine that it ran on has "
            "restarted since is not known here, and then what was not on the disk yet is lost"
        )
    lost, more = "Lost is what ran after the last snapshot", ""
    if row.mode == "final":
        lost = "Lost is everything that it ran: in mode final nothing is saved before the end"
    elif row.forks:
        more = ", and what forked children of it had not written"
    if differ:
        return f"{beat} {why}. {lost}{more}; how long ago that was is unknown: {differ}"
    ago = f"{row.unsaved:.10g} s ago{more}; how much is not known, as nobody saw its end"
    return f"{beat} is {row.beat_age:.10g} s old and {why}. {lost}, {ago}"


def _count(ledger: Ledger, chosen: Chosen) -> None:
    """Compare with the expected number, and say so when there is nothing at all."""
    rows = ledger.recorded
    known = {name for row in rows for name in (row.recording, row.pod, row.pod.rpartition("/")[2])}
    waived = sum(name not in known for name in ledger.waivers)
    if not rows:
        ledger.lose("retrieve", None, _nothing(ledger, chosen))
    elif ledger.expected is not None and len(rows) + waived < ledger.expected:
        reason = f"{ledger.expected} recordings were expected, {len(rows)} announced themselves"
        ledger.lose("retrieve", None, reason)
    elif ledger.expected is not None and len(rows) > ledger.expected:
        ledger.note(
            "retrieve",
            f"{counted(len(rows), 'recording')}, {ledger.expected} expected: a process restarted, or more ran",
        )
    if any(row.python.startswith("3.11.") for row in ledger.rows):
        ledger.note(
            "retrieve",
            "recorded on Python 3.11, which does not tell that a coroutine goes on after a cancellation was swallowed: "
            "lines after that may read as missed; 3.12 and newer tell",
        )
    if ledger.run == "" and rows:
        ledger.note(
            "retrieve",
            "these recordings carry no run id, so all without one were taken; set COVERAGE_HOOKS_RUN or --since",
        )


def _nothing(ledger: Ledger, chosen: Chosen) -> str:
    others = [*map(repr, sorted({each.run for each in ledger.earlier}))]
    if rest := len(others[_NAMED_RUNS:]):
        others[_NAMED_RUNS:] = [f"and {rest} more"]
    if ledger.since is not None and ledger.earlier:
        older = counted(len(ledger.earlier), "recording")
        return f"nothing was recorded since {ledger.since}; {older} {'is' if len(ledger.earlier) == 1 else 'are'} older"
    if chosen.run is not None and ledger.earlier:
        return f"nothing was recorded for run {chosen.run!r}; the volume holds {', '.join(others)}"
    return (
        "nothing was recorded: the volume holds no recording; check that the operator runs with "
        "COVERAGE_HOOKS_ENABLED=1 and COVERAGE_HOOKS_DIR on this volume, and look for coverage_hooks in its log"
    )
