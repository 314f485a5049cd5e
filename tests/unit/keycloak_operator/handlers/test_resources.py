"""When a resource is looked at first: at once, unless all was well when the operator was last there."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import kopf
import pytest

from keycloak_operator.handlers.kinds import KINDS
from keycloak_operator.handlers.resources import Loop, is_well
from keycloak_operator.settings import Settings
from tests.unit.keycloak_operator.reconcile.fakes import keycloak


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
    memo = SimpleNamespace(world=None, waiting=set(), settings=Settings(resync=3600))
    return Loop(KINDS[0], cast("kopf.Memo", memo))


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
