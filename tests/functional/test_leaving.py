"""A collect from a claim that is ended leaves no reader: against a real API server, where a reader never starts."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api

from coverage_hooks.collect import outputs
from tests import leftovers
from tests.cluster import ControlPlane
from tests.cluster.waiting import WITHIN, eventually
from tests.functional.claims import claimed
from tests.leftovers import Command

OUTPUT = Path("build/coverage")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Readers = Callable[[], Awaitable[list[str]]]
Start = Callable[[], AbstractContextManager[Command]]


@pytest.fixture
async def readers(api: ApiClient, namespace: str) -> Readers:
    """Return what tells the uids of the pods in a namespace where there is a claim."""
    core: Any = CoreV1Api(api)
    await claimed(core, namespace, {"image": "operator:1-coverage"})

    async def ask() -> list[str]:
        return [pod.metadata.uid for pod in (await core.list_namespaced_pod(namespace)).items]

    return ask


@pytest.fixture
def start(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Start:
    """Return what starts a collect from that claim."""
    place = ("--namespace", namespace, "--claim", "recordings", "--kubeconfig", control_plane.kubeconfig)
    return lambda: leftovers.started("collect", *place, cwd=tmp_path, temporary=tmp_path / "temporary")


async def ended(command: Command, tmp_path: Path) -> int:
    """Return the exit code of *command* after all of it has ended, and look at what is left here."""
    said = await asyncio.to_thread(command.said)
    command.wait_until_gone(WITHIN)
    assert "Traceback" not in said, said
    assert command.temporaries() == []
    assert leftovers.listing(tmp_path / OUTPUT) <= {outputs.LOCK}
    return command.process.returncode


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_reader_that_is_waited_for_goes(
    readers: Readers, start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    with start() as command:
        await eventually(readers, "a reader is made")
        command.end(number)
        assert await ended(command, tmp_path) == 128 + number
    assert await readers() == []


@pytest.mark.parametrize("number", SIGNALS)
async def test_no_reader_stays_whenever_a_signal_comes(
    readers: Readers, start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    """By chance: before the reader is asked for, while it is being made, and right after that."""
    chance, loop = random.Random(number), asyncio.get_running_loop()
    with start() as command:
        begun = loop.time()
        await eventually(readers, "a reader is made")
        took = loop.time() - begun
        command.end(number)
        await ended(command, tmp_path)
    for _ in range(6):
        with start() as command:
            await asyncio.sleep(chance.uniform(0.5, 1.1) * took)
            command.end(number)
            # Before the command has begun, the signal ends Python itself.
            assert await ended(command, tmp_path) in {128 + number, -number}
        assert await readers() == []


async def test_the_reader_of_a_killed_collect_is_replaced_and_goes(
    readers: Readers, start: Start, tmp_path: Path
) -> None:
    with start() as command:
        [first] = await eventually(readers, "a reader is made")
        command.end(signal.SIGKILL)
        assert await ended(command, tmp_path) == -signal.SIGKILL
    assert await readers() == [first]
    with start() as command:

        async def is_replaced() -> bool:
            return await readers() not in ([first], [])

        await eventually(is_replaced, "another reader is made")
        command.end(signal.SIGTERM)
        assert await ended(command, tmp_path) == 128 + signal.SIGTERM
    assert await readers() == []
