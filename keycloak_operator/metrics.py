"""What Prometheus may ask for: counted always, served only where that is asked for. The door to prometheus_client.

A *pass* looks at one resource and does what is missing, or lets go of it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics, start_http_server

#: The reason of what is no `OperatorError`: a fault of the operator itself.
UNEXPECTED = "Unexpected"

_RECONCILES = Counter(
    "keycloak_operator_reconciles", "Passes over resources, by whether they are as declared since.", ["kind", "result"]
)
_ERRORS = Counter(
    "keycloak_operator_errors", "Passes that failed, by the reason of the condition Ready.", ["kind", "reason"]
)
_SECONDS = Histogram("keycloak_operator_reconcile_seconds", "How long a pass took, from when its turn came.", ["kind"])
_QUEUE = Gauge("keycloak_operator_queue", "Resources whose pass is due and waits for its turn.", ["kind"])
_RESOURCES = Gauge("keycloak_operator_resources", "Resources that are looked after.", ["kind"])
_READY = Gauge("keycloak_operator_ready", "Resources that were as declared at the last pass.", ["kind"])
_REQUESTS = Counter(
    "keycloak_operator_keycloak_requests",
    "Requests to Keycloak, by the status of the answer; none where there was no answer.",
    ["method", "status"],
)
_LEADER = Gauge("keycloak_operator_leader", "1 while this process handles resources, 0 while it waits for its turn.")

_logger = logging.getLogger(__name__)
_known: dict[tuple[str, str], bool] = {}


def serve(address: str) -> Callable[[], None]:
    """Answer at *address*, such as ``http://0.0.0.0:8081/metrics``, from a thread; return what ends that."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # as many values again, which tell little
    parts = urlsplit(address)
    server, thread = start_http_server(parts.port or 80, parts.hostname or "localhost")
    server.handle_error = _hung_up  # type: ignore[method-assign]  # it would print a traceback, whatever the log's format

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def _hung_up(request: object, client_address: object) -> None:  # noqa: ARG001 - as the server calls it
    _logger.debug("what asked for metrics from %s got no answer: %r", client_address, sys.exception())


def leads() -> None:
    """Note that this process handles resources from now on."""
    _LEADER.set(1)


def requested(method: str, status: int | None) -> None:
    """Count a request to Keycloak; no *status* if there was no answer."""
    _REQUESTS.labels(method, "none" if status is None else str(status)).inc()


@dataclass(slots=True)
class Turn:
    """One pass over a resource, which counts as synced unless it `failed`."""

    reason: str = ""

    def failed(self, reason: str) -> None:
        """Note why the resource is not as declared."""
        self.reason = reason


@asynccontextmanager
async def turn(
    kind: str, uid: str, lock: AbstractAsyncContextManager[object], *, leaving: bool = False
) -> AsyncIterator[Turn]:
    """Hold *lock* for a pass over the resource *uid*, and count how that went.

    A resource that is *leaving* is gone when that has succeeded. A pass that is cancelled counts for nothing.
    """
    passing = Turn()
    async with AsyncExitStack() as stack:
        with _QUEUE.labels(kind).track_inprogress():
            await stack.enter_async_context(lock)
        began = time.monotonic()
        try:
            yield passing
        except Exception:
            passing.failed(passing.reason or UNEXPECTED)
            _count(kind, uid, passing, began, leaving=leaving)
            raise
        _count(kind, uid, passing, began, leaving=leaving)


def gone(kind: str, uid: str) -> None:
    """Note that a resource is not looked after any more."""
    ready = _known.pop((kind, uid), None)
    if ready is not None:
        _RESOURCES.labels(kind).dec()
        _READY.labels(kind).dec(ready)


def _count(kind: str, uid: str, passing: Turn, began: float, *, leaving: bool) -> None:
    _SECONDS.labels(kind).observe(time.monotonic() - began)
    _RECONCILES.labels(kind, "failed" if passing.reason else "synced").inc()
    if passing.reason:
        _ERRORS.labels(kind, passing.reason).inc()
    elif leaving:
        gone(kind, uid)
        return
    before, ready = _known.get((kind, uid)), not passing.reason
    _known[kind, uid] = ready
    _RESOURCES.labels(kind).inc(before is None)
    _READY.labels(kind).inc(ready - bool(before))
