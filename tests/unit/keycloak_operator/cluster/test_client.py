"""What the Kubernetes API does instead of answering, in the words of the operator."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.client.exceptions import ApiException

from keycloak_operator.cluster import ClusterClient
from keycloak_operator.errors import ClusterError
from keycloak_operator.reconcile.ports import Secret

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
