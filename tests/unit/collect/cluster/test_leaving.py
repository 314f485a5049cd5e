"""A reader goes with the collect that made it, at whatever moment that ends."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.client.exceptions import ApiException

from coverage_hooks.collect.cluster import pod as pods
from coverage_hooks.collect.cluster.claims import Volume
from coverage_hooks.collect.cluster.reader import Reader
from coverage_hooks.collect.cluster.source import Claim, Wish
from tests.cluster.waiting import WITHIN
from tests.leftovers import started_by
from tests.unit.collect.cluster.tunnelling import forwarding_elsewhere, running, wish_for


class SlowPods:
    """Pods of a server that makes one when it is `let`, however long ago it was asked."""

    def __init__(self) -> None:
        self.asked, self.let = asyncio.Event(), asyncio.Event()
        self.pod: Any = None

    async def create_namespaced_pod(self, _namespace: str, body: dict[str, Any], **_: object) -> None:
        self.asked.set()
        await self.let.wait()
        labels = body["metadata"]["labels"]
        self.pod = SimpleNamespace(metadata=SimpleNamespace(uid="u", labels=labels, deletion_timestamp=None))

    async def read_namespaced_pod(self, *_: object, **__: object) -> Any:
        if self.pod is None:
            raise ApiException(status=404)
        return self.pod

    async def delete_namespaced_pod(self, *_: object, **__: object) -> None:
        self.pod = None


async def test_a_reader_that_is_being_made_is_waited_for_and_removed() -> None:
    volume = Volume(namespace="shop", claim="recordings", image="x")

    async def idle(_: str) -> None:
        return None

    async with ApiClient() as api:
        reader = Reader(api, volume, say=lambda _: None, idle=idle)
    slow = SlowPods()
    reader._core = slow
    opening = asyncio.ensure_future(reader.ensure())
    await slow.asked.wait()
    opening.cancel()
    await asyncio.sleep(0)
    slow.let.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert slow.pod.metadata.labels[pods.OWNER]
    await reader.remove()
    assert slow.pod is None


@pytest.fixture
def wish(port: int, tmp_path: Path) -> Any:
    with forwarding_elsewhere(port) as (url, forwarder):
        forwarder.pod = running()
        yield wish_for(url, tmp_path)


_FORGETTING = """
import sys
from pathlib import Path
from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.source import Claim, Wish
wish = Wish(target=Target(namespace="shop", kubeconfig=Path(sys.argv[1])), reader="reader")
claim = Claim(wish, say=print, progress=print)
claim.__enter__()
print("entered", claim.recordings())
"""


def test_a_claim_that_is_never_left_ends_with_the_program(wish: Wish, tmp_path: Path) -> None:
    """As when a signal strikes between entering and the block."""
    forgetting = (sys.executable, "-c", _FORGETTING, wish.target.kubeconfig)
    with started_by(*forgetting, cwd=tmp_path, temporary=tmp_path / "temporary") as command:
        command.wait_until_gone(WITHIN)
        assert command.said() == "entered []\n"
        assert command.process.returncode == 0


def test_an_interrupt_while_it_is_entered_leaves_it(wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "coverage-hooks-reader":
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Claim(wish, say=print, progress=print).__enter__()
    assert "coverage-hooks-reader" not in {thread.name for thread in threading.enumerate()}


def test_an_interrupt_before_it_is_entered_leaves_nothing(wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Claim(wish, say=print, progress=print).__enter__()
