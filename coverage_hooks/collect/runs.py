"""Which recordings of a volume belong to this collect: volumes outlive test runs."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from datetime import datetime

from coverage_hooks.collect import clocks
from coverage_hooks.collect.ledger import Earlier
from coverage_hooks.collect.source import LET_READ, Source
from coverage_hooks.errors import ManifestError, NotPermitted, VolumeError
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Manifest, parse_timestamp, timestamp

_NO_ROOM = (
    "the manifests of this volume have more text than is kept of all together: remove recordings of earlier runs, as "
    "`coverage-hooks prune` does, and shorten what COVERAGE_HOOKS_RUN and other settings say"
)

#: How many characters the manifests of all recordings have that are kept at a time: some hundred each is usual.
MOST_TEXT = 12 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recording on the volume; without a manifest `reason` says why it has none.

    It is `barred` when that is because this user may not read it.
    """

    recording: str
    manifest: Manifest | None
    reason: str = ""
    barred: bool = False

    @property
    def started(self) -> float:
        """When its process started; infinite, so that it counts as new, when not even its name tells."""
        if self.manifest is not None:
            return parse_timestamp(self.manifest.started_at).timestamp()
        named = layout.RECORDING.fullmatch(self.recording)
        try:
            return datetime.strptime(named["start"] if named else "", "%Y%m%dT%H%M%S%z").timestamp()
        except ValueError:
            return math.inf

    def earlier(self) -> Earlier:
        """Return its entry among the recordings that are not combined."""
        if self.manifest is None:
            return Earlier(recording=self.recording, run="", started_at="", note=self.reason)
        return Earlier(recording=self.recording, run=self.manifest.run, started_at=self.manifest.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was asked for: one run, everything since a moment, or neither: the newest run."""

    run: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The answer; `run` is None when several runs may be among `found`, or there is none."""

    run: str | None
    found: list[Found]
    earlier: list[Found]

    def doubt(self, now: datetime) -> str:
        """Return why the newest run may be another one; empty when by a clock here that shows *now* it is not."""
        started = max((each.manifest.started_at for each in self.found if each.manifest), default="")
        if not started or not clocks.is_ahead(parse_timestamp(started), now):
            return ""
        return (
            f"run {self.run!r} is taken for the newest, as a process of it began at {started}, which is yet to come by "
            f"the clock here, {timestamp(now)}: a clock was set back, or the two differ, so another run may be newer; "
            "choose by --run"
        )

    @property
    def barred(self) -> str:
        """Why none of `found` can be read by this user, as another one may; empty when that is not so."""
        if not self.found or not all(each.barred for each in self.found):
            return ""
        first = self.found[0]
        return f"this user may read no recording that is asked for: {first.recording}: {first.reason}; {LET_READ}"


def look(source: Source) -> list[Found]:
    """Return every recording of *source*, readable or not."""
    return [look_at(source, recording) for recording in source.recordings()]


def look_briefly(source: Source) -> list[Found]:
    """As `look`, with brief manifests, and with no more of them than there is room for."""
    found, room = [], MOST_TEXT
    for recording in source.recordings():
        each = look_at(source, recording)
        if each.manifest is not None:
            brief = each.manifest.brief()
            room -= _characters(brief)
            each = (
                Found(recording=recording, manifest=brief)
                if room >= 0
                else Found(recording=recording, manifest=None, reason=_NO_ROOM)
            )
        found.append(each)
    return found


def _characters(manifest: Manifest) -> int:
    document = dataclasses.asdict(manifest)
    texts = [*document.values(), *document["process"].values(), *(document["pod"] or {}).values(), *manifest.problems]
    return sum(len(text) for text in texts if isinstance(text, str))


def look_at(source: Source, recording: str) -> Found:
    """Return what *source* holds as *recording*."""
    try:
        manifest = read_manifest(recording, source.announcement(recording).content)
    except VolumeError as error:
        barred = isinstance(error, NotPermitted)
        return Found(recording=recording, manifest=None, reason=str(error), barred=barred)
    return Found(recording=recording, manifest=manifest)


def read_manifest(recording: str, content: bytes) -> Manifest:
    """Return the manifest in *content*, which must be that of *recording*."""
    manifest = Manifest.parse(content)
    if manifest.recording != recording:
        raise ManifestError(f"the manifest is that of {manifest.recording!r}, not of {recording!r}: copied by hand?")
    return manifest


def choose(found: list[Found], choice: Choice) -> Chosen:
    """Return which of *found* are meant by *choice*.

    A recording whose manifest cannot be read belongs to no known run; it is taken for one of the chosen run when it
    started no earlier than the first of them. Names know seconds only, so whole seconds are compared.
    """
    readable = [(each, each.manifest) for each in found if each.manifest is not None]
    run = choice.run
    if choice.since is not None:
        first = choice.since.timestamp()
        mine = {each.recording for each, _ in readable if each.started >= first}
    else:
        if run is None and readable:
            run = max(readable, key=lambda pair: pair[0].started)[1].run
        mine = {each.recording for each, manifest in readable if manifest.run == run}
        first = min((each.started for each, _ in readable if each.recording in mine), default=-math.inf)
    mine |= {each.recording for each in found if each.manifest is None and each.started >= _whole(first)}
    return Chosen(
        run=run,
        found=[each for each in found if each.recording in mine],
        earlier=[each for each in found if each.recording not in mine],
    )


def _whole(moment: float) -> float:
    return math.floor(moment) if math.isfinite(moment) else moment
