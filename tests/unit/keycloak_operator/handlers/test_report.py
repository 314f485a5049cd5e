"""What is written of a resource: only what is new, and an event only when the reason is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import kopf
import pytest

from keycloak_operator import errors
from keycloak_operator.handlers.kinds import KINDS
from keycloak_operator.handlers.report import Report
from keycloak_operator.reconcile.outcome import Event, Outcome
from tests.unit.keycloak_operator.reconcile.fakes import FakeCluster, keycloak


class Cluster(FakeCluster):
    def __init__(self) -> None:
        super().__init__()
        self.patches: list[dict[str, Any]] = []

    async def patch_status(self, *given: object) -> None:
        self.patches.append(dict(cast("Mapping[str, Any]", given[3])))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the reasons of the events that are posted."""
    reasons: list[str] = []
    monkeypatch.setattr(kopf, "event", lambda _body, *, reason, **_: reasons.append(reason))
    return reasons


def body(generation: int = 1) -> kopf.Body:
    given = keycloak()
    given["metadata"]["generation"] = generation
    given.pop("status")
    return kopf.Body(given)  # type: ignore[arg-type]  # Kopf asks for its own shape of a document


DOWN = errors.KeycloakUnavailableError("down")
OUTCOME = Outcome(status={"url": "http://kc"}, events=[Event(reason="Created", message="it")])


def ready(patch: Mapping[str, Any]) -> dict[str, Any]:
    return dict(patch["conditions"][0])


async def test_success_is_written_once(cluster: Cluster, told: list[str]) -> None:
    report = Report(KINDS[0], cluster, body())
    await report.synced(body(), OUTCOME)
    await report.synced(body(), Outcome(status={"url": "http://kc"}))
    (patch,) = cluster.patches
    assert (patch["observedGeneration"], patch["url"]) == (1, "http://kc")
    assert (ready(patch)["status"], ready(patch)["reason"], ready(patch)["observedGeneration"]) == ("True", "Synced", 1)
    assert told == ["Created"]


async def test_a_failure_that_may_pass_does_not_count_as_observed(cluster: Cluster, told: list[str]) -> None:
    report = Report(KINDS[0], cluster, body())
    await report.failed(body(), DOWN)
    await report.failed(body(), DOWN)
    (patch,) = cluster.patches
    assert "observedGeneration" not in patch
    assert (ready(patch)["reason"], ready(patch)["message"]) == ("KeycloakUnavailable", "down")
    assert told == ["KeycloakUnavailable"]


async def test_a_failure_that_only_a_change_can_mend_counts_as_observed(cluster: Cluster, told: list[str]) -> None:
    await Report(KINDS[0], cluster, body(7)).failed(body(7), errors.RejectedByKeycloakError("no"))
    assert cluster.patches[0]["observedGeneration"] == 7


async def test_the_transition_time_moves_with_the_status_only(cluster: Cluster, told: list[str]) -> None:
    report = Report(KINDS[0], cluster, body())
    await report.failed(body(), DOWN)
    before = ready(cluster.patches[-1])["lastTransitionTime"]
    report.status["conditions"][0]["lastTransitionTime"] = before = before.replace("20", "19", 1)
    await report.failed(body(), errors.ForbiddenError("may not"))
    assert ready(cluster.patches[-1])["lastTransitionTime"] == before
    await report.synced(body(), Outcome())
    assert ready(cluster.patches[-1])["lastTransitionTime"] != before
    assert told == ["KeycloakUnavailable", "Forbidden"]


async def test_what_keeps_a_resource_from_going_is_shown(cluster: Cluster, told: list[str]) -> None:
    await Report(KINDS[0], cluster, body()).deleting(body(), DOWN)
    assert (ready(cluster.patches[0])["reason"], told) == ("Deleting", ["Deleting"])
    assert ready(cluster.patches[0])["message"] == "KeycloakUnavailable: down"


async def test_what_is_known_in_spite_of_a_failure_is_written_and_what_is_not_known_any_more_goes(
    cluster: Cluster, told: list[str]
) -> None:
    report = Report(KINDS[0], cluster, body())
    error = errors.NameConflictError("taken")
    error.status = {"realm": "r", "attempted": "digest"}
    await report.failed(body(), error)
    await report.synced(body(), Outcome(status={"realm": "r", "attempted": None}))
    assert (cluster.patches[0]["realm"], cluster.patches[1]["attempted"]) == ("r", None)
    assert report.status["realm"] == "r"
    assert "attempted" not in report.status, "a status with null in it cannot be read"


async def test_what_was_asked_for_is_no_warning(cluster: Cluster, told: list[str]) -> None:
    await Report(KINDS[0], cluster, body()).failed(body(), errors.PausedError("paused"))
    assert (ready(cluster.patches[0])["status"], told) == ("Unknown", [])
