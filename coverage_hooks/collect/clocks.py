"""Whether clocks agree by which seconds are counted: that of the pod and its node, of the volume, and the one here.

Any of them may be set back, or never have been right. What is counted by two that do not agree is unknown, and is
called so, with the reason; no number is made of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from coverage_hooks.volume.manifest import Manifest, parse_timestamp

#: By how much clocks differ that are set over a network, and times of file systems that keep whole seconds.
SLACK = timedelta(seconds=5)


def of_pod(manifest: Manifest) -> str:
    """Return why the times in *manifest* are not those of one clock; empty when they may be."""
    started, snapshot, published = map(
        parse_timestamp, (manifest.started_at, manifest.snapshot_at, manifest.published_at)
    )
    if started <= snapshot <= published:
        return ""
    return (
        f"the clock of its pod was set back while it ran: it began at {manifest.started_at}, its last snapshot is of "
        f"{manifest.snapshot_at}, and was published by {manifest.published_at}"
    )


def of_file(manifest: Manifest, age: float, read: datetime) -> str:
    """Return why it is not known how long ago *manifest* was written; empty when its times and its file agree.

    *age* is that of its file in seconds, when it was *read* by the clock here.
    """
    if age < 0:
        return "its file was written at a time that is yet to come by the clock here"
    written = read - timedelta(seconds=age)
    if abs(written - parse_timestamp(manifest.published_at)) <= SLACK:
        return ""
    return (
        f"by the clock of its pod it was written at {manifest.published_at}, by that of its file {age:.1f} s ago, and "
        f"here it was {read:%Y-%m-%dT%H:%M:%SZ}: the clocks differ, or the file was copied"
    )


def is_ahead(moment: datetime, now: datetime) -> bool:
    """Return whether *moment* is yet to come by the clock here, which shows *now*."""
    return moment > now + SLACK
