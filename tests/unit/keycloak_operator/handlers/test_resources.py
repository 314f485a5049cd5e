"""One look at a resource, whatever goes wrong, and when the first one is."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import kopf
import pytest

from keycloak_operator.errors import ClusterError
from keycloak_operator.handlers.kinds import KINDS
from keycloak_operator.handlers.resources import Loop, is_well
from keycloak_operator.reconcile.outcome import Outcome
from keycloak_operator.settings import Settings
from tests.unit.keycloak_operator.reconcile.fakes import FakeCluster, keycloak


def body(generation: int = 2, observed: Any = 2, ready: str = "True") -> kopf.Body:
    given = keycloak()
    given["metadata"]["generation"] = generation
    given["status"]["observedGeneration"] = observed
    given["status"]["conditions"][0]["status"] = ready
    return kopf.Body(given)  # type: ignore[arg-type]  # Kopf asks for its own shape of a document


def new(status: Mapping[str, Any] | None = None) -> kopf.Body:
    given = {**keycloak(), "status": status}
    if status is None:
        del given["status"]
    return kopf.Body(given)  # type: ignore[arg-type]  # as above


def loop() -> Loop:
    return Loop(KINDS[0], kopf.Memo(world=None, waiting=set(), settings=Settings(resync=3600)))


OTHERS = {
    "new": new(),
    "without a condition": new({"observedGeneration": 1}),
    "with another status": new({"conditions": "none"}),
    "changed": body(generation=3),
    "never carried out": body(observed=None),
    "not Ready": body(ready="False"),
    "not known": body(ready="Unknown"),
}


def test_what_was_well_can_wait() -> None:
    assert is_well(body())
    pauses = {loop().first_pause(body()) for _ in range(100)}
    assert 0 <= min(pauses) < max(pauses) <= 300
    assert len(pauses) == 100


@pytest.mark.parametrize("given", OTHERS.values(), ids=OTHERS)
def test_everything_else_is_looked_at_right_away(given: kopf.Body) -> None:
    assert not is_well(given)
    assert loop().first_pause(given) == 0


def test_what_kopf_tells_at_the_start_does_not_end_the_wait_and_a_change_does() -> None:
    waiting = loop()
    waiting.changed.set()
    waiting.first_pause(body(generation=2))
    assert not waiting.changed.is_set()
    assert waiting.generation == 2


class Cluster(FakeCluster):
    """Has the status of one resource, or refuses everything."""

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__()
        self.refuses = refuses
        self.status: dict[str, Any] = {}

    async def get(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        if self.refuses:
            raise ClusterError("the Kubernetes API refused")
        return {"status": dict(self.status)} if name == "keycloak" else await super().get(plural, namespace, name)

    async def patch_status(self, *given: object) -> None:
        self.status.update(cast("Mapping[str, Any]", given[3]))


def memo_of(cluster: Cluster) -> kopf.Memo:
    """Return what the handlers of one resource share."""
    return kopf.Memo(world=SimpleNamespace(cluster=cluster), waiting=set(), settings=Settings())


def looking(cluster: Cluster, reconcile: Any) -> Loop:
    return Loop(dataclasses.replace(KINDS[0], reconcile=reconcile), memo_of(cluster))


async def test_a_fault_of_the_operator_is_told_without_its_words(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kopf, "event", lambda *_, **__: None)

    async def reconcile(*_: object) -> Outcome:
        raise KeyError("hidden")

    cluster = Cluster()
    pause = await looking(cluster, reconcile).reconcile(body(), logging.getLogger("test"))
    (condition,) = cluster.status["conditions"]
    assert (condition["reason"], condition["message"]) == (
        "InternalError",
        "the operator met an unexpected KeyError; its log says where",
    )
    assert 0 < pause < 3600
    assert "Traceback" in caplog.text


async def test_a_kubernetes_api_that_refuses_is_asked_again() -> None:
    async def reconcile(*_: object) -> Outcome:
        raise AssertionError("it does not get this far")

    pause = await looking(Cluster(refuses=True), reconcile).reconcile(body(), logging.getLogger("test"))
    assert 0 < pause < 3600


async def test_a_status_that_was_edited_is_put_right() -> None:
    async def reconcile(*_: object) -> Outcome:
        return Outcome(status={"version": "26"})

    cluster = Cluster()
    loop = looking(cluster, reconcile)
    await loop.reconcile(body(), logging.getLogger("test"))
    cluster.status = {"version": "forged"}
    await loop.reconcile(body(), logging.getLogger("test"))
    assert (cluster.status["version"], cluster.status["conditions"][0]["status"]) == ("26", "True")


async def test_what_is_reported_is_about_the_spec_that_was_carried_out() -> None:
    given = body(generation=2)
    newer = body(generation=3)

    async def reconcile(*_: object) -> Outcome:
        given._replace_with(dict(newer))  # as Kopf does when an event arrives
        return Outcome()

    cluster = Cluster()
    await looking(cluster, reconcile).reconcile(given, logging.getLogger("test"))
    assert cluster.status["observedGeneration"] == 2
    assert cluster.status["conditions"][0]["observedGeneration"] == 2
