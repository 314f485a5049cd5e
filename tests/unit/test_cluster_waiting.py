"""Waiting gives back what it waited for, or says what did not come."""

from __future__ import annotations

import pytest

from tests.cluster.waiting import eventually, wait_until


def test_returns_the_first_true_value() -> None:
    values = iter([None, "", "here", "too late"])
    assert wait_until(lambda: next(values), "a value") == "here"


def test_gives_up_and_says_on_what_and_what_there_was() -> None:
    with pytest.raises(TimeoutError, match=r"^not within 0 s: a pod\nno pods$"):
        wait_until(lambda: None, "a pod", within=0, details=lambda: "no pods")


async def test_awaits_what_has_to_be_awaited() -> None:
    values = iter([None, "here"])

    async def value() -> str | None:
        return next(values)

    assert await eventually(value, "a value") == "here"


async def test_gives_up_on_what_has_to_be_awaited() -> None:
    async def never() -> None:
        return None

    with pytest.raises(TimeoutError, match=r"^not within 0 s: a pod\nno pods$"):
        await eventually(never, "a pod", within=0, details=lambda: "no pods")
