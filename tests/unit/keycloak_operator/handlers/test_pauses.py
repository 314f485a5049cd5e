"""Pauses grow as long as the same thing fails, start anew when something else does, and do not stay in step."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable

import pytest

from keycloak_operator import errors
from keycloak_operator.errors import Retry
from keycloak_operator.handlers.pauses import Pauses


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        ("soon", [1, 1.5, 2.25, 3.375, 5.0625, 7.59375, 10, 10]),
        ("backoff", [5, 10, 20, 40, 60, 60]),
        ("minute", [60, 60]),
        ("resync", [300, 300]),
        ("never", [math.inf]),
    ],
)
def test_a_failure_that_repeats(retry: Retry, expected: list[float]) -> None:
    pauses = Pauses(300)
    for seconds in expected:
        assert pauses.failed(retry) == pytest.approx(seconds, rel=0.1)


def test_another_failure_or_success_starts_anew() -> None:
    pauses = Pauses(300)
    for _ in range(4):
        pauses.failed("backoff")
    pauses.failed("soon")
    assert pauses.failed("backoff") == pytest.approx(5, rel=0.1)
    pauses.failed("backoff")
    assert 0 <= pauses.well() <= 300
    assert pauses.failed("backoff") == pytest.approx(5, rel=0.1)


def test_the_credentials_are_not_tried_faster_than_once_a_minute() -> None:
    assert Pauses(2).failed(errors.AuthenticationFailedError.retry) == 60


@pytest.mark.parametrize("retry", ["soon", "backoff", "minute", "resync"])
def test_what_is_of_no_use_before_a_moment_is_not_tried_before_it(retry: Retry) -> None:
    pauses = Pauses(300)
    found = {pauses.failed(retry, 1800) for _ in range(100)}
    assert 1800 <= min(found) < max(found) <= 1980
    assert len(found) == 100, "they do not all come back at the same moment"


def test_a_moment_that_is_near_changes_nothing() -> None:
    assert Pauses(300).failed("backoff", 1) == pytest.approx(5, rel=0.1)
    assert Pauses(300).failed("never", 1) == math.inf


@pytest.mark.parametrize(("resync", "longest"), [(2, 2), (300, 300), (86_400, 300)])
def test_after_a_start_looks_are_spread_over_a_resync_but_not_over_a_day(resync: float, longest: float) -> None:
    found = [Pauses(resync).first() for _ in range(1000)]
    assert 0 <= min(found) < longest / 10
    assert longest * 0.9 < max(found) <= longest


def looks(resync: float, pauses: list[tuple[float, Pauses]]) -> list[float]:
    """Return when is looked at 500 resources, for ten resyncs, each by its own *pauses* from a moment on."""
    found, queue = [], [(moment, number) for number, (moment, _) in enumerate(pauses)]
    heapq.heapify(queue)
    while queue[0][0] < 10 * resync:
        moment, number = heapq.heappop(queue)
        found.append(moment)
        heapq.heappush(queue, (moment + pauses[number][1].well(), number))
    return found


def created() -> tuple[float, Pauses]:
    return 0.0, Pauses(300)


def started() -> tuple[float, Pauses]:
    pauses = Pauses(300)
    return pauses.first(), pauses


def failing() -> tuple[float, Pauses]:
    _, pauses = started()
    pauses.well()
    return pauses.failed("soon"), pauses


def changed() -> tuple[float, Pauses]:
    _, pauses = started()
    pauses.well()
    pauses.fall_in_step()
    return 0.0, pauses


@pytest.mark.parametrize("made", [created, started, failing, changed], ids=lambda made: made.__name__)
def test_what_happened_to_all_at_once_does_not_let_them_meet_again(made: Callable[[], tuple[float, Pauses]]) -> None:
    random.seed(7)
    found = looks(300, [made() for _ in range(500)])
    in_a_tenth = Counter(moment // 30 for moment in found if moment > 30)
    assert max(in_a_tenth.values()) < 2 * 500 / 10, "twice as many as there would be if they were spread evenly"


def test_a_long_outage_does_not_overflow() -> None:
    pauses = Pauses(300)
    for _ in range(5_000):
        pauses.failed("backoff")
    assert pauses.failed("backoff") == pytest.approx(60, rel=0.1)
