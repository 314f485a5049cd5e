"""Which claim is meant, and what whoever reads it has to be: as an API server tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient

from coverage_hooks.collect.cluster import claims, pod
from coverage_hooks.collect.cluster.claims import READER, Volume
from coverage_hooks.collect.cluster.connection import Target, connect
from coverage_hooks.errors import SourceError, UsageError
from tests.unit.collect.api_server import CLAIMS, ApiServer, api_server

HOLDING = {"name": "v", "persistentVolumeClaim": {"claimName": "recordings"}}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as (running, _):
        yield running


@pytest.fixture
async def api(server: ApiServer, tmp_path: Path) -> AsyncIterator[ApiClient]:
    assert server.url
    async with connect(Target(namespace="shop", kubeconfig=tmp_path / "kubeconfig")) as client:
        yield client


def claim(server: ApiServer, name: str = "recordings", *, release: str = "", phase: str = "Bound",
          modes: Sequence[str] = ("ReadWriteOnce",), **annotations: str) -> None:  # fmt: skip
    server.add(
        CLAIMS,
        name,
        metadata={
            "labels": {"app.kubernetes.io/instance": release},
            "annotations": {f"{claims.DOMAIN}/{key}": value for key, value in annotations.items()},
        },
        spec={"accessModes": list(modes)},
        status={"phase": phase},
    )


def holder(server: ApiServer, name: str, *, phase: str = "Running", labels: dict[str, str] | None = None,
           **spec: Any) -> None:  # fmt: skip
    mount = {"name": "v", "mountPath": "/v"}
    main = {"name": "main", "image": "operator", "volumeMounts": [mount], "securityContext": {"runAsUser": 7}}
    server.add(
        "pods",
        name,
        metadata={"labels": labels or {}},
        spec={"nodeName": "n1", "containers": [main], "volumes": [HOLDING], **spec},
        status={"phase": phase},
    )


async def looked(api: ApiClient, image: str | None = None) -> Volume:
    return await claims.look(api, "shop", "recordings", image)


@pytest.mark.parametrize(
    ("modes", "node"),
    [
        (("ReadWriteOnce",), "n1"),
        (("ReadWriteOncePod",), "n1"),
        (("ReadWriteMany",), None),
        (("ReadWriteOnce", "ReadOnlyMany"), None),
    ],
)
async def test_a_reader_has_to_be_on_the_node_of_a_claim_that_is_for_one_node(
    server: ApiServer, api: ApiClient, modes: tuple[str, ...], node: str | None
) -> None:
    claim(server, modes=modes, image="x")
    holder(server, "operator")
    found = await looked(api)
    assert (found.node, found.holders) == (node, ["operator"])
    wanted = pod.manifest(found, "me")["spec"].get("affinity")
    terms = wanted and wanted["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == (node and [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}])


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": "Succeeded"},
        {"phase": "Failed"},
        {"phase": "Pending", "nodeName": ""},
        {"labels": READER},
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "others"}}]},
    ],
)
async def test_a_pod_that_does_not_have_the_claim_now_says_nothing_of_it(
    server: ApiServer, api: ApiClient, changes: dict[str, Any]
) -> None:
    claim(server, image="x")
    holder(server, "other", **changes)
    found = await looked(api)
    assert (found.holders, found.node, found.uid) == ([], None, None)


async def test_what_the_claim_says_goes_before_what_its_pod_says(server: ApiServer, api: ApiClient) -> None:
    claim(server, image="annotated", uid="65532", gid="65533")
    holder(server, "operator")
    found = await looked(api)
    assert (found.image, found.uid, found.gid) == ("annotated", 65532, 65533)
    assert (await looked(api, "given")).image == "given"


async def test_what_the_claim_does_not_say_its_pod_does(server: ApiServer, api: ApiClient) -> None:
    claim(server)
    holder(server, "operator", securityContext={"fsGroup": 8})
    found = await looked(api)
    assert (found.image, found.uid, found.gid) == ("operator", 7, 8)


async def test_a_claim_that_lost_its_volume_is_refused(server: ApiServer, api: ApiClient) -> None:
    claim(server, phase="Lost", image="x")
    with pytest.raises(SourceError, match="is Lost, expected Bound"):
        await looked(api)


@pytest.mark.parametrize("annotations", [{"uid": "root", "gid": "1"}, {"uid": "1", "gid": "root"}])
async def test_a_user_that_is_no_number_is_refused(
    server: ApiServer, api: ApiClient, annotations: dict[str, str]
) -> None:
    claim(server, uid=annotations["uid"], gid=annotations["gid"])
    holder(server, "operator")
    with pytest.raises(SourceError, match="is 'root', expected the number"):
        await looked(api)


class TestNameOf:
    TARGET = Target(namespace="shop", release="mine")

    async def test_it_is_the_annotated_one_of_the_release(self, server: ApiServer, api: ApiClient) -> None:
        claim(server, "data", release="mine")
        claim(server, "of-another", release="other", image="x")
        claim(server, "recordings", release="mine", image="x")
        assert await claims.name_of(api, self.TARGET) == "recordings"

    async def test_several_are_no_choice(self, server: ApiServer, api: ApiClient) -> None:
        claim(server, "one", release="mine", image="x")
        claim(server, "two", release="mine", image="x")
        with pytest.raises(UsageError, match="one, two; choose with --claim"):
            await claims.name_of(api, self.TARGET)

    async def test_none_is_told_with_what_there_is(self, server: ApiServer, api: ApiClient) -> None:
        claim(server, "data", release="mine")
        claim(server, "of-another", release="other", image="x")
        with pytest.raises(SourceError, match="found of the release: data, found in the namespace: data, of-another"):
            await claims.name_of(api, self.TARGET)
