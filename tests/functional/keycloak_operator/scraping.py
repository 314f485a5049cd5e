"""What Prometheus sees of an operator."""

from __future__ import annotations

import socket

import aiohttp
from prometheus_client.parser import text_string_to_metric_families


def free_address(path: str) -> str:
    """Return an address on this machine at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}{path}"


async def scrape(address: str) -> dict[str, float]:
    """Return the operator's own values at *address*, each by its name with its labels: ``ready{KeycloakRealm}``."""
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        text = await answer.text()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(prefix := "keycloak_operator_"):
                labels = ",".join(sample.labels.values())
                found[sample.name.removeprefix(prefix) + (f"{{{labels}}}" if labels else "")] = sample.value
    return found
