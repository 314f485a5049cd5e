"""What the journal promises: everything once, in slices, and never a shorter set unnoticed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_hooks.record.journal import SLICE, Journal


class Store:
    def __init__(self) -> None:
        self.points: dict[str, set[int]] = {}
        self.sizes: list[int] = []

    def add(self, grown: dict[str, set[Any]]) -> None:
        self.sizes.append(sum(map(len, grown.values())))
        for key, points in grown.items():
            self.points.setdefault(key, set()).update(points)


def journal_of(live: dict[str, set[int]], add: Callable[[dict[str, set[Any]]], None]) -> Journal[str]:
    return Journal(live.items, add, pytest.fail)


def test_only_what_grew_is_passed_on() -> None:
    live, store = {"a": {1}, "b": {1}, "empty": set()}, Store()
    journal = journal_of(live, store.add)
    assert journal.catch_up() == {"a", "b"}
    assert journal.catch_up() == set()
    live["b"].add(2)
    assert journal.catch_up() == {"b"}
    assert store.points == {"a": {1}, "b": {1, 2}}


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 3 * SLICE), max_size=6))
def test_slices_lose_nothing_and_are_small(sizes: dict[str, int]) -> None:
    live, store = {key: set(range(size)) for key, size in sizes.items()}, Store()
    journal_of(live, store.add).catch_up()
    assert store.points == {key: points for key, points in live.items() if points}
    assert all(size <= SLICE for size in store.sizes)
    assert all(size == SLICE for size in store.sizes[:-1])


def test_a_set_that_shrank_is_reported_once_and_journalled_on() -> None:
    live, store = {"a": {1, 2}, "b": {9}}, Store()
    told: list[str] = []
    journal = Journal(live.items, store.add, told.append)
    journal.catch_up()
    live["a"].clear()
    live["a"].add(3)
    assert journal.catch_up() == {"a"}
    live["a"] ^= {3, 4}
    live["b"] ^= {9, 10}
    assert journal.catch_up() == {"a", "b"}
    assert told == ["'a' went from 2 points to 1"]
    assert store.points == {"a": {1, 2, 3, 4}, "b": {9, 10}}


def test_what_could_not_be_stored_comes_again() -> None:
    live, store = {"a": {1}}, Store()
    refusals = [OSError("full")]

    def add(grown: dict[str, set[Any]]) -> None:
        if refusals:
            raise refusals.pop()
        store.add(grown)

    journal = journal_of(live, add)
    with pytest.raises(OSError, match="full"):
        journal.catch_up()
    assert journal.catch_up() == {"a"}
    assert store.points == live


def test_threads_may_write_while_it_copies() -> None:
    live: dict[str, set[int]] = {}
    store = Store()
    journal = journal_of(live, store.add)

    def write(name: int) -> None:
        for number in range(20_000):
            live.setdefault(f"{name}-{number % 50}", set()).add(number)

    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        journal.catch_up()
    journal.catch_up()
    assert store.points == live
