"""What is counted while resources come, fail and go, as Prometheus reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import ControlPlane, eventually
from tests.cluster.keycloak import Keycloak
from tests.functional.keycloak_operator.scraping import free_address, scrape
from tests.functional.keycloak_operator.users import ENTRANCES, User, start_operator


@pytest.mark.parametrize("entrance", ENTRANCES)
async def test_resources_are_counted_for_as_long_as_they_are_there(
    user: User, keycloak: Keycloak, control_plane: ControlPlane, tmp_path: Path, entrance: str
) -> None:
    account, address = keycloak.service_account, free_address("/metrics")
    await user.put_secret("admin", client_id=account.client_id, client_secret=account.client_secret)
    with start_operator(
        tmp_path, control_plane.kubeconfig, user.namespace, entrance, KEYCLOAK_OPERATOR_METRICS=address
    ) as operator:
        declared = {"realm": f"realm-of-{user.namespace}"}
        spec = {"connectionRef": {"name": "keycloak"}, "realm": declared, "deletionPolicy": "Delete"}
        await user.apply("KeycloakRealm", "realm", spec)
        await user.wait_for("KeycloakRealm", "realm", "NotFound")
        found = await scrape(address)
        assert found["errors_total{KeycloakRealm,NotFound}"] >= 1
        assert (found["resources{KeycloakRealm}"], found["ready{KeycloakRealm}"]) == (1, 0)
        assert found["leader"] == 1

        await user.apply("KeycloakConnection", "keycloak", {"url": keycloak.url, "admin": {"secret": "admin"}})
        await user.wait_for("KeycloakRealm", "realm", "Synced")

        async def ready() -> dict[str, float] | None:
            values = await scrape(address)
            return values if values["ready{KeycloakRealm}"] == values["ready{KeycloakConnection}"] == 1 else None

        found = await eventually(ready, "both are ready", details=operator.text)
        assert found["reconciles_total{KeycloakRealm,synced}"] >= 1
        assert found["reconcile_seconds_count{KeycloakRealm}"] > found["reconciles_total{KeycloakRealm,synced}"]
        assert found["keycloak_requests_total{GET,200}"] >= 1
        assert found["keycloak_requests_total{POST,201}"] == 1, "the realm"
        assert found["queue{KeycloakRealm}"] == 0

        await user.delete("KeycloakRealm", "realm")
        await user.wait_until_gone("KeycloakRealm", "realm")

        async def left() -> bool:
            values = await scrape(address)
            return values["resources{KeycloakRealm}"] == values["ready{KeycloakRealm}"] == 0

        await eventually(left, "the realm is not counted any more", details=operator.text)
        assert (await scrape(address))["keycloak_requests_total{DELETE,204}"] == 1
