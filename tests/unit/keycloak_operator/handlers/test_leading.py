"""A process that leads ends at once when it does not any more; nothing here waits for time to pass."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from keycloak_operator.cluster import Election, Lease
from keycloak_operator.handlers import leading
from keycloak_operator.handlers.leading import Leadership, lead
from keycloak_operator.settings import Settings
from tests.unit.keycloak_operator.handlers.test_turns import until


@dataclass
class Process:
    """Writes down how the process ends, in a time that passes when a test says so."""

    now: float = 1000.0
    said: list[str] = field(default_factory=list)
    at_exit: Exception | None = None

    def run_exit_functions(self) -> None:
        self.said.append("exit functions")
        if self.at_exit:
            raise self.at_exit


@dataclass
class Held:
    """Stands for the election and for its Lease."""

    said: list[str]
    leads_until: float = 2000.0
    kept: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    async def keep(self) -> None:
        await self.kept.wait()
        if self.error:
            raise self.error

    async def release(self) -> None:
        self.said.append("released")

    async def close(self) -> None:
        self.said.append("closed")


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    made = Process()
    monkeypatch.setattr(leading, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(leading, "atexit", SimpleNamespace(_run_exitfuncs=made.run_exit_functions))
    monkeypatch.setattr(leading, "os", SimpleNamespace(_exit=lambda code: made.said.append(f"exit {code}")))
    return made


@pytest.fixture
def held(process: Process) -> Held:
    return Held(process.said)


def leads(held: Held) -> Leadership:
    return Leadership(cast(Election, held), cast(Lease, held))


async def everything_has_run() -> None:
    with pytest.raises(AssertionError, match="everything has run"):
        await until(lambda: False)


async def test_it_ends_when_it_could_not_be_renewed_in_time(
    process: Process, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    held.leads_until = process.now
    leads(held)
    await until(lambda: process.said)
    assert process.said == ["exit functions", "exit 1"], "what was recorded is saved first"
    assert "is lost, as it could not be renewed in time: this process ends at once" in caplog.text


async def test_it_goes_on_when_it_was_renewed_meanwhile(process: Process, held: Held) -> None:
    held.leads_until = process.now
    leadership = leads(held)
    held.leads_until += 3600
    await everything_has_run()
    assert process.said == []
    await leadership.end()


@pytest.mark.parametrize(
    ("error", "why"), [(None, "as another process has it"), (RuntimeError("odd"), "as it failed: RuntimeError('odd')")]
)
async def test_it_ends_when_it_is_kept_no_longer(
    process: Process, held: Held, caplog: pytest.LogCaptureFixture, error: Exception | None, why: str
) -> None:
    held.error = error
    leads(held)
    held.kept.set()
    await until(lambda: process.said)
    assert process.said == ["exit functions", "exit 1"]
    assert why in caplog.text


async def test_it_ends_although_something_goes_wrong_at_the_end(
    process: Process, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.at_exit = RuntimeError("odd")
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    held.leads_until = process.now
    leads(held)
    await until(lambda: faults)
    assert process.said == ["exit functions", "exit 1"]


async def test_one_that_is_told_to_stop_lets_another_one_lead(process: Process, held: Held) -> None:
    leadership = leads(held)
    await leadership.end()
    process.now = held.leads_until
    await everything_has_run()
    assert process.said == ["released", "closed"]


async def test_no_other_start_has_the_same_name(monkeypatch: pytest.MonkeyPatch, process: Process, held: Held) -> None:
    names: list[str] = []

    async def connect(*_: object, seconds: float) -> Held:
        assert seconds == 5, "a request must not take as long as it may lead"
        return held

    async def win(election: Election) -> None:
        names.append(election.identity)
        raise asyncio.CancelledError

    monkeypatch.setattr(Lease, "connect", connect)
    monkeypatch.setattr(Election, "win", win)
    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            await lead(Settings(lease=("team", "turns"), lease_seconds=15))
    assert len(set(names)) == 2
    assert process.said == ["closed", "closed"]


async def test_without_a_lease_everything_is_handled_at_once() -> None:
    assert await lead(Settings()) is None
