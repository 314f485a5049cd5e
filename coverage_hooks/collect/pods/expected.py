"""Who should have recorded, against who did: observations and recordings joined to the rows of the ledger.

::

    testimony ──> instances ──┐
                              ├── by pod, container and time ──> row.ending · losses · completeness
    recordings of the volume ─┘

A process is expected where a container that mounts the volume's claim ran, unless its pod says that it does not record
or belongs to another run. Whoever was expected and left no recording gets a row, and is a loss. Who was not watched is
not judged: completeness then says what is missing for a proof.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

from coverage_hooks.collect import clocks
from coverage_hooks.collect.ledger import NOTHING_LOST, Ledger, Row
from coverage_hooks.collect.pods import lost_seconds
from coverage_hooks.collect.pods.containers import SECOND, Instance, Known, TrackedPod, gather
from coverage_hooks.collect.pods.objects import Pod
from coverage_hooks.collect.pods.terminations import Ending, ending_of
from coverage_hooks.collect.pods.watchlog import Gap, Seen, Testimony
from coverage_hooks.collect.runs import Chosen, Found
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Manifest, parse_timestamp

_ALWAYS, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

#: What switches a recorder on, as in its settings; another value that is written out switches it off.
_ON = {"1", "true", "yes", "on"}

#: How long a process may have run on after it called itself finished: ending the interpreter takes a moment, and the
#: moment is known to a second only.
_LINGERING = 2.0

#: By how many seconds, at least, the last beat may be older than the end of its process before it tells of a volume
#: that took no more writes: it comes late on a busy machine, too.
_STALE = 10.0

_NEVER_ANNOUNCED = (
    "left no recording: it ended before coverage_hooks.start() had announced it, or could not write to the claim. "
    "`kubectl logs` of the container says which, while the pod is there; look for coverage_hooks and for a traceback"
)


class Witness(Protocol):
    """Whoever can say what happened to the pods; `claim` is the volume that is collected from, if it is known."""

    @property
    def claim(self) -> str | None: ...

    def testify(self, moment: datetime) -> Testimony | None:
        """Return all that is known until *moment*, by the clock here; None when nobody saw anything."""


@runtime_checkable
class Witnessed(Protocol):
    """A source that knows who can say what happened to the pods that write it."""

    def witness(self, path: Path) -> Witness:
        """Return who can; *path* is where a witness writes, or wrote, what it saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """When the volume was listed, and when everything that was chosen had been copied; by the clock here."""

    listed: datetime
    copied: datetime


def enter(ledger: Ledger, chosen: Chosen, testimony: Testimony, claim: str | None, moments: Moments) -> None:
    """Enter into *ledger* how each process ended, who never announced itself, and whether that is everybody.

    *claim* is the volume; None when it is a folder here: then it is the claim on which those recorded that are known.
    A silent, killed or ended row is no loss yet: its note says what is lost, and `Row.lost_nothing` if that is nothing.
    """
    if reason := _irrelevance(testimony, chosen):
        ledger.completeness = f"unproven: {reason}"
        return
    known = gather(testimony)
    matched = match([*chosen.found, *chosen.earlier], known)
    rows = {row.recording: row for row in ledger.recorded}
    for found in chosen.found:
        if found.recording in matched:
            instance = matched[found.recording]
            ending = ending_of(instance, known)
            _settle(ledger, rows[found.recording], found.manifest, instance, ending, asked=testimony.asked)
        else:
            rows[found.recording].ending = _unmatched(found, known)
    claims = {claim} if claim else {each for instance in matched.values() for each in instance.claims}
    expecting = _Expecting(claims or _recorded_on(known), ledger, chosen, testimony)
    expected = [each for each in known.instances() if expecting.includes(each)]
    recorded = {id(instance) for instance in matched.values()}
    for instance in expected:
        if id(instance) not in recorded:
            _enter_missing(ledger, instance, ending_of(instance, known), moments, asked=testimony.asked)
    mine = {id(each): each for each in expected}
    mine |= {id(matched[each.recording]): matched[each.recording] for each in chosen.found if each.recording in matched}
    unseen = [each.recording for each in chosen.found if each.recording not in matched]
    _judge_completeness(ledger, testimony, list(mine.values()), unseen, moments)


def _irrelevance(testimony: Testimony, chosen: Chosen) -> str:
    """Return why *testimony* says nothing of the recordings; empty when it does, or may."""
    namespaces = {each.manifest.pod.namespace for each in chosen.found if each.manifest and each.manifest.pod} - {""}
    watched = testimony.header.namespace
    if namespaces and watched not in namespaces:
        return f"the witness watched namespace {watched}, and these ran in {', '.join(sorted(namespaces))}"
    told = testimony.confirmed.get("pods", testimony.header.started_at)
    if chosen.found and all(each.started > told.timestamp() for each in chosen.found):
        return f"the witness stopped at {_shown(told)}, before any of these began"
    return ""


class _Expecting:
    """Who should have recorded on *claims* for the run of *ledger*."""

    def __init__(self, claims: set[str], ledger: Ledger, chosen: Chosen, testimony: Testimony) -> None:
        self._claims, self._run, self._testimony = claims, chosen.run, testimony
        self._is_default = not ledger.requested
        self._since = parse_timestamp(ledger.since) if ledger.since else None
        self._newest = max((each.started for each in [*chosen.found, *chosen.earlier]), default=-math.inf)

    def includes(self, instance: Instance) -> bool:
        """Return whether *instance* should have recorded."""
        # In a pod that says of one container that it records, the others do not: those that prepare or read the volume.
        says = any(container.enabled is not None for container in instance.pod.last.containers)
        if not instance.claims & self._claims or (says and not _is_on(instance.enabled)):
            return False
        return not instance.never_started and self._is_of_run(instance)

    def _is_of_run(self, instance: Instance) -> bool:
        if self._since is not None and instance.started_at is not None and instance.started_at < self._since:
            return False
        named = (instance.run or "").strip()
        if self._run is not None and instance.run is not None and named != self._run:
            # Unless one is asked for, the newest run on the volume is taken for the last one. Processes that are newer
            # than all of it show that it is not: that run left nothing, and must not pass for the one before.
            return (
                self._is_default and instance.started_at is not None and instance.started_at.timestamp() > self._newest
            )
        # What had ended before anybody watched belongs to this run only if it says so.
        ended = instance.finished_at
        before = instance.listed and ended is not None and ended < self._testimony.header.started_at
        return bool(named) or self._testimony.asked or not before


def unannounced(matched: Iterable[Instance], known: Known, claim: str | None = None) -> list[Instance]:
    """Return the instances that seem to record on the claim of those that are *matched*, and are not among them."""
    taken = list(matched)
    claims = {claim} if claim else {each for instance in taken for each in instance.claims} or _recorded_on(known)
    return [each for each in known.instances() if each.claims & claims and not any(each is other for other in taken)]


def match(recordings: Iterable[Found], known: Known) -> dict[str, Instance]:
    """Return the instance of each recording for which there is one.

    The newest recordings come first and take the newest instance that is free: with whole seconds, two instances may
    fit both. A process that another one started shares its instance.
    """
    matched: dict[str, Instance] = {}
    taken: set[int] = set()
    newest_first = sorted(recordings, key=lambda each: each.started, reverse=True)
    parents = {each.recording: _parent(each) for each in newest_first}
    for found in newest_first:
        if parents[found.recording] in parents:
            continue
        candidates = [each for pod in _pods_of(found, known) for each in _candidates(found, pod)]
        if not candidates:
            continue
        best = max(candidates, key=lambda each: (id(each) not in taken, each.started_at is not None, each.restart))
        matched[found.recording] = best
        taken.add(id(best))
    for found in reversed(newest_first):  # whoever started another one began before it
        if (parent := parents[found.recording]) in matched:
            matched.setdefault(found.recording, matched[parent])
    return matched


def _parent(found: Found) -> str:
    return found.manifest.process.parent if found.manifest else ""


def _pods_of(found: Found, known: Known) -> list[TrackedPod]:
    """Return the pods that *found* may be of: by uid, or by name where its manifest has none."""
    pod = found.manifest.pod if found.manifest else None
    if pod is not None and pod.uid:
        return [known.pods[pod.uid]] if pod.uid in known.pods else []
    named = layout.RECORDING.fullmatch(found.recording)
    name = pod.name if pod is not None and pod.name else named["host"] if named else ""
    return [each for each in known.pods.values() if each.last.name == name]


def _candidates(found: Found, pod: TrackedPod) -> Iterator[Instance]:
    """Yield the instances of *pod* during which *found* began."""
    container = found.manifest.pod.container if found.manifest and found.manifest.pod else ""
    started = datetime.fromtimestamp(found.started, UTC) if found.started < _NEVER.timestamp() else None
    instances = pod.of_container(container)
    for position, instance in enumerate(instances):
        before = [each.started_at for each in instances[:position] if each.container == instance.container]
        first = instance.started_at or max((each for each in before if each is not None), default=_ALWAYS)
        last = instance.finished_at + SECOND if instance.finished_at and not instance.is_set_back else _NEVER
        if started is not None and first <= started <= last:
            yield instance


def _settle(
    ledger: Ledger, row: Row, manifest: Manifest | None, instance: Instance, ending: Ending, *, asked: bool
) -> None:
    """Enter how the process of *row* ended, and what that cost."""
    row.cause, row.ending, row.exit_code = ending.cause, ending.text, ending.exit_code
    row.restart, row.asked = instance.restart, asked
    if row.state == "finished" and manifest is not None:
        _settle_finished(ledger, row, manifest, instance, ending)
    elif row.state == "running":
        if ending.is_over:  # its beat moved while it was waited for, so it was alive then, whatever the clocks say
            row.ending = f"running when it was copied, and after that: {ending.text}"
    elif row.state == "silent" and manifest is not None:
        _settle_silent(row, manifest, instance, ending)


def _settle_finished(ledger: Ledger, row: Row, manifest: Manifest, instance: Instance, ending: Ending) -> None:
    """A finished recording is whole; but what was killed long after it had finished ran on without being recorded.

    A process that another one started may have ended long before its container, so of it nothing is known.
    """
    if row.parent or not ending.killed:
        return
    row.clock = row.clock or lost_seconds.clock_of(manifest, instance)
    lost = lost_seconds.since_snapshot(row, instance)
    if row.clock:
        row.note = f"it called itself finished; whether it ran on after that is not known: {row.clock}"
    elif lost is not None and lost > _LINGERING + 1:
        row.lost_seconds = lost
        row.note = (
            f"it called itself finished and ran on: {ending.text}; what ran in its last {lost:g} s at most is not "
            "recorded"
        )
        ledger.lose("retrieve", row, row.note)


def _settle_silent(row: Row, manifest: Manifest, instance: Instance, ending: Ending) -> None:
    """A process that went without its last save lost what ran since its last snapshot, or nothing if it was written."""
    row.lost_seconds = None
    doubt = _doubt(row, manifest, instance, ending)
    if row.lossless and not doubt:
        _settle_lossless(row, ending)
        return
    if not ending.is_over:
        row.note = f"{row.note}. Kubernetes says that its container still runs{f', but {doubt}' if doubt else ''}"
        return
    row.clock = row.clock or lost_seconds.clock_of(manifest, instance)
    row.lost_seconds = lost_seconds.seconds_lost(row, instance)
    row.state = "ended" if ending.killed is False else "killed" if ending.killed else "silent"
    lost = _told(row, instance)
    row.note = "; ".join(filter(None, ("without its last save" if row.state == "ended" else "", doubt, lost)))


def _told(row: Row, instance: Instance) -> str:
    """Return in words how much *row* lost with *instance*."""
    seconds = lost_seconds.since_snapshot(row, instance)
    if seconds is None:
        return f"how much is lost is not known{f': {row.clock}' if row.clock else ''}"
    if row.mode == "final":
        return f"lost is everything that it ran, in {seconds:g} s at most: nothing was saved before its end"
    lost = f"lost is what ran in its last {seconds:g} s at most"
    if row.lost_seconds is None:
        return f"{lost}, and what forked children of it had not written, which may be more"
    return f"{lost}; Kubernetes tells its end to a second"


def _settle_lossless(row: Row, ending: Ending) -> None:
    """Enter that nothing is lost of what went without its last save, or hangs."""
    row.lost_seconds = 0.0
    if not ending.is_over:
        how = "its beat does not move, and Kubernetes says that its container still runs"
    elif ending.killed is False:
        row.state, how = "ended", "ended without its last save"
    elif ending.killed or ending.cause == "force delete":
        row.state, how = "killed", "killed"
    else:
        how = "how it ended is not known"
    row.note = f"{how}; {NOTHING_LOST}"


def _doubt(row: Row, manifest: Manifest, instance: Instance, ending: Ending) -> str:
    """Return why what *row* ran last may be missing though each line of it was written before it ran, if it may be."""
    if ending.node_lost:
        return "its node was lost, and with it what was in its memory and not on its disk yet"
    if not row.lossless:
        return ""
    if ending.is_over and ending.killed is None and ending.cause == "unknown" and row.same_boot is not True:
        return "whether its machine has restarted since is not known"
    # What another process started may have ended long before its container.
    return "" if row.parent else _refused(manifest, instance)


def _refused(manifest: Manifest, instance: Instance) -> str:
    """Return why the volume may have taken no more writes when *instance* ended: then its beat could not move."""
    if instance.finished_at is None:
        return ""
    unknown = "it is not known whether the volume still took what it ran"
    since = instance.finished_at + SECOND - parse_timestamp(manifest.published_at)
    # Times that are cut off may make up for a second of what it was told late.
    stopped = (since + max(instance.lateness - SECOND, timedelta(0))).total_seconds()
    if since < timedelta(0):
        return unknown
    if stopped > max(_STALE, 3 * manifest.interval + manifest.publish_seconds):
        return f"its beat stopped {stopped:.1f} s before its end, so {unknown}"
    return ""


def loss_of(row: Row) -> str:
    """Return what is lost of a process that went without its last save, and why."""
    if not row.ending or row.cause == "running":
        return row.note
    which = f"restart {row.restart} of container {row.container}: " if row.restart is not None else ""
    return f"{which}{row.ending}; {row.note}"


def _unmatched(found: Found, known: Known) -> str:
    """Return what there is to say of a recording of which nobody saw the container."""
    pod = found.manifest.pod if found.manifest else None
    if pod is None or not pod.uid:
        return "unknown: it names no pod"
    if pod.uid in known.pods:
        return "unknown: Kubernetes keeps one ending for each container, and this was an earlier one"
    if events := known.events.get(pod.uid):
        return f"unknown: its pod was gone before anybody looked; its last event: {events[-1].message}"
    return "unknown: its pod was gone before anybody looked"


def _recorded_on(known: Known) -> set[str]:
    """Return the claims of containers that say that they record."""
    return {claim for each in known.instances() if _is_on(each.enabled) for claim in each.claims}


def _is_on(setting: str | None) -> bool:
    return setting is not None and setting.strip().lower() in _ON


def _enter_missing(ledger: Ledger, instance: Instance, ending: Ending, moments: Moments, *, asked: bool) -> None:
    """Enter an expected process that left nothing."""
    pod = instance.pod.last
    where = f"restart {instance.restart} of container {instance.container} in pod {pod.namespace}/{pod.name}"
    if _began_later(instance, moments):
        ledger.note("retrieve", f"{where} began after the volume was listed, so it is not part of this collect")
        return
    row = Row(
        recording="",
        pod=f"{pod.namespace}/{pod.name}",
        container=instance.container,
        state="missing",
        cause=ending.cause,
        ending=ending.text,
        restart=instance.restart,
        exit_code=ending.exit_code,
        asked=asked,
        note="never announced itself",
    )
    ledger.rows.append(row)
    ran = f"ran from {_shown(instance.started_at)} to {_shown(instance.finished_at)}"
    reason = "has not announced itself yet" if not ending.is_over else _NEVER_ANNOUNCED
    ledger.lose("retrieve", row, f"{where} ({ending.text}; {ran}) {reason}")


def _began_later(instance: Instance, moments: Moments) -> bool:
    """Return whether *instance* began after the volume was listed; not by a clock ahead of the one here."""
    began, seen = instance.started_at, instance.seen_at
    return began is not None and min(began, seen) >= moments.listed and not clocks.is_ahead(began, seen)


def _shown(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else "an unknown time"


def _judge_completeness(
    ledger: Ledger, testimony: Testimony, mine: list[Instance], unseen: list[str], moments: Moments
) -> None:
    """Say whether every process of this run is in the ledger, or what is missing for a proof."""
    reason = next(_doubts(testimony, mine, unseen, moments), "")
    ledger.proven = not reason
    if reason:
        ledger.completeness = f"unproven: {reason}"
        return
    since, until = testimony.header.started_at, testimony.confirmed["pods"]
    ledger.completeness = (
        f"proven: namespace {testimony.header.namespace} was watched without a gap from {_shown(since)} to "
        f"{_shown(until)}, and each of the {len(mine)} processes that ran there is named here"
    )


def _doubts(testimony: Testimony, mine: list[Instance], unseen: list[str], moments: Moments) -> Iterator[str]:
    """Yield the reasons why there may be somebody whom nobody saw."""
    started = _shown(testimony.header.started_at)
    confirmed = testimony.confirmed.get("pods", testimony.header.started_at)
    if testimony.asked:
        yield "nobody watched the cluster; it was asked afterwards, and it forgets a deleted pod at once"
    if gap := _gap_among(testimony, {each.pod.last.uid for each in mine}):
        yield f"the witness saw nothing from {_shown(gap.since)} to {_shown(gap.until)}: {gap.reason}"
    for instance in mine:
        if instance.listed:
            yield f"the witness started at {started}, and pod {instance.pod.last.name} ran already"
    if unseen:
        yield f"the witness, which started at {started}, did not see the process of {', '.join(unseen)}"
    if confirmed < moments.copied:
        why = "it was stopped" if testimony.stopped == "" else testimony.stopped or "it says nothing more"
        yield f"the witness saw nothing after {_shown(confirmed)}, before everything was copied: {why}"
    if not mine:
        yield "the witness saw no pod that records on this volume"


def _gap_among(testimony: Testimony, pods: set[str]) -> Gap | None:
    """Return the first gap after one of *pods* was seen: before that, nobody can have been missed but them."""
    seen = False
    for entry in testimony.entries:
        if isinstance(entry, Seen):
            seen = seen or (isinstance(entry.what, Pod) and entry.what.uid in pods)
        elif seen and entry.kind == "pods":
            return entry
    return None
