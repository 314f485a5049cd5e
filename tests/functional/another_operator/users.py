"""What users do to the operator, through the API server; every act waits for what a user would look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import yaml
from kubernetes_asyncio.client import ApiClient, ApiException, ApiextensionsV1Api, CoreV1Api, CustomObjectsApi

from tests.cluster import eventually
from tests.functional.another_operator.operator import PROJECT


async def install(api: ApiClient) -> None:
    """Install the CRD, unless it is there, and wait until the API server serves it."""
    crds: Any = ApiextensionsV1Api(api)
    definition = yaml.safe_load((PROJECT / "crd.yaml").read_text())
    try:
        await crds.create_custom_resource_definition(definition)
    except ApiException as error:
        if error.status != 409:
            raise

    async def established() -> bool:
        found = await crds.read_custom_resource_definition(definition["metadata"]["name"])
        return any(each.type == "Established" and each.status == "True" for each in found.status.conditions or ())

    await eventually(established, "the API server serves banners")


class Users:
    """Everybody who uses one namespace."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        # Any: the stubs know neither dictionaries as bodies nor _content_type.
        self._core: Any = CoreV1Api(api)
        self._custom: Any = CustomObjectsApi(api)
        self._namespace = namespace
        self._kind = "example.com", "v1", namespace, "banners"

    async def apply(self) -> None:
        """Create the example banners; two of them are published, one is refused."""
        for banner in yaml.safe_load_all((PROJECT / "banners.yaml").read_text()):
            await self._custom.create_namespaced_custom_object(*self._kind, banner)
        await self._see("welcome", lambda status: status.get("phase") == "Published" and status.get("greetings", 0) > 1)
        await self._see("plain", lambda status: status.get("phase") == "Published")
        await self._see("refused", lambda status: status.get("phase") == "Refused")

    async def change(self) -> None:
        """Ask for fewer copies in another frame, and loudly."""
        spec = {"copies": 1, "frame": "stars", "loud": True}
        await self._custom.patch_namespaced_custom_object(
            *self._kind, "welcome", {"spec": spec}, _content_type="application/merge-patch+json"
        )
        await self._see("welcome", lambda status: "regret" in status)
        await eventually(self._pages_are("welcome-banner", "plain-banner"), "two pages are left")

    async def delete_page(self) -> None:
        """Delete a ConfigMap behind the operator's back, and wait until it has put it back."""
        await self._core.delete_namespaced_config_map("welcome-banner", self._namespace)
        await self._see("welcome", lambda status: status.get("repairs") == 1)
        await eventually(self._pages_are("welcome-banner", "plain-banner"), "the page is back")

    async def delete(self) -> None:
        """Delete every banner, and wait until all of them and their pages are gone."""
        for name in ("welcome", "plain", "refused"):
            await self._custom.delete_namespaced_custom_object(*self._kind, name)

        async def gone() -> bool:
            return not (await self._custom.list_namespaced_custom_object(*self._kind))["items"]

        await eventually(gone, "no banner is left")
        await eventually(self._pages_are(), "no page is left")

    async def _see(self, name: str, seen: Callable[[Mapping[str, Any]], bool]) -> None:
        status: Mapping[str, Any] = {}

        async def look() -> bool:
            nonlocal status
            banner = await self._custom.get_namespaced_custom_object(*self._kind, name)
            status = banner.get("status", {})
            return seen(status)

        await eventually(look, f"banner {name} is as it should be", details=lambda: f"its status: {status}")

    def _pages_are(self, *names: str) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            found = await self._core.list_namespaced_config_map(self._namespace, label_selector="example.com/banner")
            return sorted(item.metadata.name for item in found.items) == sorted(names)

        return look
