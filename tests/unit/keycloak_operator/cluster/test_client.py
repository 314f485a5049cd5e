"""What the Kubernetes API is asked, and what it does instead of answering, in the words of the operator."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.client.exceptions import ApiException

from keycloak_operator.cluster import ClusterClient
from keycloak_operator.errors import ClusterError
from keycloak_operator.reconcile.ports import Secret
from keycloak_operator.resources import GROUP, VERSION
from tests.unit.keycloak_operator.cluster.conftest import Api

SECRET = Secret(namespace="team", name="it", data={})
CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "get": ("get", ("keycloakrealms", "team", "it")),
    "secret": ("secret", ("team", "it")),
    "apply": ("apply_secret", (SECRET, {"apiVersion": "v1", "kind": "K", "metadata": {"name": "it", "uid": "u"}})),
    "delete": ("delete_secret", (SECRET,)),
    "status": ("patch_status", ("keycloakrealms", "team", "it", {})),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (aiohttp.ServerDisconnectedError(), "does not answer to .* Server disconnected"),
        (TimeoutError(), "does not answer to .* TimeoutError"),
        (ApiException(status=403, reason="Forbidden"), "refused to .* 403 Forbidden"),
    ],
)
async def test_what_is_no_answer_is_an_error_of_the_cluster(
    monkeypatch: pytest.MonkeyPatch, call: str, failure: Exception, says: str
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(ApiClient, "call_api", fail)
    method, arguments = CALLS[call]
    async with ApiClient() as api:
        with pytest.raises(ClusterError, match=says):
            await getattr(ClusterClient(api), method)(*arguments)


OWNER = {
    "apiVersion": "v1",
    "kind": "KeycloakClient",
    "metadata": {"name": "it", "uid": "u"},
}


async def test_a_secret_is_read(api: Api) -> None:
    metadata = {"resourceVersion": "7", "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}]}
    api.content = {"metadata": metadata, "data": {"text": "Z2VoZWlt", "no-text": "/w==", "no-base64": "a"}}
    found = await ClusterClient(api.client).secret("team", "it")
    assert found == Secret(
        namespace="team",
        name="it",
        data={"text": "geheim", "no-text": "", "no-base64": ""},
        resource_version="7",
        owners=frozenset({"u"}),
    )


async def test_a_secret_is_applied_with_its_owner_whoever_wrote_to_it_before(api: Api) -> None:
    wanted = Secret(namespace="team", name="it", data={"a": "geheim"}, labels={"l": "1"}, annotations={"n": "2"})
    await ClusterClient(api.client).apply_secret(wanted, OWNER)
    (asked,) = api.asked
    assert (asked.method, asked.path) == ("PATCH", "/api/v1/namespaces/team/secrets/it")
    assert (asked.content_type, asked.query) == (
        "application/apply-patch+yaml",
        {"fieldManager": "keycloak-operator", "force": "True"},
    )
    assert asked.body["metadata"] == {
        "name": "it",
        "namespace": "team",
        "labels": {"l": "1"},
        "annotations": {"n": "2"},
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "KeycloakClient", "name": "it", "uid": "u", "controller": True}
        ],
    }
    assert asked.body["data"] == {"a": "Z2VoZWlt"}


@pytest.mark.parametrize("status", [200, 404, 409])
async def test_a_secret_is_deleted_unless_it_has_changed_since(api: Api, status: int) -> None:
    api.status = status
    secret = Secret(namespace="team", name="it", data={}, resource_version="7")
    await ClusterClient(api.client).delete_secret(secret)
    (asked,) = api.asked
    assert (asked.method, asked.path) == ("DELETE", "/api/v1/namespaces/team/secrets/it")
    assert asked.body == {"preconditions": {"resourceVersion": "7"}}


async def test_a_status_is_merged_and_nothing_else(api: Api) -> None:
    await ClusterClient(api.client).patch_status("keycloakrealms", "team", "it", {"realm": None})
    (asked,) = api.asked
    assert (asked.method, asked.path) == (
        "PATCH",
        f"/apis/{GROUP}/{VERSION}/namespaces/team/keycloakrealms/it/status",
    )
    assert (asked.content_type, asked.body) == ("application/merge-patch+json", {"status": {"realm": None}})


@pytest.mark.parametrize("call", CALLS)
async def test_what_the_api_says_at_length_is_not_passed_on(api: Api, call: str) -> None:
    api.status, api.content = 422, {"kind": "Status", "message": "Secret is invalid: data: hidden"}
    method, arguments = CALLS[call]
    with pytest.raises(ClusterError, match=r"refused to .* 422") as raised:
        await getattr(ClusterClient(api.client), method)(*arguments)
    assert "hidden" not in str(raised.value)
