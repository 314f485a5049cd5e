"""The chart on a real API server: what is accepted there, and what a release leaves behind."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, ApiextensionsV1Api, AppsV1Api, CoreV1Api
from kubernetes_asyncio.config import new_client_from_config
from kubernetes_asyncio.dynamic import DynamicClient

from tests.chart.monitors import install_monitors
from tests.chart.releasing import RESTRICTED, Release, make_namespace
from tests.chart.rendering import Helm, overlays
from tests.cluster import control_plane

ON = "coverage.enabled=true"


async def _answer(api: ApiClient, document: dict[str, Any]) -> dict[str, Any]:
    """Have *document* applied in a strict dry run; return what came of it, or the Status that refuses it."""
    async with DynamicClient(api) as client:
        kind = await client.resources.get(api_version=document["apiVersion"], kind=document["kind"])
        strict = [("fieldValidation", "Strict")]
        answer = await client.server_side_apply(
            kind, body=document, field_manager="tests", force_conflicts=True, dry_run="All", query_params=strict
        )
    made: dict[str, Any] = answer.to_dict()
    return made


@pytest.mark.parametrize("options", [(), (f"--set={ON}",)], ids=["as it is", "with coverage"])
@pytest.mark.parametrize("name", overlays())
async def test_every_manifest_is_accepted(helm: Helm, api: ApiClient, name: str, options: tuple[str, ...]) -> None:
    for namespace in ("operators", "team-a", "team-b"):
        await make_namespace(api, namespace)
    await install_monitors(api)
    for document in helm.overlay(name, options=options).documents:
        made = await _answer(api, document)
        assert (made["kind"], made["metadata"].get("name")) == (document["kind"], document["metadata"]["name"]), made


async def test_an_unknown_field_is_not(helm: Helm, api: ApiClient) -> None:
    await make_namespace(api, "operators")
    await install_monitors(api)
    monitor = helm.overlay("everything").only("ServiceMonitor")
    monitor["spec"]["endpoints"][0]["misspelt"] = True
    assert ".spec.endpoints[0].misspelt: field not declared" in (await _answer(api, monitor))["message"]
    deployment = helm.template().only("Deployment")
    deployment["spec"]["template"]["spec"]["misspelt"] = True
    assert ".spec.template.spec.misspelt: field not declared" in (await _answer(api, deployment))["message"]


def _pod(helm: Helm, namespace: str, **values: Any) -> dict[str, Any]:
    spec = helm.template(values, namespace=namespace).pod
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "demo", "namespace": namespace}, "spec": spec}


@pytest.mark.parametrize("coverage", [False, True])
async def test_the_pod_is_admitted_where_only_restricted_ones_are(helm: Helm, api: ApiClient, coverage: bool) -> None:
    namespace = await make_namespace(api, "restricted", RESTRICTED)
    made = await _answer(api, _pod(helm, namespace, coverage={"enabled": coverage}))
    assert made["kind"] == "Pod", made


async def test_another_pod_is_not_admitted_there(helm: Helm, api: ApiClient) -> None:
    namespace = await make_namespace(api, "restricted", RESTRICTED)
    refusal = await _answer(api, _pod(helm, namespace, securityContext={"capabilities": None}))
    assert refusal["code"] == 403
    assert "unrestricted capabilities" in refusal["message"]


async def _claim(api: ApiClient, release: Release) -> Any:
    found = await CoreV1Api(api).list_namespaced_persistent_volume_claim(release.namespace)
    return found.items[0].metadata if found.items else None


async def _deployments(api: ApiClient, release: Release) -> list[str]:
    found = await AppsV1Api(api).list_namespaced_deployment(release.namespace)
    return [each.metadata.name for each in found.items]


async def test_the_claim_stays_the_same_through_upgrades_and_beyond_the_release(
    release: Release, api: ApiClient
) -> None:
    assert "coverage-hooks collect" not in release.install()
    assert await _claim(api, release) is None
    assert "coverage-hooks collect" in release.upgrade(ON)
    claim = await _claim(api, release)
    assert claim.name == "demo-keycloak-operator-coverage"

    for settings in ([ON, "coverage.run=second", "image.tag=other"], [], [ON]):
        release.upgrade(*settings)
        assert (await _claim(api, release)).uid == claim.uid, settings
    release.uninstall()
    assert await _deployments(api, release) == []
    assert (await _claim(api, release)).uid == claim.uid

    release.install(ON)
    found = await _claim(api, release)
    assert (found.uid, found.deletion_timestamp) == (claim.uid, None)
    assert await _deployments(api, release) == ["demo-keycloak-operator"]


async def test_the_claim_goes_with_the_release_when_that_is_wanted(release: Release, api: ApiClient) -> None:
    release.install(ON, "coverage.persistence.keep=false")
    release.uninstall()
    assert (await _claim(api, release)).deletion_timestamp is not None


async def _definitions(api: ApiClient) -> list[str]:
    """Return the names of the definitions that are there to stay."""
    found = await ApiextensionsV1Api(api).list_custom_resource_definition()
    return [each.metadata.name for each in found.items if each.metadata.deletion_timestamp is None]


async def test_the_definitions_outlive_the_release_unless_told_otherwise(helm: Helm) -> None:
    # On an API server of its own: one that deletes definitions takes longer for it each time.
    with control_plane() as plane:
        release = Release(helm, plane.kubeconfig, "default")
        async with await new_client_from_config(str(plane.kubeconfig)) as api:
            release.install()
            assert len(made := await _definitions(api)) == 3
            release.uninstall()
            assert await _definitions(api) == made
            release.install()  # takes them over
            release.upgrade("crds.keep=false")
            release.uninstall()
            assert await _definitions(api) == []
