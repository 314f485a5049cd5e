"""The output Secret of a client: written, kept over a loss of the client, and deleted when it is no longer meant."""

from __future__ import annotations

from typing import Any

from keycloak_operator.errors import SecretConflictError, WaitingError
from keycloak_operator.reconcile.difference import MASK
from keycloak_operator.reconcile.outcome import World
from keycloak_operator.reconcile.place import Place
from keycloak_operator.reconcile.ports import Secret
from keycloak_operator.resources import API_VERSION, KeycloakClient

_SECRET = "client-secret"  # noqa: S105 - the name of a key


async def kept(world: World, client: KeycloakClient) -> str:
    """Return the secret that applications know for *client*, empty if there is none yet."""
    for name in dict.fromkeys(filter(None, (client.status.secret_name, client.output_secret_name))):
        present = await world.cluster.secret(client.metadata.namespace, name)
        if present is not None and client.metadata.uid in present.owners and present.data.get(_SECRET):
            return present.data[_SECRET]
    return ""


async def write(
    world: World, client: KeycloakClient, place: Place, *, actual: dict[str, Any], issuer: str
) -> str | None:
    """Bring the output Secret up to date, and return its name; a client without a secret of its own has none.

    The Secret that was written before under another name goes, as applications would go on with it.
    """
    name = client.output_secret_name if _has_secret(actual) else None
    # First, so that none is left behind if something fails now: the status knows of one Secret.
    if client.status.secret_name not in {None, name}:
        await _delete(world, client, str(client.status.secret_name))
    if name is not None:
        data = {"client-id": place.client_id, _SECRET: await _current(client, place, actual), "issuer": issuer}
        await _apply(world, client, name, data)
    return name


async def _current(client: KeycloakClient, place: Place, actual: dict[str, Any]) -> str:
    """Return the client's secret; of two that are valid, the newer one."""
    # What was declared may be an older secret that Keycloak still accepts: only the request tells the newer one.
    shown = actual.get("secret") if client.spec.client_secret_ref is None else None
    value = str(shown) if shown not in {None, "", MASK} else await place.admin.client_secret(place.realm, actual["id"])
    if value in {"", MASK}:
        raise WaitingError(
            f"Keycloak does not show the secret of client {place.client_id} in realm {place.realm}; give the "
            "operator's account the role admin"
        )
    return value


def _has_secret(actual: dict[str, Any]) -> bool:
    return not actual.get("publicClient") and not actual.get("bearerOnly")


async def _apply(world: World, client: KeycloakClient, name: str, data: dict[str, str]) -> None:
    spec, namespace = client.spec.output_secret, client.metadata.namespace
    wanted = Secret(
        namespace=namespace,
        name=name,
        data=data,
        labels=(spec.labels if spec else None) or {},
        annotations=(spec.annotations if spec else None) or {},
    )
    present = await world.cluster.secret(namespace, name)
    if present is not None and client.metadata.uid not in present.owners:
        raise SecretConflictError(f"Secret {namespace}/{name} is not this client's; choose another outputSecret.name")
    # With a new spec also when nothing is missing: a label may have left it, and applying takes it off the Secret.
    is_new = client.status.observed_generation != client.metadata.generation
    if present is None or is_new or not _contains(present, wanted):
        owner = {
            "apiVersion": API_VERSION,
            "kind": client.definition.kind,
            "metadata": {"name": client.metadata.name, "uid": client.metadata.uid},
        }
        await world.cluster.apply_secret(wanted, owner)


async def _delete(world: World, client: KeycloakClient, name: str) -> None:
    present = await world.cluster.secret(client.metadata.namespace, name)
    if present is not None and client.metadata.uid in present.owners:
        await world.cluster.delete_secret(present)


def _contains(present: Secret, wanted: Secret) -> bool:
    return (
        wanted.data.items() <= present.data.items()
        and wanted.labels.items() <= present.labels.items()
        and wanted.annotations.items() <= present.annotations.items()
    )
