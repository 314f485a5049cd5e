"""What users of the operator do, through the real API, and the operator itself as a process of its own."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes_asyncio.client import ApiClient, ApiextensionsV1Api, CoreV1Api, CustomObjectsApi
from kubernetes_asyncio.client.exceptions import ApiException

from keycloak_operator.resources import API_VERSION, GROUP, VERSION
from tests.cluster import WITHIN, eventually
from tests.functional.operating import Running

CRDS = Path(__file__).parents[3] / "charts" / "keycloak-operator" / "files" / "crds"
PLURALS = {
    "KeycloakConnection": "keycloakconnections",
    "KeycloakRealm": "keycloakrealms",
    "KeycloakClient": "keycloakclients",
}


async def install_crds(api: ApiClient) -> None:
    """Install the custom resource definitions, and wait until the API serves them."""
    extensions: Any = ApiextensionsV1Api(api)
    for path in sorted(CRDS.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        try:
            await extensions.create_custom_resource_definition(document)
        except ApiException as error:
            if error.status != 409:
                raise
        name = document["metadata"]["name"]

        async def established(name: str = name) -> bool:
            found = await extensions.read_custom_resource_definition(name)
            return any(each.type == "Established" and each.status == "True" for each in found.status.conditions or ())

        await eventually(established, f"{name} is established")


@dataclass(frozen=True)
class User:
    """Somebody who works in one namespace."""

    api: ApiClient
    namespace: str

    @property
    def _objects(self) -> Any:
        return CustomObjectsApi(self.api)

    @property
    def _core(self) -> Any:
        return CoreV1Api(self.api)

    async def apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> int:
        """Create or replace a resource by server-side apply; return its generation."""
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
        await self._objects.patch_namespaced_custom_object(
            GROUP,
            VERSION,
            self.namespace,
            PLURALS[kind],
            name,
            body,
            field_manager="user",
            force=True,
            _content_type="application/apply-patch+yaml",
        )
        # The client gives back nothing for what was created, as it does not expect that of a patch.
        applied = await self.get(kind, name)
        assert applied is not None
        return int(applied["metadata"]["generation"])

    async def create(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Create a resource; it is an error if there is one."""
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
        await self._objects.create_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURALS[kind], body)

    async def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a resource, or None."""
        try:
            found: dict[str, Any] = await self._objects.get_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURALS[kind], name
            )
        except ApiException as error:
            if error.status != 404:
                raise
            return None
        return found

    async def delete(self, kind: str, name: str) -> None:
        """Ask for a resource to be deleted."""
        await self._objects.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURALS[kind], name)

    async def condition(self, kind: str, name: str) -> dict[str, Any]:
        """Return the Ready condition of a resource, empty if it has none."""
        found = await self.get(kind, name) or {}
        conditions = (found.get("status") or {}).get("conditions") or []
        return next((dict(each) for each in conditions if each["type"] == "Ready"), {})

    async def wait_for(self, kind: str, name: str, reason: str, generation: int = 1) -> dict[str, Any]:
        """Wait until the Ready condition has *reason* for *generation*, and return the resource."""

        async def reached() -> dict[str, Any] | None:
            condition = await self.condition(kind, name)
            wanted = condition.get("reason") == reason and condition.get("observedGeneration", 0) >= generation
            return await self.get(kind, name) if wanted else None

        try:
            return await eventually(reached, f"{kind} {name} is {reason}")
        except TimeoutError as error:
            error.add_note(f"it is {await self.condition(kind, name)}")
            raise

    async def wait_until_gone(self, kind: str, name: str) -> None:
        """Wait until a resource is gone."""

        async def gone() -> bool:
            return await self.get(kind, name) is None

        await eventually(gone, f"{kind} {name} is gone")

    async def put_secret(self, name: str, **data: str) -> None:
        """Create a Secret, or replace its data."""
        encoded = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
        await self._core.patch_namespaced_secret(
            name, self.namespace, body, field_manager="user", force=True, _content_type="application/apply-patch+yaml"
        )

    async def secret(self, name: str) -> dict[str, str] | None:
        """Return the data of a Secret, or None."""
        try:
            found = await self._core.read_namespaced_secret(name, self.namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return None
        return {key: base64.b64decode(value).decode() for key, value in (found.data or {}).items()}

    async def delete_secret(self, name: str) -> None:
        """Delete a Secret."""
        await self._core.delete_namespaced_secret(name, self.namespace)

    async def events(self, name: str) -> list[str]:
        """Return the reasons of the events about the resource *name*, oldest first."""
        found = await self._core.list_namespaced_event(self.namespace)
        mine = [each for each in found.items if each.involved_object.name == name]
        return [each.reason for each in sorted(mine, key=lambda each: str(each.metadata.creation_timestamp))]

    async def wait_for_event(self, name: str, reason: str) -> None:
        """Wait until there is an event with *reason*; they are posted in the background."""

        async def there() -> bool:
            return reason in await self.events(name)

        await eventually(there, f"there is an event {reason} about {name}")


ENTRANCES = {
    "python -m": ("-m", "keycloak_operator"),
    "kopf run": ("-m", "kopf", "run", "--standalone", "-m", "keycloak_operator.entrypoint"),
}


def surroundings() -> dict[str, str]:
    """Return the environment of this process, without what an operator or an export would take for its own."""
    # In a pod of a build system, the operator would otherwise find the cluster of that.
    foreign = ("COV", "KEYCLOAK_OPERATOR", "KUBERNETES_SERVICE")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def start_operator(
    folder: Path,
    kubeconfig: Path,
    namespace: str,
    entrance: str = "python -m",
    *,
    options: Sequence[str] = (),
    **environment: str,
) -> Running:
    """Start the operator for *namespace*, with *options* of `kopf run`; it looks for drift every two seconds."""
    command = [sys.executable, *ENTRANCES[entrance], *options]
    if entrance == "kopf run":
        command += ["-n", namespace]
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": str(Path(__file__).parents[3]),  # the operator beside these tests, whichever one is installed
        "TMPDIR": str(folder),  # whatever the client keeps of the kubeconfig stays here when it is killed
        "KEYCLOAK_OPERATOR_ID": "test",
        "KEYCLOAK_OPERATOR_NAMESPACES": namespace,
        "KEYCLOAK_OPERATOR_RESYNC_SECONDS": "2",
        "KEYCLOAK_OPERATOR_TIMEOUT_SECONDS": f"{WITHIN:g}",  # a Keycloak that is only slow is no failure
    }
    log = folder / f"operator-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=surroundings() | settings | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Running(process, log)
