"""What happens when: Kopf's handlers."""

from __future__ import annotations

import itertools
from typing import Any

import kopf

from another_operator import drawing, pages
from another_operator.cluster import Cluster

BANNERS = "example.com", "v1", "banners"
REPAIR_EVERY = 2.0
GREET_EVERY = 1.0


@kopf.on.startup()
async def connect(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Set Kopf up, and connect."""
    settings.posting.enabled = False
    settings.execution.max_workers = 4
    # A banner that is deleted while its timer runs is looked at again after this time; Kopf's default is a minute.
    settings.background.cancellation_polling = 0.5
    settings.persistence.finalizer = "example.com/banners"
    memo.cluster = await Cluster.connect()


@kopf.on.cleanup()
async def disconnect(memo: Any, **_: Any) -> None:
    """Close the connection."""
    await memo.cluster.close()


@kopf.on.create(*BANNERS, id="check")
@kopf.on.update(*BANNERS, id="check", field="spec")
def check(*, spec: kopf.Spec, meta: kopf.Meta, patch: kopf.Patch, **_: Any) -> None:
    """Refuse a banner that cannot be drawn. Runs in a thread: reading may take its time."""
    try:
        drawing.read(spec)
    except drawing.SpecError as error:
        patch.status.update(pages.status("Refused", str(error), meta.get("generation")))
        raise kopf.PermanentError(str(error)) from error


@kopf.on.create(*BANNERS, id="publish")
@kopf.on.update(*BANNERS, id="publish", field="spec")
@kopf.on.resume(*BANNERS, id="publish")
async def publish(*, body: kopf.Body, patch: kopf.Patch, memo: Any, logger: kopf.Logger, **_: Any) -> None:
    """Make the ConfigMaps what the spec says."""
    banner = drawing.readable(body.spec)
    if banner is None:
        return
    changed = await _settle(memo.cluster, banner, body)
    message = f"{banner.copies} in {', '.join(banner.languages)}"
    patch.status.update(pages.status("Published", message, body.metadata.get("generation")))
    logger.info("Published: %s (%d changes)", message, changed)


@kopf.on.field(*BANNERS, field="spec.frame")
def remember_frame(*, old: Any, new: Any, status: kopf.Status, patch: kopf.Patch, **_: Any) -> None:
    """Keep the last three frames in the status. Runs in a thread."""
    frames = [*status.get("frames", []), new or "none"]
    if old is not None and new == "stars":
        patch.status["regret"] = f"it used to be {old}"
    patch.status["frames"] = frames[-3:]


@kopf.timer(*BANNERS, interval=REPAIR_EVERY, initial_delay=REPAIR_EVERY)
async def repair(*, body: kopf.Body, patch: kopf.Patch, memo: Any, logger: kopf.Logger, **_: Any) -> None:
    """Put back what somebody changed or deleted."""
    banner = drawing.readable(body.spec)
    if banner is None or body.status.get("phase") != "Published":
        return
    if changed := await _settle(memo.cluster, banner, body):
        patch.status["repairs"] = body.status.get("repairs", 0) + changed
        logger.warning("Repaired %d ConfigMaps", changed)


@kopf.daemon(*BANNERS, cancellation_timeout=5.0)
async def greet(*, stopped: kopf.DaemonStopped, body: kopf.Body, memo: Any, **_: Any) -> None:
    """Say hello in the status, in one language after the other, for as long as the banner exists."""
    for turn in itertools.count():
        banner = drawing.readable(body.spec)
        if banner is not None:
            language = banner.languages[turn % len(banner.languages)]
            greeting = {"greeting": drawing.GREETINGS[language], "greetings": turn + 1}
            await memo.cluster.set_status(*_place(body), greeting)
        if await stopped.wait(GREET_EVERY):
            return


@kopf.on.delete(*BANNERS)
async def withdraw(*, body: kopf.Body, memo: Any, logger: kopf.Logger, **_: Any) -> None:
    """Delete the ConfigMaps at once, instead of when the garbage collector comes by."""
    namespace, name = _place(body)
    published = await memo.cluster.pages(namespace, name)
    for page in published:
        await memo.cluster.delete(namespace, page)
    logger.info("Withdrew %d ConfigMaps", len(published))


async def _settle(cluster: Cluster, banner: drawing.Banner, body: kopf.Body) -> int:
    """Write and delete what differs; return how many ConfigMaps that were."""
    namespace, name = _place(body)
    wanted = pages.wanted(name, banner)
    write, delete = pages.differences(wanted, await cluster.pages(namespace, name))
    for page in write:
        config_map = pages.config_map(page, wanted[page], body.metadata)
        kopf.append_owner_reference(config_map, owner=body)
        await cluster.write(config_map)
    for page in delete:
        await cluster.delete(namespace, page)
    return len(write) + len(delete)


def _place(body: kopf.Body) -> tuple[str, str]:
    return str(body.metadata.namespace), str(body.metadata.name)
