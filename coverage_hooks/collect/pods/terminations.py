"""Why a container ended, as far as Kubernetes tells: its own status, its pod's, and events.

The status says how (exit code, out of memory), never why. Why is in the pod (deletion, disruption, reason) or only in
an event; where neither says anything, nothing is guessed: the cause is unknown. The status is what the node reports, so
an out-of-memory kill of a child, which it does not report, is never claimed.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from coverage_hooks.collect.pods.containers import LOST_SIGHT, SECOND, Instance, Known
from coverage_hooks.collect.pods.objects import Ended, Event

Cause = Literal[
    "running",
    "exited",
    "killed",
    "out of memory",
    "probe",
    "deleted",
    "grace overrun",
    "force delete",
    "eviction",
    "kubelet eviction",
    "deadline",
    "node lost",
    "rollout",
    "scaled down",
    "unknown",
]

#: A cause, and in words what Kubernetes says of it.
Why = tuple[Cause, str]

#: The exit code of a process that was killed, by whomever.
_SIGKILL = 128 + signal.SIGKILL


_DISRUPTIONS: dict[str, tuple[Cause, str]] = {
    "EvictionByEvictionAPI": ("eviction", "evicted through the eviction API, as a drain does"),
    "PreemptionByScheduler": ("eviction", "evicted for a pod of higher priority"),
    "DeletionByTaintManager": ("eviction", "evicted because of a taint of its node"),
    "DeletionByPodGC": ("node lost", "removed by the garbage collection of pods, as its node is gone"),
    "TerminationByKubelet": ("kubelet eviction", "ended by the kubelet"),
}


#: What a container runtime writes of a container that it finds gone, as after a restart of its machine; the exit code
#: beside it, and the time, are made up.
_UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How and why an instance ended; `killed` says whether a signal ended it, and None that nobody knows how.

    With `node_lost` its node did not answer when it was last heard of, so what was in the memory of that may be lost.
    """

    cause: Cause
    text: str
    killed: bool | None
    exit_code: int | None
    node_lost: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it ended, as far as anybody knows."""
        return self.cause != "running"


def ending_of(instance: Instance, known: Known) -> Ending:
    """Return how *instance* ended."""
    ended = instance.ended
    if lost := _lost_node(instance, known):
        return _with_its_node(instance, lost)
    if ended is None:
        return _without_status(instance, known)
    cause, why = _why(instance, ended, known)
    text = f"{why}; {how(ended)}" if why else how(ended)
    if _is_made_up(ended):
        return Ending(cause=cause, text=text, killed=None, exit_code=None)
    return Ending(cause=cause, text=text, killed=_is_killed(ended), exit_code=ended.exit_code)


def how(ended: Ended) -> str:
    """Return how a container ended, in words."""
    if ended.reason == LOST_SIGHT:
        return "its exit code is not known: its node lost sight of it"
    if ended.reason == _UNKNOWN:
        return "its exit code is not known: it was gone when its container runtime looked, as after a restart"
    if _is_out_of_memory(ended):
        return "killed, out of memory (OOMKilled)"
    if ended.reason == "OOMKilled":
        # A container runtime says so of any container in which something was killed for memory, whatever that was.
        return f"exit code {ended.exit_code}; something that its first process started was killed for memory before"
    if number := ended.signal or (ended.exit_code - 128 if 128 < ended.exit_code <= 128 + signal.NSIG else 0):
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return f"killed by {name} (exit code {ended.exit_code})"
    return f"exit code {ended.exit_code}"


def _lost_node(instance: Instance, known: Known) -> str:
    """Return what says that the node of *instance* was lost; empty when nothing does, or its kubelet saw the end."""
    pod, ended = instance.pod, instance.ended
    is_last = instance is pod.of_container(instance.container)[-1]
    reason = pod.last.disruption[0] if pod.last.disruption is not None and is_last else ""
    if reason == "DeletionByPodGC":  # of what was seen to end, too: its node went soon after
        return _DISRUPTIONS[reason][1]
    if ended is not None and not _is_made_up(ended):
        return ""
    if reason == "DeletionByTaintManager":
        return f"{_DISRUPTIONS[reason][1]}, which has not told its end"
    if pod.last.reason == "NodeLost" and is_last:
        return f"its node was lost: {_sentence(pod.last.message)}"
    told = [event for event in known.events.get(pod.last.uid, ()) if event.reason == "NodeNotReady"]
    return "its node was not ready (NodeNotReady)" if _during(instance, told) else ""


def _with_its_node(instance: Instance, lost: str) -> Ending:
    """Return how an instance ended whose node was *lost*, as far as that is known."""
    ended = instance.ended
    if ended is not None and not _is_made_up(ended):
        text = f"{lost}; {how(ended)}"
        return Ending(cause="node lost", text=text, killed=_is_killed(ended), exit_code=ended.exit_code, node_lost=True)
    if ended is None and instance.pod.fate == "there" and instance is instance.pod.of_container(instance.container)[-1]:
        text = f"running, as far as Kubernetes knows: {lost}"
        return Ending(cause="running", text=text, killed=None, exit_code=None, node_lost=True)
    text = f"{lost}; {how(ended) if ended else 'its exit code was never told'}"
    return Ending(cause="node lost", text=text, killed=None, exit_code=None, node_lost=True)


def _without_status(instance: Instance, known: Known) -> Ending:
    """Return what is known of an instance whose status Kubernetes never told, or has not yet."""
    pod = instance.pod
    if instance is not pod.of_container(instance.container)[-1]:
        # Not even the last state has it always: a kubelet may have removed the dead container before it looked.
        event = _during(instance, [each for each in known.events.get(pod.last.uid, ()) if _is_restart(each, instance)])
        why = f"restarted by the kubelet: {_sentence(event.message)}" if event else "restarted"
        text = f"{why}; its exit code was never told"
        return Ending(cause="probe" if event else "unknown", text=text, killed=None, exit_code=None)
    if pod.fate == "gone":
        text = "gone while nobody watched: its end is not known"
        return Ending(cause="unknown", text=text, killed=None, exit_code=None)
    if pod.fate == "deleted":
        forced = pod.grace == 0
        text = "deleted by force" if forced else "removed from Kubernetes"
        return Ending(
            cause="force delete" if forced else "unknown",
            text=f"{text} while it ran: its exit code was never known, and it may have run on",
            killed=None,
            exit_code=None,
        )
    return Ending(cause="running", text="running", killed=None, exit_code=None)


def _why(instance: Instance, ended: Ended, known: Known) -> Why:
    """Return the cause, and in words what Kubernetes says of it."""
    events = known.events.get(instance.pod.last.uid, [])
    why = _why_failed(instance, events) or _why_restarted(instance, ended, events)
    if why is None and _is_asked_to_go(instance, ended):
        why = _why_deleted(instance, ended, known)
    return why or _by_itself(ended)


def _why_failed(instance: Instance, events: list[Event]) -> Why | None:
    """Return why the whole pod was ended by its kubelet, if it was; its earlier restarts ended of something else."""
    pod = instance.pod.last
    # A kubelet that lost sight of an evicted container counts a restart that it never made.
    later = (each for each in instance.pod.of_container(instance.container) if each.restart > instance.restart)
    if any(not each.never_started for each in later):
        return None
    told = [event for event in events if event.reason in {"Evicted", "DeadlineExceeded"}]
    event = _during(instance, told)
    reason = pod.reason if pod.phase == "Failed" and (event or not told) else event.reason if event else ""
    if reason == "DeadlineExceeded":
        return "deadline", "ended at the deadline of its pod (activeDeadlineSeconds)"
    if reason == "Evicted":
        # A pod that ends by itself when it is told to is not always marked as evicted: then only the event tells.
        return (
            "kubelet eviction",
            f"evicted by the kubelet: {_sentence(pod.message or (event.message if event else ''))}",
        )
    if reason:
        return "unknown", f"its pod failed: {reason}: {_sentence(pod.message)}"
    return None


def _why_restarted(instance: Instance, ended: Ended, events: list[Event]) -> Why | None:
    """Return why the kubelet restarted the container, which only an event tells."""
    told = [each for each in events if _is_restart(each, instance)]
    before = next(
        (each for each in instance.pod.of_container(instance.container) if each.restart == instance.restart - 1), None
    )
    event = _during(instance, told, before)
    if event is None:
        return None
    manner = "it did not end on SIGTERM" if ended.exit_code == _SIGKILL else "it ended on SIGTERM"
    return "probe", f"restarted by the kubelet: {_sentence(event.message)}; {manner}"


def _by_itself(ended: Ended) -> Why:
    if _is_made_up(ended):
        return "unknown", ""
    if _is_out_of_memory(ended):
        return "out of memory", ""
    if _is_killed(ended):
        return "killed", "Kubernetes does not say why"
    return "exited", ""


def _why_deleted(instance: Instance, ended: Ended, known: Known) -> Why:
    pod = instance.pod
    cause, why = _who_deleted(instance, known)
    if _is_out_of_memory(ended):
        return "out of memory", why
    if ended.exit_code == _SIGKILL and _is_over_its_grace(instance, ended):
        return "grace overrun", f"{why}; its grace of {pod.grace} s was over"
    return cause, why


def _who_deleted(instance: Instance, known: Known) -> Why:
    pod = instance.pod
    if pod.last.disruption is not None:
        reason, message = pod.last.disruption
        return _DISRUPTIONS.get(reason, ("eviction", f"disrupted: {reason}: {_sentence(message)}"))
    if pod.last.owner is not None:
        kind, name = pod.last.owner
        for event in known.deletions:
            if (event.kind, event.name) == (kind, name) and pod.last.name in event.message.replace(":", " ").split():
                return (
                    _who_scaled(name, known) if kind == "ReplicaSet" else ("deleted", f"deleted by its {kind} {name}")
                )
    return "deleted", "deleted"


def _who_scaled(replicas: str, known: Known) -> Why:
    """Return whether ReplicaSet *replicas* deleted a pod because another one replaces it."""
    changes = [event for event in known.scalings if f" replica set {replicas} " in event.message]
    down = next((event for event in changes if "Scaled down " in event.message), None)
    if down is None:
        return "scaled down", f"deleted by its ReplicaSet {replicas}"
    if any(_replaces(other, changes, down) for other in known.scalings if other not in changes):
        return "rollout", f"replaced in a rollout of Deployment {down.name}"
    return "scaled down", f"deleted as Deployment {down.name} was scaled down"


def _replaces(other: Event, changes: list[Event], down: Event) -> bool:
    """Return whether *other* tells of a ReplicaSet that grows after this one last did, at the time it goes *down*."""
    if other.name != down.name or "Scaled up replica set " not in other.message or other.last is None:
        return False
    grown = [event.last for event in changes if "Scaled up " in event.message and event.last is not None]
    return all(other.last >= each for each in grown) and _is_about(other, down)


def _is_about(one: Event, other: Event) -> bool:
    """Return whether both events are of one change of a Deployment: those of a rollout follow each other closely."""
    if one.last is None or other.last is None:
        return False
    return abs((one.last - other.last).total_seconds()) <= _ROLLOUT_SECONDS


#: How far apart scaling one ReplicaSet up and the other down may be; progress of a rollout is waited for ten minutes.
_ROLLOUT_SECONDS = 600


def _is_restart(event: Event, instance: Instance) -> bool:
    """Return whether *event* says that the kubelet ended the container to start it again, as after a failed probe."""
    about = event.field.endswith(f"{{{instance.container}}}")
    return about and event.reason == "Killing" and not event.message.startswith("Stopping container")


def _during(instance: Instance, events: list[Event], before: Instance | None = None) -> Event | None:
    """Return the newest of *events* that happened while *instance* ran, and not while *before* did.

    An event that recurred is one object: of what happened between its first and last time, it tells only how often.
    What happened in the second in which one instance ended and the next began is what ended the first.
    """
    for event in reversed(events):
        for moment in (event.last, event.first):
            if _ran_at(instance, moment) and not (before is not None and _ran_at(before, moment)):
                return event
    return None


def _ran_at(instance: Instance, moment: datetime | None) -> bool:
    if moment is None or instance.started_at is None or moment < instance.started_at:
        return False
    return instance.finished_at is None or moment <= instance.finished_at + SECOND


def _is_asked_to_go(instance: Instance, ended: Ended) -> bool:
    asked_at = instance.pod.asked_at
    if asked_at is None:
        return False
    return ended.finished_at is None or ended.finished_at >= asked_at


def _is_over_its_grace(instance: Instance, ended: Ended) -> bool:
    asked_at, grace = instance.pod.asked_at, instance.pod.grace
    if asked_at is None or grace is None or ended.finished_at is None:
        return False
    return (ended.finished_at + SECOND - asked_at).total_seconds() >= grace


def _is_made_up(ended: Ended) -> bool:
    """Whether nobody saw the end, so that its exit code says nothing."""
    return ended.reason in {LOST_SIGHT, _UNKNOWN}


def _is_killed(ended: Ended) -> bool:
    return ended.signal != 0 or ended.exit_code > 128


def _is_out_of_memory(ended: Ended) -> bool:
    return ended.reason == "OOMKilled" and _is_killed(ended)


def _sentence(text: str) -> str:
    return text.strip().rstrip(".") or "it does not say why"
