"""Pauses grow as long as the same thing fails, and start anew when something else does."""

from __future__ import annotations

import math

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
    assert pauses.well() == pytest.approx(300, rel=0.1)
    assert pauses.failed("backoff") == pytest.approx(5, rel=0.1)


def test_the_credentials_are_not_tried_faster_than_once_a_minute() -> None:
    assert Pauses(2).failed(errors.AuthenticationFailedError.retry) == 60


def test_a_long_outage_does_not_overflow() -> None:
    pauses = Pauses(300)
    for _ in range(5_000):
        pauses.failed("backoff")
    assert pauses.failed("backoff") == pytest.approx(60, rel=0.1)
