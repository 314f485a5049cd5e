"""The reader of a claim: which pod is used, replaced, removed, or left alone, and what it may do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from coverage_hooks.collect.cluster import pod as pods
from coverage_hooks.collect.cluster.claims import READER, Volume
from coverage_hooks.collect.cluster.connection import connect
from coverage_hooks.collect.cluster.reader import LEFT_AFTER, Reader
from coverage_hooks.errors import SourceError
from tests.unit.collect.api_server import RUNNING, ApiServer, api_server

NAME = "coverage-hooks-reader-recordings"
VOLUME = Volume(namespace="shop", claim="recordings", image="x")
ENDED = {"phase": "Failed", "reason": "Evicted"}


@dataclass
class Scene:
    """A server, who reads through it, and what that says; `idle` is how long ago the reader was asked."""

    server: ApiServer
    reader: Reader | None = None
    idle: float | None = None
    said: list[str] = field(default_factory=list)

    def there(self, owner: str, *, status: dict[str, Any] | None = None, labels: dict[str, str] | None = None) -> str:
        """Have a pod of the reader's name, and return its uid."""
        own = {**READER, pods.OWNER: owner} if labels is None else labels
        spec = {"containers": [{"name": "main"}]}
        self.server.add("pods", NAME, metadata={"labels": own}, spec=spec, status=status or RUNNING)
        return self.uid

    @property
    def uid(self) -> str:
        found = self.server.objects["pods"].get(NAME)
        return str(found["metadata"]["uid"]) if found else ""

    @property
    def owner(self) -> str:
        return str(self.server.objects["pods"][NAME]["metadata"]["labels"][pods.OWNER])

    def of(self, name: str | None, client: Any) -> Reader:
        async def idle(_: str) -> float | None:
            return self.idle

        return Reader(client, VOLUME, say=self.said.append, idle=idle, name=name)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with api_server(tmp_path) as (server, target), connect(target) as client:
        scene = Scene(server)
        scene.reader = scene.of(None, client)
        yield scene


def reader_of(scene: Scene) -> Reader:
    assert scene.reader is not None
    return scene.reader


async def test_it_is_made_and_removed(scene: Scene) -> None:
    reader = reader_of(scene)
    await reader.ensure()
    assert scene.uid
    assert scene.owner not in {"", pods.BY_HAND}
    await reader.remove()
    assert not scene.uid


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/component": "reader"}])
async def test_a_pod_that_is_no_reader_is_left_alone(scene: Scene, labels: dict[str, str]) -> None:
    """Also one that ended, which is nothing that anybody uses."""
    other = scene.there("", status=ENDED, labels=labels)
    with pytest.raises(SourceError, match="is no reader of ours, and in the way; delete or rename it"):
        await reader_of(scene).ensure()
    await reader_of(scene).remove()
    assert scene.uid == other


async def test_a_pod_that_takes_the_name_of_the_reader_is_not_removed_for_it(scene: Scene) -> None:
    reader = reader_of(scene)
    await reader.ensure()

    def meanwhile(_: web.Request) -> None:
        scene.there("another")

    scene.server.deletion.append(meanwhile)
    await reader.remove()
    assert scene.owner == "another"


async def test_one_that_a_person_applied_is_used_and_stays(scene: Scene) -> None:
    applied = scene.there(pods.BY_HAND)
    await reader_of(scene).ensure()
    await reader_of(scene).remove()
    assert scene.uid == applied
    assert not scene.said


async def test_one_that_was_left_is_replaced(scene: Scene) -> None:
    left = scene.there("killed")
    scene.idle = 2 * LEFT_AFTER
    await reader_of(scene).ensure()
    assert scene.uid not in {"", left}
    assert scene.said == [f"reader {NAME} was left by a collect that was killed: removing it"]


async def test_one_that_another_collect_uses_is_shared_and_stays(scene: Scene) -> None:
    others = scene.there("another")
    scene.idle = -1.0  # asked since this one looks on
    await reader_of(scene).ensure()
    await reader_of(scene).remove()
    assert scene.uid == others
    assert scene.said == [f"another collect is using reader {NAME}: sharing it"]


async def test_one_that_may_be_in_use_is_looked_at_again(scene: Scene) -> None:
    """It was asked a moment before this one came: it is neither shared nor removed until more is known."""
    others = scene.there("another")
    asked = iter([LEFT_AFTER / 2, -1.0])

    async def idle(_: str) -> float:
        return next(asked)

    reader_of(scene)._idle = idle
    await reader_of(scene).ensure()
    assert scene.uid == others


async def test_a_fresh_one_that_does_not_run_yet_is_given_time(scene: Scene) -> None:
    now = datetime.now(UTC).isoformat()
    spec = {"containers": [{"name": "main"}]}
    metadata = {"labels": {**READER, pods.OWNER: "another"}, "creationTimestamp": now}
    scene.server.add("pods", NAME, metadata=metadata, spec=spec, status=RUNNING)
    others = scene.uid
    asked = iter([None, -1.0])

    async def idle(_: str) -> float | None:
        return next(asked)

    reader_of(scene)._idle = idle
    await reader_of(scene).ensure()
    assert scene.uid == others


async def test_a_given_one_is_never_removed(tmp_path: Path) -> None:
    async with api_server(tmp_path) as (server, target), connect(target) as client:
        scene = Scene(server)
        given = scene.there("")
        reader = scene.of(NAME, client)
        await reader.ensure()
        server.objects["pods"][NAME]["metadata"]["labels"][pods.OWNER] = reader._owner  # whatever it says
        await reader.remove()
        assert scene.uid == given


async def test_it_is_gone_when_removing_returns(scene: Scene) -> None:
    """A deleted pod stays until its node has ended it."""
    reader = reader_of(scene)
    await reader.ensure()
    ending = scene.server.objects["pods"][NAME]
    find, looks = reader._find, []

    async def found() -> Any:
        looks.append(NAME)
        if len(looks) > 3:
            scene.server.objects["pods"].pop(NAME, None)
        return await find()

    reader._find = found  # type: ignore[method-assign]
    scene.server.deletion.append(lambda _: web.json_response(ending))
    await reader.remove()
    assert not scene.uid


def test_it_may_read_and_no_more() -> None:
    """Nothing on the volume changes through it, not even an owner, and the strictest rules for pods admit it."""
    spec = pods.manifest(Volume(namespace="shop", claim="recordings", image="x", uid=7, gid=8), "me")["spec"]
    [container], [volume] = spec["containers"], spec["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "recordings", "readOnly": True}
    assert [(mount["name"], mount["readOnly"]) for mount in container["volumeMounts"]] == [(volume["name"], True)]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsUser": 7,
        "runAsGroup": 8,
        "supplementalGroups": [8],
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert spec["automountServiceAccountToken"] is False
    assert "nodeName" not in spec


@pytest.mark.parametrize("owner", ["me", pods.BY_HAND])
def test_it_ends_by_itself_whatever_becomes_of_who_made_it(owner: str) -> None:
    spec = pods.manifest(VOLUME, owner)["spec"]
    assert spec["restartPolicy"] == "Never"
    assert 0 < spec["activeDeadlineSeconds"] <= 8 * 3600
    assert [part for part in spec["containers"][0]["command"] if part.startswith("--idle=")]
