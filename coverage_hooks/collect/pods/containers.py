"""From what was observed to who was there: every container that ran, once, with all that is known of its end.

::

    testimony ──> gather ──> Known ── pods ── instances        one for each start of a container
                               └───── events of controllers    which say why a pod was deleted

A container that is started again is another instance: its recording is another one too. An instance that nobody saw,
but whose number is skipped in the count of restarts, is an instance all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from coverage_hooks.collect.pods.objects import Change, Container, Ended, Event, Pod, claims_of
from coverage_hooks.collect.pods.watchlog import Gap, Seen, Testimony

#: Kubernetes cuts its times off at whole seconds, so what it calls a moment is a second.
SECOND = timedelta(seconds=1)

#: What a kubelet writes when it does not find the container any more; the exit code beside it is invented.
LOST_SIGHT = "ContainerStatusUnknown"


@dataclass(slots=True, kw_only=True)
class Instance:
    """One start of a container: number `restart`, counted from 0.

    `listed` says that it was there before anybody watched, so that nobody knows what was there before it. Without
    `started_at` nobody saw it; only the count of restarts tells of it. `seen_at` is when it was first known of, and
    `told_began` and `told_ended` are when a witness was told of both ends, if it was told at once, all by the clock
    here; the other times are those of its node.
    """

    pod: TrackedPod
    container: str
    restart: int
    container_id: str
    listed: bool
    claims: frozenset[str]
    enabled: str | None
    run: str | None
    seen_at: datetime
    started_at: datetime | None = None
    ended: Ended | None = None
    told_began: datetime | None = None
    told_ended: datetime | None = None

    @property
    def never_started(self) -> bool:
        """Whether no process ever ran: it could not be started, or its pod was deleted before it was."""
        if self.ended is None:
            return False
        unknown = self.ended.reason == LOST_SIGHT and not self.container_id and self.started_at is None
        return unknown or self.ended.reason in {"StartError", "ContainerCannotRun"}

    @property
    def is_set_back(self) -> bool:
        """Whether the clock of its node was set back while it ran, so that it ended before it began."""
        began, ended = self.started_at, self.finished_at
        return began is not None and ended is not None and ended < began

    @property
    def lateness(self) -> timedelta:
        """How much more passed between its ends by the clock here than by that of its node; 0 where it is not known.

        It is more when the clock of the node was set back meanwhile, or the end was told late.
        """
        if not (self.started_at and self.finished_at and self.told_began and self.told_ended):
            return timedelta(0)
        return (self.told_ended - self.told_began) - (self.finished_at - self.started_at)

    @property
    def finished_at(self) -> datetime | None:
        """When it ended, up to a second later; when the next one began, if only that is known; else None."""
        if self.ended is not None and self.ended.finished_at is not None:
            return self.ended.finished_at
        later = (each for each in self.pod.of_container(self.container) if each.restart > self.restart)
        return next((each.started_at for each in later if each.started_at is not None), None)


@dataclass(slots=True, kw_only=True)
class TrackedPod:
    """A pod from the first to the last time that it was seen.

    `asked_at` is when somebody asked for its deletion, and `grace` how many seconds it was given, both as first seen:
    when a pod is removed, Kubernetes sets its grace to 0, however long it was. `fate` is `deleted` when its end was
    seen, and `gone` when it ended while nobody watched.
    """

    last: Pod
    asked_at: datetime | None = None
    grace: int | None = None
    fate: Literal["there", "deleted", "gone"] = "there"
    fate_at: datetime | None = None
    instances: list[Instance] = field(default_factory=list)

    def see(self, at: datetime, change: Change, pod: Pod, *, at_once: bool) -> None:
        """Add an observation, of what had just happened if it was made *at_once*."""
        if change in {"DELETED", "GONE"}:
            self.fate, self.fate_at = ("deleted" if change == "DELETED" else "gone"), at
        if change == "GONE":
            return  # which says nothing else
        self.last = pod
        if pod.deletion is not None and self.asked_at is None:
            self.grace = pod.grace or 0
            self.asked_at = pod.deletion - timedelta(seconds=self.grace)
        for container in pod.containers:
            self._see_container(container, at, listed=change == "LISTED", told=at if at_once else None)

    def of_container(self, name: str) -> list[Instance]:
        """Return the instances of a container in order; of all that record, if *name* is empty."""
        found = [each for each in self.instances if each.container == name or (not name and each.claims)]
        return sorted(found, key=lambda each: (each.container, each.restart))

    def _see_container(self, container: Container, at: datetime, *, listed: bool, told: datetime | None) -> None:
        if container.last is not None:
            waits = container.running_since is None and container.ended is None
            same = container.last.container_id == container.container_id
            number = container.restarts if waits and same else max(0, container.restarts - 1)
            identity = container.last.container_id
            self._end(self._instance(container, identity, number, at, listed=listed), container.last, told)
        if container.ended is not None:
            identity = container.ended.container_id or container.container_id
            instance = self._instance(container, identity, container.restarts, at, listed=listed)
            self._end(instance, container.ended, told)
        elif container.running_since is not None:
            instance = self._instance(container, container.container_id, container.restarts, at, listed=listed)
            if instance.started_at is None:
                instance.told_began = told
            instance.started_at = container.running_since

    @staticmethod
    def _end(instance: Instance, ended: Ended, told: datetime | None) -> None:
        if instance.ended is None and ended.finished_at is not None:
            instance.told_ended = told
        instance.ended = ended
        instance.started_at = ended.started_at or instance.started_at

    def _instance(self, container: Container, identity: str, number: int, at: datetime, *, listed: bool) -> Instance:
        mine = [each for each in self.instances if each.container == container.name]
        for each in mine:
            if identity == each.container_id or (each.restart == number and not (identity and each.container_id)):
                each.container_id = each.container_id or identity
                return each
        # Numbers that were skipped while somebody watched were instances too, that came and went between two looks.
        first = max(each.restart for each in mine) + 1 if mine else number if listed else 0
        for missed in (*range(first, number), number):
            made = Instance(
                pod=self,
                container=container.name,
                restart=missed,
                container_id=identity if missed == number else "",
                listed=listed,
                claims=frozenset(claims_of(container)),
                enabled=container.enabled,
                run=container.run,
                seen_at=at,
            )
            self.instances.append(made)
        return made


@dataclass(slots=True, kw_only=True)
class Known:
    """Everything observed, by what it is about; events are in the order in which they were seen."""

    pods: dict[str, TrackedPod] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    deletions: list[Event] = field(default_factory=list)
    scalings: list[Event] = field(default_factory=list)

    def instances(self) -> Iterator[Instance]:
        """Yield the instances of all pods that are not the tool's own."""
        for pod in self.pods.values():
            if not pod.last.is_ours:
                yield from pod.instances


def gather(testimony: Testimony) -> Known:
    """Return who was there according to *testimony*."""
    known = Known()
    for entry in testimony.entries:
        if isinstance(entry, Gap):
            continue
        if isinstance(entry.what, Pod):
            _gather_pod(known, entry, entry.what)
        elif entry.what.kind == "Pod":
            known.events.setdefault(entry.what.uid, []).append(entry.what)
        elif entry.what.reason == "SuccessfulDelete":
            known.deletions.append(entry.what)
        else:
            known.scalings.append(entry.what)
    return known


def _gather_pod(known: Known, entry: Seen, pod: Pod) -> None:
    if pod.uid not in known.pods:
        known.pods[pod.uid] = TrackedPod(last=pod)
    known.pods[pod.uid].see(entry.at, entry.change, pod, at_once=entry.at_once)
