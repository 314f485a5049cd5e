"""What a manifest says of its times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coverage_hooks.record import account
from coverage_hooks.record.account import Account
from coverage_hooks.settings import Settings
from coverage_hooks.volume.manifest import parse_timestamp


class Clocks:
    """Both clocks of a process: *now* can be set, and `monotonic` only goes on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, tzinfo=UTC)
        self.passed = 1000.0

    def now(self, _: object) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.passed

    def go_on(self, seconds: float) -> None:
        self.passed += seconds
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(account, "datetime", made)
    monkeypatch.setattr(account, "time", made)
    return made


def behind(told: Account) -> float:
    """Return by how many seconds the last snapshot is older than the manifest."""
    manifest = told.manifest([], "running")
    return (parse_timestamp(manifest.published_at) - parse_timestamp(manifest.snapshot_at)).total_seconds()


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_snapshot_ages_by_what_passes_however_the_clock_is_set(clocks: Clocks, hours: int) -> None:
    told = Account(Settings.from_environment({}))
    clocks.go_on(7200)
    told.snapshot = clocks.passed
    clocks.go_on(2)
    clocks.time += timedelta(hours=hours)
    clocks.go_on(3)
    assert behind(told) == 5


def test_there_is_none_before_the_first(clocks: Clocks) -> None:
    told = Account(Settings.from_environment({}))
    clocks.go_on(30)
    assert behind(told) == 30


def test_a_clock_that_was_set_back_to_before_the_start_shows(clocks: Clocks) -> None:
    """A collector calls seconds unknown where a snapshot was published before it was begun."""
    told = Account(Settings.from_environment({}))
    told.snapshot = clocks.passed
    clocks.time -= timedelta(seconds=1)
    assert behind(told) == -1
