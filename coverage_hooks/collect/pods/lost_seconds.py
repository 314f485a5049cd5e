"""How much of what a process ran is lost by its end, at most: the one place that counts it.

A snapshot is dated by the moment before it is begun, and counts once all of it is on the disk, so what ran before it is
on the volume. What is lost ran after the last one, and before the end::

    lost <= end - last snapshot

No other number is an upper bound. An interval is none, nor is what the last save took: the next one may hang, be kept
waiting by a call that holds the interpreter's lock, or be stopped with its process, for as long as that lasts.

Both times are of one clock, that of the node. It cuts the end off to a second, so a second is added, and the result is
rounded up. It is unknown, and never 0, where nobody saw the end, where that clock was set meanwhile, and where the
process had forked: its children have no snapshots. Those that it forked after its last manifest have run nothing before
the snapshot of that, so they count like the process itself.
"""

from __future__ import annotations

import math
from datetime import timedelta

from coverage_hooks.collect import clocks
from coverage_hooks.collect.ledger import Row
from coverage_hooks.collect.pods.containers import SECOND, Instance
from coverage_hooks.volume.manifest import Manifest, parse_timestamp


def since_snapshot(row: Row, instance: Instance) -> float | None:
    """Return the seconds from the last snapshot of *row* to the end of *instance*, at most; None if it is unknown.

    Forked children of it may have lost more; see `seconds_lost`.
    """
    if instance.finished_at is None or not row.saved_at or row.clock:
        return None
    seconds = (instance.finished_at + SECOND - parse_timestamp(row.saved_at)).total_seconds()
    return max(math.ceil(round(seconds * 10, 4)) / 10, 0.1)  # 0 would say that nothing is lost


def seconds_lost(row: Row, instance: Instance) -> float | None:
    """Return the most that the process of *row* and its forked children lost, in seconds; None if it is unknown.

    For one that went without its last save, and may have lost something.
    """
    return None if row.forks and row.mode != "final" else since_snapshot(row, instance)


def clock_of(manifest: Manifest, instance: Instance) -> str:
    """Return why seconds until the end of *instance* cannot be counted by the clock of its node, if they cannot."""
    ended = instance.finished_at
    if ended is None:
        return ""
    if ended + SECOND < parse_timestamp(manifest.published_at):
        beat = f"its last beat of {manifest.published_at}"
        return f"its container ended at {ended:%Y-%m-%dT%H:%M:%SZ}, before {beat}: its clock was set back"
    if abs(late := instance.lateness) > clocks.SLACK:
        when = f"{abs(late).total_seconds():.0f} s {'later' if late > timedelta(0) else 'earlier'}"
        return f"its end was told {when} than by the clock of its node: a clock was set, or it was told late"
    return ""
