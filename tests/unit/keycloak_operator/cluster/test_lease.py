"""A Lease as the Kubernetes API knows it: written only over what was read, as two would lead otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from keycloak_operator.cluster import Lease
from keycloak_operator.cluster.election import Record
from keycloak_operator.errors import ClusterError
from tests.unit.keycloak_operator.cluster.conftest import Api

WHERE = "/apis/coordination.k8s.io/v1/namespaces/team/leases"
OVER = Record(holder="other", seconds=15, version="7", transitions=3)


def content(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "turns", "resourceVersion": "8"}, "spec": spec}


@pytest.fixture
def lease(api: Api) -> Lease:
    return Lease(api.client, "team", "turns", seconds=60)


@pytest.mark.parametrize(
    ("spec", "record"),
    [
        (
            {"holderIdentity": "other", "leaseDurationSeconds": 15, "leaseTransitions": 3},
            Record(holder="other", seconds=15, version="8", transitions=3),
        ),
        ({}, Record(holder="", seconds=0, version="8")),
    ],
)
async def test_what_it_says_is_read(api: Api, lease: Lease, spec: dict[str, Any], record: Record) -> None:
    api.content = content(**spec)
    assert await lease.read() == record
    assert [(each.method, each.path) for each in api.asked] == [("GET", f"{WHERE}/turns")]


async def test_one_that_is_not_there_is_none(api: Api, lease: Lease) -> None:
    api.status = 404
    assert await lease.read() is None


async def test_one_that_is_not_there_is_made(api: Api, lease: Lease) -> None:
    api.status, api.content = 201, content(holderIdentity="me", leaseDurationSeconds=16, leaseTransitions=0)
    assert await lease.write("me", 15.5, None) == Record(holder="me", seconds=16, version="8")
    (asked,) = api.asked
    assert (asked.method, asked.path) == ("POST", WHERE)
    assert asked.body["metadata"] == {"name": "turns", "namespace": "team"}
    assert asked.body["spec"].items() >= {"holderIdentity": "me", "leaseDurationSeconds": 16}.items()


@pytest.mark.parametrize(
    ("holder", "transitions"),
    [pytest.param("me", 4, id="taken"), pytest.param("", 3, id="released"), pytest.param("other", None, id="renewed")],
)
async def test_it_is_written_only_over_what_was_read(
    api: Api, lease: Lease, holder: str, transitions: int | None
) -> None:
    api.content = content(holderIdentity=holder)
    assert await lease.write(holder, 15, OVER) is not None
    (asked,) = api.asked
    assert (asked.method, asked.path, asked.content_type) == ("PATCH", f"{WHERE}/turns", "application/merge-patch+json")
    assert asked.body["metadata"] == {"resourceVersion": "7"}
    assert asked.body["spec"]["holderIdentity"] == holder
    assert asked.body["spec"].get("leaseTransitions") == transitions
    assert ("acquireTime" in asked.body["spec"]) is (transitions is not None)


@pytest.mark.parametrize(("over", "status"), [(None, 409), (OVER, 409), (OVER, 404)])
async def test_another_one_was_faster(api: Api, lease: Lease, over: Record | None, status: int) -> None:
    api.status = status
    assert await lease.write("me", 15, over) is None


@pytest.mark.parametrize(("over", "status"), [(None, 404), (None, 403), (OVER, 403), (OVER, 500)])
async def test_whatever_else_the_api_says_it_is_not_known_who_holds_it(
    api: Api, lease: Lease, over: Record | None, status: int
) -> None:
    api.status = status
    with pytest.raises(ClusterError, match=f"the Kubernetes API refused: {status}"):
        await lease.write("me", 15, over)


async def test_a_request_takes_no_longer_than_it_may(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    async def call(*_: object, _request_timeout: object = None, **__: object) -> None:
        given.append(_request_timeout)
        raise TimeoutError

    monkeypatch.setattr(type(api.client), "call_api", call)
    lease = Lease(api.client, "team", "turns", seconds=5)
    for asking in (lease.read(), lease.write("me", 15, None), lease.write("me", 15, OVER)):
        with pytest.raises(ClusterError, match="does not answer"):
            await asking
    assert given == [5, 5, 5]
