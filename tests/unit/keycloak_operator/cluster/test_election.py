"""Who leads, as time goes by: in a time of its own, with a Lease that fails when it is told to."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycloak_operator.cluster.election import GIVE_UP, LOOK, Election, Record
from keycloak_operator.errors import ClusterError

SECONDS = 15.0


class Time:
    """A time that passes only in `pass_until`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self.now + seconds, next(self._count), woken))
        await woken

    async def pass_until(self, end: float) -> None:
        """Let time pass, and everything happen that is due."""
        await settle()
        while self._sleeping and self._sleeping[0][0] <= end:
            self.now, _, woken = heapq.heappop(self._sleeping)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.now = max(self.now, end)


async def settle() -> None:
    """Let everything run that waits for nothing."""
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class Server:
    """What an API server has of one Lease."""

    record: Record | None = None
    versions: Any = field(default_factory=lambda: itertools.count(1))

    def put(self, holder: str, seconds: float = SECONDS) -> Record:
        """Have *holder* hold it."""
        self.record = Record(holder=holder, seconds=seconds, version=str(next(self.versions)))
        return self.record


@dataclass
class Lease:
    """One process's way to the server."""

    server: Server
    time: Time
    down: bool = False
    loses_answers: bool = False
    takes: float = 0.0

    async def read(self) -> Record | None:
        """Return the record."""
        self._fail_if_down()
        return self.server.record

    async def write(self, holder: str, seconds: float, over: Record | None) -> Record | None:
        """Replace the record if it is *over*."""
        self._fail_if_down()
        if self.takes:
            await self.time.sleep(self.takes)
        made = self.server.put(holder, seconds) if self.server.record == over else None
        if self.loses_answers:
            raise ClusterError("the answer was lost")
        return made

    def _fail_if_down(self) -> None:
        if self.down:
            raise ClusterError("down")


class Process:
    """A candidate that first waits, then keeps what it has won."""

    def __init__(self, server: Server, time: Time, name: str) -> None:
        self.lease = Lease(server, time)
        self.time = time
        self.election = Election(self.lease, name, SECONDS, clock=lambda: time.now, sleep=time.sleep)
        self.tasks: list[asyncio.Task[None]] = []

    def leads(self) -> bool:
        """Whether it may handle resources."""
        return self.time.now < self.election.leads_until

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* beside the test."""
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    async def live(self) -> None:
        """Win, and keep it for as long as possible."""
        await self.election.win()
        await self.election.keep()

    async def kill(self) -> None:
        """End without a word."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def one(server: Server, time: Time) -> Process:
    return Process(server, time, "one")


@pytest.fixture
def two(server: Server, time: Time) -> Process:
    return Process(server, time, "two")


async def test_a_lease_that_is_not_there_is_taken_at_once(one: Process, server: Server, time: Time) -> None:
    await one.election.win()
    assert (time.now, one.leads()) == (0, True)
    assert server.record is not None
    assert (server.record.holder, server.record.seconds) == ("one", SECONDS)


async def test_one_that_belongs_to_none_is_taken_at_once(one: Process, server: Server, time: Time) -> None:
    server.put("")
    await one.election.win()
    assert (time.now, one.leads()) == (0, True)


async def test_one_that_is_held_is_taken_when_nothing_was_heard_of_its_holder(
    one: Process, server: Server, time: Time
) -> None:
    server.put("other")
    winning = one.start(one.election.win())
    await time.pass_until(10)
    server.put("other")  # renewed, and seen a moment later
    await time.pass_until(10 + SECONDS)
    assert not winning.done()
    await time.pass_until(10 + SECONDS + LOOK * SECONDS)
    assert winning.done()
    assert one.leads()


async def test_it_lasts_as_long_as_its_holder_says(one: Process, server: Server, time: Time) -> None:
    server.put("other", seconds=60)
    winning = one.start(one.election.win())
    await time.pass_until(59)
    assert not winning.done()
    await time.pass_until(60)
    assert winning.done()


async def test_one_that_was_released_is_taken_at_the_next_look(one: Process, two: Process, time: Time) -> None:
    await one.election.win()
    winning = two.start(two.election.win())
    await time.pass_until(5)
    await one.election.release()
    assert not one.leads()
    await time.pass_until(5 + LOOK * SECONDS)
    assert winning.done()


async def test_one_that_was_deleted_is_still_its_holders(one: Process, server: Server, time: Time) -> None:
    server.put("other")
    winning = one.start(one.election.win())
    await time.pass_until(5)
    server.record = None
    await time.pass_until(SECONDS - 0.1)
    assert not winning.done()
    await time.pass_until(SECONDS)
    assert winning.done()


async def test_the_holder_makes_it_anew(one: Process, server: Server, time: Time) -> None:
    keeping = one.start(one.live())
    await time.pass_until(1)
    server.record = None
    await time.pass_until(100)
    assert one.leads()
    assert not keeping.done()
    await one.kill()


async def test_it_is_kept_for_as_long_as_it_can_be_renewed(one: Process, two: Process, time: Time) -> None:
    one.start(one.live())
    two.start(two.live())
    await time.pass_until(1000)
    assert (one.leads(), two.leads()) == (True, False)
    await one.kill()
    await two.kill()


async def test_leading_ends_in_time_when_it_cannot_be_renewed(one: Process, time: Time) -> None:
    one.start(one.live())
    await time.pass_until(21)
    one.lease.down = True
    until = one.election.leads_until
    assert 21 < until < 21 + GIVE_UP * SECONDS
    await time.pass_until(until)
    assert not one.leads()
    await one.kill()


async def test_a_renewal_counts_from_before_it_was_sent(one: Process, time: Time) -> None:
    one.start(one.live())
    await time.pass_until(1)
    one.lease.takes = 5
    await time.pass_until(LOOK * SECONDS + 5)  # sent after the first pause, and answered now
    assert one.election.leads_until == LOOK * SECONDS + GIVE_UP * SECONDS
    await one.kill()


async def test_keeping_ends_when_another_one_has_it(one: Process, server: Server, time: Time) -> None:
    keeping = one.start(one.live())
    await time.pass_until(1)
    server.put("other")
    await time.pass_until(1 + LOOK * SECONDS)
    assert keeping.done()


async def test_a_write_whose_answer_was_lost_is_found_again(one: Process, time: Time) -> None:
    one.lease.loses_answers = True
    keeping = one.start(one.live())
    await time.pass_until(1)
    assert not one.leads(), "it cannot know"
    one.lease.loses_answers = False
    await time.pass_until(5)
    assert one.leads()
    one.lease.loses_answers = True
    await time.pass_until(8)
    one.lease.loses_answers = False
    await time.pass_until(100)
    assert one.leads()
    assert not keeping.done()
    await one.kill()


async def test_what_cannot_be_released_is_no_failure(one: Process) -> None:
    await one.election.win()
    one.lease.down = True
    await one.election.release()
    assert not one.leads()


EVENTS = st.tuples(
    st.floats(0.1, 20), st.sampled_from(["one", "two"]), st.sampled_from(["down", "up", "lossy", "slow", "kill"])
)


@given(st.lists(EVENTS, max_size=12))
def test_never_two_lead_at_the_same_time(events: list[tuple[float, str, str]]) -> None:
    asyncio.run(_whatever_happens(events))


async def _whatever_happens(events: list[tuple[float, str, str]]) -> None:
    server, time = Server(), Time()
    names = ("one", "two")
    running = {name: Process(server, time, name) for name in names}
    everyone = list(running.values())
    for each in everyone:
        each.start(each.live())
    for after, name, what in events:
        lease, end = running[name].lease, time.now + after
        lease.down, lease.loses_answers, lease.takes = what == "down", what == "lossy", 4.0 * (what == "slow")
        if what == "kill":  # and what started in its place is another process
            await running[name].kill()
            running[name] = Process(server, time, f"{name}-{len(everyone)}")
            running[name].start(running[name].live())
            everyone.append(running[name])
        while time.now < end:
            await time.pass_until(min(end, time.now + 0.5))
            assert sum(each.leads() for each in running.values()) <= 1
    for each in everyone:
        await each.kill()
