"""What the operator prints when it is told to print JSON: nothing else, from its first line to its last."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.cluster import ControlPlane
from tests.functional.keycloak_operator.scraping import free_address
from tests.functional.keycloak_operator.users import User, start_operator
from tests.functional.operating import Running

#: Nothing listens there: it takes root to do so.
SPEC = {"url": "http://127.0.0.1:1", "admin": {"secret": "admin"}}


def lines(running: Running) -> list[dict[str, Any]]:
    """Return every line that was printed."""
    return [json.loads(line) for line in running.text().splitlines()]


def hang_up(address: str) -> None:
    """Ask at *address*, and be gone before there is an answer."""
    parts = urlsplit(address)
    assert parts.hostname
    with socket.create_connection((parts.hostname, parts.port)) as client:
        client.sendall(b"GET /metrics")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


async def test_every_line_is_json(user: User, control_plane: ControlPlane, tmp_path: Path) -> None:
    address = free_address("/metrics")
    environment = {
        "KEYCLOAK_OPERATOR_LOG_FORMAT": "json",
        "KEYCLOAK_OPERATOR_LEASE": f"{user.namespace}/turns",
        "KEYCLOAK_OPERATOR_METRICS": address,
        # What is said of it is said before anything else, and before it is known how.
        "COVERAGE_HOOKS_ENABLED": "1",
        "COVERAGE_HOOKS_DIR": str(tmp_path / "volume"),
        "COVERAGE_HOOKS_INTERVAL": "often",
    }
    await user.put_secret("admin", client_id="operator", client_secret="secret")
    await user.apply("KeycloakConnection", "main", SPEC)
    with start_operator(tmp_path, control_plane.kubeconfig, user.namespace, **environment) as running:
        await user.wait_for("KeycloakConnection", "main", "KeycloakUnavailable")
        await asyncio.to_thread(hang_up, address)
        running.signal(signal.SIGTERM)
        assert await asyncio.to_thread(running.ended) == 0
    found = lines(running)
    assert all({"message", "severity", "timestamp"} <= line.keys() for line in found)
    messages = [line["message"] for line in found]
    assert any("COVERAGE_HOOKS_INTERVAL" in message for message in messages)
    assert any("leads from now on" in message for message in messages)
    (unavailable,) = (line for line in found if line["message"].startswith("KeycloakUnavailable"))
    assert unavailable["object"]["name"] == "main"
    assert unavailable["severity"] == "warn"


async def test_so_is_why_it_does_not_start(control_plane: ControlPlane, tmp_path: Path) -> None:
    environment = {"KEYCLOAK_OPERATOR_LOG_FORMAT": "json", "KEYCLOAK_OPERATOR_TIMEOUT_SECONDS": "0"}
    with start_operator(tmp_path, control_plane.kubeconfig, "default", **environment) as running:
        assert await asyncio.to_thread(running.ended) == 1
    (line,) = lines(running)
    assert "KEYCLOAK_OPERATOR_TIMEOUT_SECONDS='0': expected 1 to 300 seconds" in line["message"]
    assert line["severity"] == "fatal"
