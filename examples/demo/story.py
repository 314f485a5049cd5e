"""What people do with the operator, and what they see; all of it through the real APIs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes_asyncio.config import new_client_from_config

from examples.demo.application import log_in
from examples.demo.operator import ROOT
from examples.demo.steps import expect, step
from tests.cluster import Keycloak, eventually
from tests.functional.keycloak_operator.users import User, install_crds

NAMESPACE = "default"

Resources = dict[tuple[str, str], dict[str, Any]]


def resources() -> Resources:
    """Return the specs of everything in ``examples/*.yaml``, by kind and name."""
    documents = (each for path in sorted((ROOT / "examples").glob("*.yaml")) for each in _documents(path))
    return {(each["kind"], each["metadata"]["name"]): each["spec"] for each in documents}


def _documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


async def install(kubeconfig: Path) -> None:
    """Install the operator's custom resource definitions."""
    async with await new_client_from_config(str(kubeconfig)) as api:
        await install_crds(api)


@dataclass(frozen=True)
class Story:
    """Everybody and everything in it."""

    user: User
    server: Keycloak
    resources: Resources

    @classmethod
    @asynccontextmanager
    async def about(cls, kubeconfig: Path, server: Keycloak) -> AsyncIterator[Story]:
        """Yield the story with a connection of its own."""
        async with await new_client_from_config(str(kubeconfig)) as api:
            yield cls(User(api, NAMESPACE), server, resources())

    async def run(self) -> None:
        """Take every step."""
        await self.apply()
        await self.log_in()
        await self.drift()
        await self.update()
        await self.conflict()
        await self.delete()

    async def apply(self) -> None:
        """Apply the examples, with the URL and the account of the Keycloak that was just started in place of theirs."""
        account = self.server.service_account
        keycloak = self.resources["KeycloakConnection", "keycloak"]
        keycloak["url"] = self.server.url
        with step("start the operator, apply examples/*.yaml, wait until all of it is Ready") as seen:
            await self.user.put_secret(
                keycloak["admin"]["secret"], client_id=account.client_id, client_secret=account.client_secret
            )
            for (kind, name), spec in self.resources.items():
                await self.user.apply(kind, name, spec)
            for kind, name in self.resources:
                await self.user.wait_for(kind, name, "Synced")
            seen.append(", ".join(f"{kind} {name}" for kind, name in self.resources))

    async def log_in(self) -> None:
        """Be the application whose client was declared; its token has to be what realm and client say."""
        realm = self.resources["KeycloakRealm", "shop"]["realm"]
        client = self.resources["KeycloakClient", "orders"]
        with step("log in as the client orders, with nothing but its Secret") as seen:
            secret = await self.user.secret(client["outputSecret"]["name"])
            claims = await log_in(secret or {})
            seconds = claims["exp"] - claims["iat"]
            seen.append(f"a token for {claims['azp']}, meant for {claims['aud']}, good for {seconds} s")
        mapper = client["client"]["protocolMappers"][0]["config"]
        expect(claims["iss"] == f"{self.server.url}/realms/shop", "the token to be of the realm shop")
        expect(claims["azp"] == client["client"]["clientId"], "the token to be the client's")
        expect(claims["aud"] == mapper["included.custom.audience"], "the token to have the declared audience")
        expect(seconds == realm["accessTokenLifespan"], "the token to live as long as the realm declares")

    async def drift(self) -> None:
        """Change the realm past the operator, and wait until that is put right."""
        declared = self.resources["KeycloakRealm", "shop"]["realm"]["passwordPolicy"]
        with step("give the realm a weaker password policy in the admin console, wait until it is put right"):
            await self.server.api.ask("PUT", "realms/shop", {"passwordPolicy": "length(3)"})

            async def put_right() -> bool:
                return bool((await self.server.api.ask("GET", "realms/shop"))["passwordPolicy"] == declared)

            await eventually(put_right, f"the password policy is {declared} again")
            await self.user.wait_for_event("shop", "DriftCorrected")

    async def update(self) -> None:
        """Change a resource; the next token is as it says."""
        spec = self.resources["KeycloakRealm", "shop"]
        spec["realm"]["accessTokenLifespan"] = 120
        with step("let tokens live for 120 s in the resource, and wait until it is Ready again"):
            generation = await self.user.apply("KeycloakRealm", "shop", spec)
            await self.user.wait_for("KeycloakRealm", "shop", "Synced", generation)
        await self.log_in()

    async def conflict(self) -> None:
        """Claim the same realm a second time."""
        with step("declare the realm shop a second time") as seen:
            await self.user.apply("KeycloakRealm", "shop-again", self.resources["KeycloakRealm", "shop"])
            await self.user.wait_for("KeycloakRealm", "shop-again", "NameConflict")
            condition = await self.user.condition("KeycloakRealm", "shop-again")
            seen.append(f"{condition['reason']}, {condition['message']}")

    async def delete(self) -> None:
        """Delete everything; what becomes of it in Keycloak is what its deletionPolicy says."""
        with step("delete all resources: the clients go from Keycloak, the realm stays"):
            for kind in ("KeycloakClient", "KeycloakRealm", "KeycloakConnection"):
                names = [name for each, name in self.resources if each == kind]
                names += ["shop-again"] if kind == "KeycloakRealm" else []
                await asyncio.gather(*(self._delete(kind, name) for name in names))
        left = {each["clientId"] for each in await self.server.api.ask("GET", "realms/shop/clients")}
        expect(not left & {"shop-page", "orders"}, "both clients to be gone")

    async def _delete(self, kind: str, name: str) -> None:
        await self.user.delete(kind, name)
        await self.user.wait_until_gone(kind, name)
