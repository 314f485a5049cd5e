"""The node of the tests does what one expects of any: pods, logs, exec, claims, services and their names."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

from tests.cluster.binaries.recipe import minor_version, pinned
from tests.cluster.cluster import Cluster
from tests.cluster.node import programs
from tests.e2e.collecting import copy_claim
from tests.e2e.namespaces import Namespace, claim, pod, ready_when, service
from tests.e2e.waiting import wait_until

SERVER = """
import http.server, signal, sys
def stop(*_):
    sys.exit("stopped")
signal.signal(signal.SIGTERM, stop)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
# The first process of a container, as an operator is.
KEEPER = """
import pathlib, signal, sys
def stop(*_):
    pathlib.Path("/claim/file").write_text("kept")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
print("waiting", flush=True)
while True:
    signal.pause()
"""
EATER = "eaten = []\nwhile True:\n    eaten.append(bytearray(1 << 20))"


def test_the_node_is_ready_and_no_newer_than_its_server(cluster: Cluster) -> None:
    found = json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]
    ready = [condition["status"] for node in found for condition in node["status"]["conditions"][-1:]]
    version = json.loads(cluster.kubectl("version", "--output=json"))
    assert ready == ["True"]
    built = pinned("k8s.io/kubernetes", programs.MODULE)
    assert version["clientVersion"]["gitVersion"] == built
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in found} == {built}
    # Its patch may be another one: it can be a published server, or one that setup-envtest left.
    served = re.match(r"v(\d+)\.(\d+)\.", version["serverVersion"]["gitVersion"])
    assert served is not None
    assert tuple(map(int, served.groups())) >= minor_version(programs.MODULE)


def test_a_pod_runs_and_can_be_asked_for_its_log_and_to_run_a_command(
    namespace: Namespace, operator_image: str
) -> None:
    namespace.apply(pod("server", operator_image, program=SERVER, readinessProbe=ready_when("/LICENSE", 8000)))
    namespace.wait_until_ready("server")
    assert "serving" in namespace.kubectl("logs", "server")
    asked = namespace.kubectl("exec", "server", "--", "python", "-c", "import os; print(os.getuid(), os.getcwd())")
    assert asked.split() == ["65532", "/app"]


def test_a_service_has_a_name_and_leads_to_its_pod(namespace: Namespace, operator_image: str) -> None:
    namespace.apply(
        pod("server", operator_image, program=SERVER, readinessProbe=ready_when("/LICENSE", 8000)),
        service("front", 80, to="server", port=8000),
    )
    namespace.wait_until_ready("server")
    for host in ("front", f"front.{namespace.name}", f"front.{namespace.name}.svc.cluster.local"):
        program = f"import urllib.request; print(urllib.request.urlopen('http://{host}/LICENSE', timeout=60).status)"
        answer = wait_until(
            partial(namespace.try_kubectl, "exec", "server", "--", "python", "-c", program),
            f"{host} answers",
        )
        assert answer.strip() == "200"


def test_a_pod_reaches_the_api_server_with_its_own_account(namespace: Namespace, operator_image: str) -> None:
    program = """
import asyncio
from kubernetes_asyncio import client, config
async def main():
    config.load_incluster_config()
    async with client.ApiClient() as api:
        print((await client.VersionApi(api).get_code()).git_version)
asyncio.run(main())
"""
    namespace.apply(pod("asks", operator_image, program=program))
    wait_until(
        lambda: "v1." in namespace.try_kubectl("logs", "asks"),
        "it was answered",
        details=lambda: namespace.describe("asks"),
    )


def test_what_a_pod_writes_when_it_is_told_to_stop_is_on_its_claim(
    tmp_path: Path, namespace: Namespace, operator_image: str
) -> None:
    namespace.apply(claim("kept"), pod("keeper", operator_image, program=KEEPER, claim="kept"))
    namespace.wait_until_ready("keeper")
    wait_until(lambda: "waiting" in namespace.kubectl("logs", "keeper"), "it can be told to stop")
    namespace.kubectl("delete", "pod", "keeper")
    assert (copy_claim(namespace, "kept", tmp_path) / "file").read_text() == "kept"


def test_a_pod_that_needs_too_much_memory_is_killed_and_that_is_said(namespace: Namespace, operator_image: str) -> None:
    limits = {"limits": {"memory": "64Mi"}}
    namespace.apply(pod("eater", operator_image, program=EATER, resources=limits))

    def ended() -> object:
        statuses = (namespace.find("pod", "eater") or {})["status"].get("containerStatuses", [])
        return next((status["lastState"]["terminated"] for status in statuses if status["lastState"]), None)

    end = wait_until(ended, "it was restarted", details=lambda: namespace.describe("eater"))
    assert isinstance(end, dict)
    assert (end["reason"], end["exitCode"]) == ("OOMKilled", 137)
