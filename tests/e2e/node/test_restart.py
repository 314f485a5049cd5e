"""The API server goes away in the middle and comes back: recording does not notice, witness and reader go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.watch import watching
from coverage_hooks.collect.pods import watchlog
from tests.cluster import images
from tests.cluster.node import Node, load
from tests.cluster.node.running import starting_node
from tests.e2e.faulty import Faulty
from tests.e2e.namespaces import Namespace, using_namespace
from tests.e2e.session import Session
from tests.e2e.waiting import wait_until

ACTS = "faulty/acts.py"


def is_ready(node: Node) -> bool:
    return "ok" in node.cluster.kubectl("get", "--raw=/readyz", check=False)


def did_fork(namespace: Namespace) -> bool:
    return "did fork" in namespace.try_kubectl("logs", "faulty")


async def test_the_api_server_is_restarted_in_the_middle(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    # A node of its own: whoever else used it would notice.
    with starting_node(print) as (node, keeper):
        for needed in (images.OPERATOR, images.COVERAGE):
            load(node, needed, print)
        session = Session(node.cluster)
        image = node.cluster.name_of(images.COVERAGE)
        with using_namespace(session, image) as namespace:
            operator = Faulty(namespace, image)
            target = Target(namespace=namespace.name, kubeconfig=node.kubeconfig)
            with watching(target, output / watchlog.NAME):
                await asyncio.to_thread(operator.start_pod)
                await asyncio.to_thread(operator.work)
                keeper.restart("kube-apiserver")
                await asyncio.to_thread(wait_until, lambda: is_ready(node), "the API server is back")
                await asyncio.to_thread(operator.tell, "fork")
                await asyncio.to_thread(wait_until, lambda: did_fork(namespace), "the operator goes on")
                await asyncio.to_thread(operator.end)
                done = await operator.collected(output)
    assert (done.code, done.states) == (0, ["finished"]), done.said
    assert done.missing(ACTS, "work") == []
    assert not done.never_ran(ACTS, "fork")
    assert done.ledger["rows"][0]["cause"] == "deleted"
