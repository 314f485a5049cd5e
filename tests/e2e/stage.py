"""A release, somebody who uses it, and a Keycloak for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.collecting import ROOT, Collected, collect, copy_claim
from tests.e2e.keycloak import KeycloakPod
from tests.e2e.namespaces import Namespace
from tests.e2e.releases import CLAIM, RUN, OperatorRelease
from tests.functional.keycloak_operator.users import User

_EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Stage:
    """Everything that a test of the operator needs."""

    release: OperatorRelease
    user: User
    keycloak: KeycloakPod

    @property
    def namespace(self) -> Namespace:
        """Return where all of it is but Keycloak."""
        return self.release.namespace

    @property
    def realm(self) -> str:
        """Return the name of a realm that no other test uses."""
        return f"shop-{self.namespace.name}"

    async def install(self, *settings: str) -> None:
        """Install the operator."""
        await asyncio.to_thread(self.release.install, *settings)

    async def uninstall(self) -> None:
        """Uninstall it, and wait until its pods are gone."""
        await asyncio.to_thread(self.release.uninstall)

    async def apply_examples(self) -> None:
        """Apply the examples, with the realm and the Keycloak of this test, and wait until each is Ready."""
        await self.user.put_secret("keycloak-admin", **self.keycloak.secret)
        found = list(self._examples())
        for document in found:
            await self.user.apply(document["kind"], document["metadata"]["name"], document["spec"])
        for document in found:
            await self.user.wait_for(document["kind"], document["metadata"]["name"], "Synced")

    async def delete(self, kind: str, name: str) -> None:
        """Delete a resource, and wait until the operator has let go of it."""
        await self.user.delete(kind, name)
        await self.user.wait_until_gone(kind, name)

    async def collected(self, folder: Path, *options: str) -> Collected:
        """Copy what is on the operator's claim below *folder*, and collect it."""
        claim = await asyncio.to_thread(copy_claim, self.namespace, CLAIM, folder / "claim")
        return await asyncio.to_thread(collect, ROOT, folder / "output", f"--from={claim}", f"--run={RUN}", *options)

    def _examples(self) -> Any:
        for path in sorted(_EXAMPLES.glob("*.yaml")):
            for document in yaml.safe_load_all(path.read_text()):
                if document["kind"] == "KeycloakConnection":
                    document["spec"]["url"] = self.keycloak.url
                elif document["kind"] == "KeycloakRealm":
                    document["spec"]["realm"]["realm"] = self.realm
                yield document
