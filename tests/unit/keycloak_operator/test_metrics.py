"""What is counted of passes and requests, and that Prometheus can read it."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from keycloak_operator import metrics
from tests.cluster.waiting import WITHIN

Value = Callable[..., float]

DOCUMENT = Path(__file__).parents[3] / "docs" / "keycloak-operator.md"


@pytest.fixture
def kind() -> str:
    """Return a kind that no other test counts: what is counted stays."""
    return f"Kind{uuid.uuid4().hex}"


@pytest.fixture
def value(kind: str) -> Value:
    """Return what reads a value of this kind."""

    def read(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"keycloak_operator_{name}", {"kind": kind, **labels}) or 0

    return read


async def passed(
    kind: str, uid: str, reason: str = "", *, leaving: bool = False, error: Exception | None = None
) -> None:
    async with metrics.turn(kind, uid, asyncio.Lock(), leaving=leaving) as turn:
        if reason:
            turn.failed(reason)
        if error:
            raise error


async def test_passes_count_by_how_they_went(kind: str, value: Value) -> None:
    for reason in ("", "", "Waiting", "Forbidden", "Waiting"):
        await passed(kind, "1", reason)
    assert value("reconciles_total", result="synced") == 2
    assert value("reconciles_total", result="failed") == 3
    assert (value("errors_total", reason="Waiting"), value("errors_total", reason="Forbidden")) == (2, 1)
    assert value("reconcile_seconds_count") == 5


async def test_a_resource_is_ready_as_its_last_pass_says(kind: str, value: Value) -> None:
    def counted() -> tuple[float, float]:
        return value("ready"), value("resources")

    await passed(kind, "1", "Waiting")
    assert counted() == (0, 1)
    await passed(kind, "1")
    await passed(kind, "1")
    await passed(kind, "2")
    assert counted() == (2, 2)
    await passed(kind, "1", "NotFound")
    assert counted() == (1, 2)
    await passed(kind, "2", "Deleting", leaving=True)
    assert counted() == (0, 2)
    await passed(kind, "2", leaving=True)
    assert counted() == (0, 1)
    metrics.gone(kind, "1")
    metrics.gone(kind, "1")
    metrics.gone(kind, "never seen")
    assert counted() == (0, 0)


async def test_what_waits_for_its_turn_is_in_the_queue(kind: str, value: Value) -> None:
    lock, entered, leave = asyncio.Lock(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with metrics.turn(kind, "1", lock):
            entered.set()
            await leave.wait()

    first = asyncio.create_task(work())
    await entered.wait()
    assert value("queue") == 0
    entered.clear()
    second = asyncio.create_task(work())
    await asyncio.sleep(0)
    assert value("queue") == 1
    leave.set()
    await asyncio.gather(first, second)
    assert entered.is_set()
    assert value("queue") == 0
    assert not lock.locked()


async def test_a_fault_of_the_operator_itself_counts_as_such(kind: str, value: Value) -> None:
    with pytest.raises(ZeroDivisionError):
        await passed(kind, "1", error=ZeroDivisionError())
    assert value("errors_total", reason="Unexpected") == 1
    assert (value("ready"), value("resources")) == (0, 1)


async def test_what_is_raised_after_a_failure_is_that_failure(kind: str, value: Value) -> None:
    with pytest.raises(ZeroDivisionError):
        await passed(kind, "1", "Forbidden", error=ZeroDivisionError())
    assert value("errors_total", reason="Forbidden") == 1
    assert value("errors_total", reason="Unexpected") == 0


async def test_a_pass_that_was_cancelled_counts_for_nothing(kind: str, value: Value) -> None:
    async def work() -> None:
        async with metrics.turn(kind, "1", asyncio.Lock()):
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled()
    assert value("reconcile_seconds_count") == value("resources") == 0


def test_what_is_counted_is_documented() -> None:
    rows = re.findall(r"^\| `(keycloak_operator_\w+)` \| (.*?) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name.removesuffix("_total"): set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    counted = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    assert documented == {next(iter(each.describe())).name: set(each._labelnames) for each in counted}


def read(address: str) -> str:
    """Return what is at *address*; past any proxy."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=WITHIN)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_prometheus_can_read_it_until_it_ends(kind: str) -> None:
    metrics.requested("GET", 200)
    metrics.requested("PUT", None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/metrics"
    end = metrics.serve(address)
    try:
        families = {family.name: family for family in text_string_to_metric_families(read(address))}
    finally:
        end()
    requests = families["keycloak_operator_keycloak_requests"]
    assert {("GET", "200"), ("PUT", "none")} <= {tuple(sample.labels.values()) for sample in requests.samples}
    assert not [name for name in families if name.endswith("_created")]
    assert "process_resident_memory_bytes" in families
    with pytest.raises(ConnectionRefusedError):
        read(address)
