"""One loop per resource: reconcile, report, wait for a change or for the next look.

A single loop does creation, updates, retries and the search for drift, so nothing of one resource ever runs twice at
the same time; the deletion handler takes the same lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import logging
import math
from collections.abc import Mapping
from typing import Any

import kopf

from keycloak_operator import metrics
from keycloak_operator.errors import ClusterError, InternalError, InvalidSpecError, OperatorError
from keycloak_operator.handlers.kinds import KINDS, Kind
from keycloak_operator.handlers.pauses import Pauses
from keycloak_operator.handlers.report import Report
from keycloak_operator.reconcile.outcome import Outcome
from keycloak_operator.resources import GROUP, VERSION, InvalidSpec, Resource, Status


class Loop:
    """What the handlers of one resource share."""

    def __init__(self, kind: Kind, memo: kopf.Memo) -> None:
        self.kind = kind
        self.world = memo.world
        self.waiting: set[Loop] = memo.waiting
        self.lock = asyncio.Lock()
        self.changed = asyncio.Event()
        self.pauses = Pauses(memo.settings.resync)
        self.generation = -1
        self.report: Report | None = None

    @classmethod
    def of(cls, kind: Kind, memo: kopf.Memo) -> Loop:
        """Return the one of the resource that *memo* belongs to."""
        if "loop" not in memo:
            memo.loop = cls(kind, memo)
        loop: Loop = memo.loop
        return loop

    async def reconcile(self, body: kopf.Body, logger: kopf.Logger) -> float:
        """Reconcile once, and return the pause before the next time in seconds."""
        async with metrics.turn(self.kind.name, body.metadata["uid"], self.lock) as turn:
            # Kopf puts a newer one into *body* at any moment: what is reported must be about what was carried out.
            body = kopf.Body(copy.deepcopy(dict(body)))  # type: ignore[arg-type]  # Kopf asks for its own shape
            if self.changed.is_set():
                self.pauses.fall_in_step()
            self.changed.clear()
            self.waiting.discard(self)
            self.generation = body.metadata["generation"]
            report = self.report = self.report or Report(self.kind, self.world.cluster, body)
            try:
                return await self._once(body, report, logger, turn)
            except ClusterError as error:  # the status cannot be read or written, so it cannot say why
                turn.failed(error.reason)
                logger.warning("%s: %s", error.reason, error)
                return self.pauses.failed(error.retry)

    async def _once(self, body: kopf.Body, report: Report, logger: kopf.Logger, turn: metrics.Turn) -> float:
        await report.refresh(body)
        try:
            outcome = await self._reconciled(body, report, logger)
        except OperatorError as error:
            turn.failed(error.reason)
            news = await report.failed(body, error)
            level = logging.WARNING if error.warns else logging.INFO
            logger.log(level if news else logging.DEBUG, "%s: %s", error.reason, error)
            if error.retry == "soon":
                self.waiting.add(self)
            if news:  # a realm that is there, and not as declared, is all that its clients wait for
                self._wake_who_waits()
            return self.pauses.failed(error.retry, error.retry_after)
        if await report.synced(body, outcome):
            self._wake_who_waits()
        return self.pauses.well()

    async def _reconciled(self, body: kopf.Body, report: Report, logger: kopf.Logger) -> Outcome:
        try:
            outcome: Outcome = await self.kind.reconcile(self.world, parse(self.kind, body, report.status))
        except OperatorError:
            raise
        except Exception as error:
            # Told by its type alone: the words of an error may hold what is in a Secret.
            logger.exception("This is a fault of the operator")
            raise InternalError(f"the operator met an unexpected {type(error).__name__}; its log says where") from None
        return outcome

    def first_pause(self, body: kopf.Body) -> float:
        """Return the pause before the first look: none, unless all was well when the operator was last there.

        So a start asks no more of Keycloak than any other time does, and what is new or not Ready is not kept waiting.
        """
        if not is_well(body):
            return 0.0
        self.generation = body.metadata["generation"]
        self.changed.clear()  # what Kopf has told so far is in the body
        return self.pauses.first()

    def _wake_who_waits(self) -> None:
        """Let everything that waits for something look whether it was this: a child for its parent, mostly."""
        for loop in self.waiting - {self}:
            loop.changed.set()

    async def pause(self, seconds: float, stopped: kopf.DaemonStopped) -> None:
        """Wait for *seconds*, a change of the resource, or its end."""
        waits = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(self.changed.wait())]
        await asyncio.wait(waits, timeout=None if seconds == math.inf else seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await wait


def parse(kind: Kind, body: Mapping[str, Any], status: Mapping[str, Any]) -> Resource:
    """Return the resource that *body* describes, with the *status* that was written last.

    What Kopf has seen of the status may be older than that.
    """
    try:
        return kind.model.parse({**body, "status": dict(status)})
    except InvalidSpec as error:
        raise InvalidSpecError(str(error)) from None


def is_well(body: Mapping[str, Any]) -> bool:
    """Return whether the status in *body* says that the present spec is carried out."""
    status, generation = Status.of(body), body["metadata"]["generation"]
    ready = status.condition()
    return ready is not None and ready.status == "True" and status.observed_generation == generation


def register() -> None:
    """Register the handlers of every kind."""
    for kind in KINDS:
        where = (GROUP, VERSION, kind.plural)
        kopf.on.event(*where, id="wake")(functools.partial(wake, kind))
        kopf.daemon(*where, id="reconcile", cancellation_timeout=15.0)(functools.partial(reconcile, kind))
        kopf.on.delete(*where, id="release")(functools.partial(release, kind))


async def wake(kind: Kind, /, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    """End the pause when the spec has changed; a change of the status is our own doing."""
    loop = Loop.of(kind, memo)
    if body.metadata["generation"] != loop.generation:
        loop.changed.set()


async def reconcile(
    kind: Kind, /, body: kopf.Body, memo: kopf.Memo, stopped: kopf.DaemonStopped, logger: kopf.Logger, **_: Any
) -> None:
    """Keep the resource as declared for as long as it exists."""
    loop = Loop.of(kind, memo)
    await loop.pause(loop.first_pause(body), stopped)
    while not stopped:
        await loop.pause(await loop.reconcile(body, logger), stopped)
    metrics.gone(kind.name, body.metadata["uid"])


async def release(kind: Kind, /, body: kopf.Body, memo: kopf.Memo, logger: kopf.Logger, **_: Any) -> None:
    """Let go of what the resource has made in Keycloak; until that is done, the resource stays."""
    loop = Loop.of(kind, memo)
    async with metrics.turn(kind.name, body.metadata["uid"], loop.lock, leaving=True) as turn:
        loop.waiting.discard(loop)
        report = loop.report = loop.report or Report(kind, loop.world.cluster, body)
        try:
            outcome = await kind.release(loop.world, parse(kind, body, report.status))
        except InvalidSpecError as error:
            logger.warning("What it made in Keycloak may remain, as its spec cannot be read: %s", error)
            return
        except OperatorError as error:
            turn.failed(error.reason)
            await report.deleting(body, error)
            pause = loop.pauses.failed(error.retry, error.retry_after)
            raise kopf.TemporaryError(f"{error.reason}: {error}", delay=pause) from None
        report.tell(body, outcome.events)


register()
