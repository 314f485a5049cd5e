"""A condition moves when its status does, and nothing is written when nothing is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from keycloak_operator.resources import REASONS, Condition, RealmStatus, SecretVersion, condition, with_condition
from keycloak_operator.resources.conditions import MESSAGE_LIMIT

THEN = datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)
LATER = THEN + timedelta(hours=1)


def ready(**different: Any) -> Condition:
    usual: dict[str, Any] = {
        "status": "True",
        "reason": "Synced",
        "message": "all is well",
        "generation": 1,
        "now": THEN,
    }
    return condition(**usual | different)


def test_the_first_condition_is_taken_as_it_is() -> None:
    assert with_condition((), ready()) == (ready(),)


def test_nothing_new_gives_an_equal_list() -> None:
    before = (ready(),)
    assert with_condition(before, ready(now=LATER)) == before


@pytest.mark.parametrize("new", [{"reason": "Waiting"}, {"message": "other"}, {"generation": 2}])
def test_the_time_stays_when_the_status_does(new: dict[str, Any]) -> None:
    (after,) = with_condition((ready(),), ready(now=LATER, **new))
    assert after == ready(**new)
    assert after != ready()


def test_the_time_moves_when_the_status_does() -> None:
    (after,) = with_condition((ready(),), ready(status="False", reason="Waiting", now=LATER))
    assert after.last_transition_time == LATER.replace(microsecond=0)


def test_conditions_of_other_types_stay_in_their_places() -> None:
    other = ready().model_copy(update={"type": "Available"})
    first = with_condition((ready(), other), ready(status="Unknown"))
    assert [(each.type, each.status) for each in first] == [("Ready", "Unknown"), ("Available", "True")]
    assert with_condition((other,), ready()) == (other, ready())


def test_a_long_message_is_cut() -> None:
    assert ready(message="m" * MESSAGE_LIMIT).message == "m" * MESSAGE_LIMIT
    cut = ready(message="m" * (MESSAGE_LIMIT + 1)).message
    assert (len(cut), cut[-2:]) == (MESSAGE_LIMIT, "m…")


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_one_that_kubernetes_accepts(reason: Any) -> None:
    assert ready(reason=reason).reason == reason


def test_a_status_is_written_in_the_words_of_kubernetes() -> None:
    status = RealmStatus(
        observed_generation=1,
        conditions=(ready(now=THEN.astimezone(timezone(timedelta(hours=2)))),),
        secret_versions=(SecretVersion(name="mail", resource_version="7"),),
    )
    assert status.changes_from(RealmStatus()) == {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Synced",
                "message": "all is well",
                "lastTransitionTime": "2026-01-31T23:59:59Z",
                "observedGeneration": 1,
            }
        ],
        "secretVersions": [{"name": "mail", "resourceVersion": "7"}],
    }
    assert status.condition() == ready()
    assert status.condition("Available") is None


def test_what_was_written_reads_as_what_it_was() -> None:
    status = RealmStatus(conditions=(ready(),), realm="shop")
    assert RealmStatus.of({"status": status.changes_from(RealmStatus())}) == status


def test_only_what_is_different_is_written_and_what_is_gone_is_cleared() -> None:
    old = RealmStatus(observed_generation=1, conditions=(ready(),), realm="shop", issuer="https://k/realms/shop")
    assert old.changes_from(old) == {}
    assert RealmStatus(observed_generation=2, conditions=(ready(),), realm="shop").changes_from(old) == {
        "observedGeneration": 2,
        "issuer": None,
    }


def test_an_empty_list_is_cleared_and_an_unknown_generation_is_not_written_as_null() -> None:
    without = ready().model_copy(update={"observed_generation": None})
    written = RealmStatus(conditions=(without,)).changes_from(RealmStatus())
    assert "observedGeneration" not in written["conditions"][0]
    assert RealmStatus().changes_from(RealmStatus(conditions=(without,))) == {"conditions": None}
