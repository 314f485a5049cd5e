"""What the handlers of resources have to do with one another: they take turns, wake one another, and let go at last."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Callable
from typing import Any

import kopf
import pytest
from kopf._core.intents.stoppers import DaemonStopper
from prometheus_client import REGISTRY

from keycloak_operator import errors, metrics
from keycloak_operator.handlers import resources
from keycloak_operator.handlers.kinds import KINDS, Kind
from keycloak_operator.handlers.resources import Loop
from keycloak_operator.reconcile.outcome import Event, Outcome
from tests.unit.keycloak_operator.handlers.test_resources import Cluster, body, memo_of, new

LOGGER: Any = logging.getLogger("test")


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the reasons of the events that are posted."""
    metrics.gone(KINDS[0].name, body().metadata["uid"])  # of other tests
    reasons: list[str] = []
    monkeypatch.setattr(kopf, "event", lambda _body, *, reason, **_: reasons.append(reason))
    return reasons


def counted(name: str, **labels: str) -> float:
    """Return what was counted of the kind that the tests use."""
    return REGISTRY.get_sample_value(f"keycloak_operator_{name}", {"kind": KINDS[0].name, **labels}) or 0


async def until(holds: Callable[[], object]) -> None:
    """Let everything run until *holds*; nothing here waits for anything but for the others."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("everything has run, and it does not hold")


class Steps:
    """What is done to a resource: it goes as `results` say, the last of which stays, and takes until `leave` is set."""

    def __init__(self, *results: Outcome | Exception) -> None:
        self.results = list(results) or [Outcome()]
        self.said: list[str] = []
        self.leave = asyncio.Event()
        self.kind = dataclasses.replace(KINDS[0], reconcile=self._reconcile, release=self._release)

    async def _reconcile(self, *_: object) -> Outcome:
        return await self._take("reconcile")

    async def _release(self, *_: object) -> Outcome:
        return await self._take("release")

    async def _take(self, what: str) -> Outcome:
        self.said.append(f"{what} begins")
        await self.leave.wait()
        self.said.append(f"{what} ends")
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


def steps(*results: Outcome | Exception) -> Steps:
    """Return steps that take no time."""
    made = Steps(*results)
    made.leave.set()
    return made


async def released(kind: Kind, memo: kopf.Memo, given: kopf.Body | None = None) -> None:
    await resources.release(kind, body=given or body(), memo=memo, logger=LOGGER)


@pytest.mark.parametrize("order", [("reconcile", "release"), ("release", "reconcile")], ids=" before ".join)
async def test_a_deletion_and_a_pass_are_never_in_the_middle_of_something_together(order: tuple[str, str]) -> None:
    made, memo, stopper = Steps(), memo_of(Cluster()), DaemonStopper()

    def start(what: str) -> asyncio.Task[None]:
        if what == "release":
            return asyncio.create_task(released(made.kind, memo))
        keeping = resources.reconcile(made.kind, body=new(), memo=memo, stopped=stopper.async_waiter, logger=LOGGER)
        return asyncio.create_task(keeping)

    first, second = order
    tasks = [start(first)]
    await until(lambda: made.said)
    tasks.append(start(second))
    await until(lambda: counted("queue") == 1 or len(made.said) > 1)
    assert made.said == [f"{first} begins"]
    made.leave.set()
    await until(lambda: len(made.said) == 4)
    assert made.said == [f"{first} begins", f"{first} ends", f"{second} begins", f"{second} ends"]
    stopper.set()
    await asyncio.gather(*tasks)
    assert counted("resources") == 0


async def test_a_deletion_that_fails_is_tried_again_later_and_later(told: list[str]) -> None:
    cluster, kind = Cluster(), steps(errors.KeycloakUnavailableError("down")).kind
    memo, delays = memo_of(cluster), []
    failed = counted("errors_total", reason="KeycloakUnavailable")
    for _ in range(4):
        with pytest.raises(kopf.TemporaryError, match=r"^KeycloakUnavailable: down$") as raised:
            await released(kind, memo)
        delays.append(raised.value.delay)
    assert delays == [pytest.approx(seconds, rel=0.1) for seconds in (5, 10, 20, 40)]
    (condition,) = cluster.status["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "Deleting")
    assert told == ["Deleting"], "the same failure is told once"
    assert counted("errors_total", reason="KeycloakUnavailable") == failed + 4


async def test_a_deletion_is_not_tried_again_before_keycloak_wants_to_be_asked() -> None:
    kind = steps(errors.KeycloakUnavailableError("busy", retry_after=1800)).kind
    with pytest.raises(kopf.TemporaryError) as raised:
        await released(kind, memo_of(Cluster()))
    assert raised.value.delay is not None
    assert 1800 <= raised.value.delay <= 1980


async def test_a_deletion_that_is_done_tells_of_it_and_counts_no_longer(told: list[str]) -> None:
    kind, memo = steps(Outcome(), Outcome(events=[Event(reason="Deleted", message="it")])).kind, memo_of(Cluster())
    await Loop.of(kind, memo).reconcile(body(), LOGGER)
    assert counted("resources") == 1
    await released(kind, memo)
    assert told == ["Deleted"]
    assert counted("resources") == 0


async def test_a_spec_that_cannot_be_read_does_not_keep_its_resource(caplog: pytest.LogCaptureFixture) -> None:
    made = steps()
    unreadable: Any = {**body(), "spec": {}}
    await released(made.kind, memo_of(Cluster()), kopf.Body(unreadable))
    assert made.said == []
    assert "What it made in Keycloak may remain, as its spec cannot be read" in caplog.text


async def test_only_a_change_of_the_spec_wakes() -> None:
    made, memo = steps(), memo_of(Cluster())
    loop = Loop.of(made.kind, memo)
    await resources.wake(made.kind, body=body(generation=2), memo=memo)
    assert loop.changed.is_set()
    await loop.reconcile(body(generation=2), LOGGER)
    assert not loop.changed.is_set(), "it was seen, and is not looked at for ever"
    await resources.wake(made.kind, body=body(generation=2), memo=memo)
    assert not loop.changed.is_set(), "a new status is our own doing"
    await resources.wake(made.kind, body=body(generation=3), memo=memo)
    assert loop.changed.is_set()


@pytest.mark.parametrize("what", ["changed", "stopped"])
@pytest.mark.parametrize("seconds", [math.inf, 3600.0])
async def test_a_pause_lasts_until_something_happens(what: str, seconds: float) -> None:
    loop, stopper = Loop.of(KINDS[0], memo_of(Cluster())), DaemonStopper()
    pause = asyncio.create_task(loop.pause(seconds, stopper.async_waiter))
    with pytest.raises(AssertionError, match="everything has run"):
        await until(pause.done)
    loop.changed.set() if what == "changed" else stopper.set()
    await until(pause.done)


@pytest.mark.parametrize(
    "result", [Outcome(), errors.RejectedByKeycloakError("no")], ids=["as declared", "there, and not as declared"]
)
async def test_what_waits_looks_again_when_another_one_has_news(result: Outcome | Exception) -> None:
    waits, other = steps(errors.WaitingError("for it")), steps(errors.ForbiddenError("may not"), result)
    memo = memo_of(Cluster())
    child = Loop.of(waits.kind, memo)
    parent = Loop.of(other.kind, kopf.Memo({**memo_of(Cluster()), "waiting": memo.waiting}))
    woken = []
    for _ in range(3):
        await child.reconcile(body(), LOGGER)
        await parent.reconcile(body(), LOGGER)
        woken.append(child.changed.is_set())
        assert memo.waiting == {child}, "what others do is of no use to what was refused"
    assert woken == [True, True, False]


async def test_a_pass_that_fails_is_counted_and_tried_again_when_it_is_of_use() -> None:
    made = steps(errors.KeycloakUnavailableError("busy", retry_after=1800))
    before = counted("errors_total", reason="KeycloakUnavailable")
    pause = await Loop.of(made.kind, memo_of(Cluster())).reconcile(body(), LOGGER)
    assert 1800 <= pause <= 1980
    assert counted("errors_total", reason="KeycloakUnavailable") == before + 1


async def test_a_pass_that_cannot_even_read_the_status_is_counted() -> None:
    made, before = steps(), counted("errors_total", reason="Waiting")
    await Loop.of(made.kind, memo_of(Cluster(refuses=True))).reconcile(body(), LOGGER)
    assert made.said == []
    assert counted("errors_total", reason="Waiting") == before + 1
