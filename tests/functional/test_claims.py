"""What a claim says of whoever reads it, with nobody there any more to ask: against a real API server."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api

from coverage_hooks.collect.cluster import claims, pod
from tests.functional.claims import claimed


@pytest.fixture
async def core(api: ApiClient) -> Any:
    return CoreV1Api(api)


async def test_a_private_image_can_be_pulled_when_nothing_of_the_release_is_left(
    api: ApiClient, core: Any, namespace: str
) -> None:
    annotations = {"image": "private/operator:1-coverage", "uid": "65532", "image-pull-secrets": "one,two"}
    await claimed(core, namespace, annotations)
    reader = pod.manifest(await claims.look(api, namespace, "recordings", None), "me")
    assert reader["spec"]["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert reader["spec"]["containers"][0]["image"] == "private/operator:1-coverage"


async def test_what_the_claim_does_not_say_the_pod_that_has_it_does(api: ApiClient, core: Any, namespace: str) -> None:
    await claimed(core, namespace, {"image": "operator:1-coverage"})
    container = {"name": "main", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "recordings"}}
    spec = {"containers": [container], "volumes": [volume], "imagePullSecrets": [{"name": "own"}], "nodeName": "n"}
    await core.create_namespaced_pod(namespace, {"metadata": {"name": "holder"}, "spec": spec})
    reader = pod.manifest(await claims.look(api, namespace, "recordings", None), "me")
    assert reader["spec"]["imagePullSecrets"] == [{"name": "own"}]
