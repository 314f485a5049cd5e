"""Definitions that ``kubectl apply`` made before the release came: left alone, until they are handed over."""

from __future__ import annotations

import copy
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml
from kubernetes_asyncio.client import ApiClient, ApiextensionsV1Api
from kubernetes_asyncio.config import new_client_from_config

from keycloak_operator.resources import crds
from tests.chart.releasing import Release
from tests.chart.rendering import Helm, RefusedError
from tests.cluster import control_plane

#: What an older version did not show.
COLUMN = ".metadata.creationTimestamp"
OWNER = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")


class Definitions:
    """The definitions on an API server, as the administrator of a cluster works with them."""

    def __init__(self, api: ApiClient) -> None:
        self._extensions: Any = ApiextensionsV1Api(api)

    async def apply_older(self) -> None:
        """Apply those of an older version, as ``kubectl apply --server-side`` does: they lack a field."""
        for path in sorted(crds.FOLDER.glob("*.yaml")):
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            older = copy.deepcopy(document)
            columns = older["spec"]["versions"][0]["additionalPrinterColumns"]
            columns[:] = [column for column in columns if column["jsonPath"] != COLUMN]
            await self._extensions.patch_custom_resource_definition(
                document["metadata"]["name"],
                older,
                field_manager="kubectl",
                _content_type="application/apply-patch+yaml",
            )

    async def patch(self, name: str, **metadata: Any) -> None:
        """Merge *metadata* into that of one."""
        await self._extensions.patch_custom_resource_definition(
            name, {"metadata": metadata}, _content_type="application/merge-patch+json"
        )

    async def there(self) -> list[Any]:
        """Return those that are there to stay."""
        found = await self._extensions.list_custom_resource_definition()
        return [each for each in found.items if each.metadata.deletion_timestamp is None]

    async def uids(self) -> dict[str, str]:
        """Return the uid of each by its name."""
        return {each.metadata.name: each.metadata.uid for each in await self.there()}

    async def owners(self) -> set[tuple[str | None, ...]]:
        """Return whose they are."""
        return {tuple((each.metadata.annotations or {}).get(key) for key in OWNER) for each in await self.there()}

    async def are_new(self) -> set[bool]:
        """Return of each whether it has the field that the older ones lack."""
        return {COLUMN in str(each.spec.versions[0].additional_printer_columns) for each in await self.there()}


@pytest.fixture
async def api(helm: Helm) -> AsyncIterator[tuple[Release, Definitions]]:
    """Return a release and the definitions on an API server of their own: other tests need theirs to stay."""
    with control_plane() as plane:
        async with await new_client_from_config(str(plane.kubeconfig)) as client:
            yield Release(helm, plane.kubeconfig, "default"), Definitions(client)


def _handed_over(notes: str) -> dict[str, dict[str, dict[str, str]]]:
    """Return what the commands in *notes* put on each definition, as ``kubectl`` does it."""
    made: dict[str, dict[str, dict[str, str]]] = {}
    for verb, rest in re.findall(r"^  kubectl (label|annotate) customresourcedefinitions (.+)$", notes, re.MULTILINE):
        words = rest.split()
        pairs = dict(word.split("=") for word in words if "=" in word)
        for name in (word for word in words if "=" not in word):
            made.setdefault(name, {})["labels" if verb == "label" else "annotations"] = pairs
    return made


async def test_what_kubectl_made_is_left_until_it_is_handed_over(api: tuple[Release, Definitions]) -> None:
    release, definitions = api
    await definitions.apply_older()
    before = await definitions.uids()
    assert len(before) == 3
    assert await definitions.are_new() == {False}

    notes = release.install()
    assert (await definitions.uids(), await definitions.are_new()) == (before, {False})
    assert await definitions.owners() == {(None, None)}
    assert "These definitions were there before" in release.upgrade()

    assert _handed_over(notes).keys() == before.keys()
    for name, metadata in _handed_over(notes).items():
        await definitions.patch(name, **metadata)
    assert "These definitions were there before" not in release.upgrade()
    assert await definitions.uids() == before
    assert await definitions.owners() == {("demo", "default")}
    assert await definitions.are_new() == {True}


async def test_what_the_release_has_stays_when_it_no_longer_says_so(api: tuple[Release, Definitions]) -> None:
    """As after ``kubectl replace``: left out of an upgrade, they would be deleted, and every resource with them."""
    release, definitions = api
    release.install()
    before = await definitions.uids()
    for name in before:
        await definitions.patch(name, annotations=None, labels=None)
    assert "These definitions were there before" not in release.upgrade()
    assert await definitions.uids() == before
    assert await definitions.owners() == {("demo", "default")}


async def test_what_is_of_another_release_is_refused_as_long_as_it_is_asked_for(
    api: tuple[Release, Definitions],
) -> None:
    release, definitions = api
    release.install()
    other = Release(release.helm, release.kubeconfig, "kube-public")
    with pytest.raises(RefusedError, match="invalid ownership metadata"):
        other.install()
    other.install("crds.install=false")
    assert await definitions.owners() == {("demo", "default")}


async def test_what_was_not_wanted_can_be_taken_later(api: tuple[Release, Definitions]) -> None:
    release, definitions = api
    await definitions.apply_older()
    before = await definitions.uids()
    assert "These definitions were there before" not in release.install("crds.install=false")
    notes = release.upgrade("crds.install=true")
    assert _handed_over(notes).keys() == before.keys()
    assert await definitions.uids() == before
