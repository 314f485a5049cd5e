"""Killing the first process of a container, which nobody in its own process namespace can."""

from __future__ import annotations

import re
import uuid
from typing import Any

from tests.e2e.namespaces import Document, Namespace, pod
from tests.e2e.waiting import wait_until

# On the node: the one process of the container that has no parent in it.
_KILLER = """
import os, pathlib, signal, sys, time
container = sys.argv[1]
def member(process):
    try:
        return container in (process / "cgroup").read_text()
    except OSError:
        return False
def inside(process):
    lines = (process / "status").read_text().splitlines()
    return next(line.split()[-1] for line in lines if line.startswith("NSpid:"))
members = [process for process in pathlib.Path("/proc").glob("[0-9]*") if member(process)]
first = [process for process in members if inside(process) == "1"]
assert len(first) == 1, members
moment = time.time()
os.kill(int(first[0].name), signal.SIGKILL)
print("killed at", moment, flush=True)
"""


def kill_container(privileged: Namespace, status: dict[str, Any]) -> float:
    """Send SIGKILL to the first process of the container of *status*; return until when it lived, at least.

    That is in seconds since the epoch, by the clock of the node.

    That takes a pod which sees all processes of its node, and is let into namespace *privileged* only. The test's
    cluster has one node.
    """
    name = f"kills-{uuid.uuid4().hex[:8]}"
    container = status["containerID"].rpartition("/")[2]
    privileged.apply(_killer(name, privileged.image, container))
    try:
        said = wait_until(
            lambda: re.search(r"killed at (\S+)", privileged.try_kubectl("logs", name)),
            "the container is killed",
            details=lambda: privileged.describe(name),
        )
        return float(said[1])
    finally:
        privileged.kubectl("delete", "pod", name, "--grace-period=1", "--wait=false")


def _killer(name: str, image: str, container: str) -> Document:
    document = pod(
        name, image, command=["python", "-c", _KILLER, container], securityContext={"privileged": True, "runAsUser": 0}
    )
    document["spec"] |= {"hostPID": True, "restartPolicy": "Never", "securityContext": {}}
    return document
