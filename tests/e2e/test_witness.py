"""Every ending that Kubernetes tells, made for real while a witness watches, and what the ledger then says of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner

from coverage_hooks import collecting
from coverage_hooks.cli import commands
from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.witness import Asking, asked, watching
from coverage_hooks.collect.retrieve import Patience
from coverage_hooks.collect.sources.directory import Directory
from coverage_hooks.collecting import Request
from tests.cluster import wait_until
from tests.e2e import watching as making
from tests.e2e.namespaces import Namespace, claim, pod
from tests.e2e.watching import Volume, program, recorded

CLAIM = "coverage"

#: State and cause of each process of each pod; a rollout's pods are known by their Deployment.
ENDINGS = {
    "killed": [("killed", "killed"), ("running", "running")],
    "eater": [("killed", "out of memory"), ("running", "running")],
    "ignoring": [("killed", "probe"), ("running", "running")],
    "obeying": [("finished", "probe"), ("running", "running")],
    "deleted": [("finished", "deleted")],
    "overrun": [("killed", "grace overrun")],
    "drained": [("finished", "eviction")],
    "late": [("killed", "deadline")],
    "pressed": [("finished", "kubelet eviction")],
    "rolled": [("finished", "rollout"), ("running", "running")],
    "done": [("finished", "exited")],
    "aborted": [("ended", "exited")],
    "broken": [("missing", "exited")],
    "alive": [("running", "running")],
}
LOST = {"killed", "eater", "ignoring", "overrun", "late", "aborted", "broken"}


@pytest.mark.timeout(600)  # seventeen pods that start at once take minutes where others work too
def test_every_ending_is_in_the_ledger_and_every_loss_has_its_seconds(
    namespace: Namespace, coverage_image: str, tmp_path: Path
) -> None:
    target = Target(namespace=namespace.name, kubeconfig=namespace.node.kubeconfig)
    with watching(target, tmp_path / "witness.jsonl"):
        volume = make_endings(namespace, coverage_image)
        arguments = ["retrieve", f"--from={volume.path}", f"--output={tmp_path}", "--silent-after=3"]
        result = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert result.exit_code == 1, result.output
    assert ledger["proven"], ledger["completeness"]
    found: dict[str, list[tuple[str, str]]] = {}
    for row in sorted(ledger["rows"], key=lambda row: row["started_at"]):
        found.setdefault(_name(row["pod"]), []).append((row["state"], row["cause"]))
    # What was deleted by force may have had time to finish, or not: nobody can know, and the recording tells.
    assert found.pop("forced") in ([("finished", "force delete")], [("silent", "force delete")])
    assert found == ENDINGS
    assert {_name(loss["pod"]) for loss in ledger["losses"]} - {"forced"} == LOST
    killed = [row["lost_seconds"] for row in ledger["rows"] if row["state"] == "killed"]
    assert all(0 < lost < 5 for lost in killed), killed
    waived = [f"--allow-missing={name}" for name in {*LOST, "forced"}]
    assert CliRunner().invoke(commands, [*arguments, *waived], catch_exceptions=False).exit_code == 0
    _ask_afterwards(target, namespace)


def test_a_status_that_is_watched_shows_a_kill_and_leaves_its_word_for_collect(
    namespace: Namespace, coverage_image: str, tmp_path: Path
) -> None:
    watched = recorded("watched", coverage_image, program(), CLAIM)
    watched["spec"]["securityContext"]["runAsUser"] = 65532  # so that the reader knows whose files these are
    namespace.apply(claim(CLAIM), watched)
    bound = wait_until(lambda: (namespace.find("pvc", CLAIM) or {})["spec"].get("volumeName"), "the claim is bound")
    volume = Volume(namespace.node.volume(bound))
    volume.wait_for(namespace, "watched")
    place = [f"--namespace={namespace.name}", f"--claim={CLAIM}", f"--kubeconfig={namespace.node.kubeconfig}"]
    place += [f"--reader-image={coverage_image}", f"--output={tmp_path}"]
    command = [sys.executable, "-m", "coverage_hooks", "status", "--watch", *place]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_PROXY": "*"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        _read_until(process.stdout, "  one  running  ")
        making.kill(namespace.name, "watched")
        _read_until(process.stdout, "killed by SIGKILL (exit code 137)")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    volume.wait_for(namespace, "watched", processes=2)
    arguments = ["retrieve", *place, "--silent-after=3"]
    result = CliRunner().invoke(commands, arguments, env={"NO_PROXY": "*"}, catch_exceptions=False)
    rows = json.loads((tmp_path / "ledger.json").read_text())["rows"]
    assert result.exit_code == 1
    # The reader mounts the claim, too, and is nobody who should have recorded.
    found = [(row["state"], row["cause"], row["restart"]) for row in rows]
    assert sorted(found) == [("killed", "killed", 0), ("running", "running", 1)], result.output
    # The cluster is asked for what happened since: that the witness has stopped makes nobody wonder.
    target = Target(namespace=namespace.name, kubeconfig=namespace.node.kubeconfig)
    request = Request(witness=Asking(target, tmp_path / "witness.jsonl", CLAIM), patience=Patience(minimum=3))
    ledger = collecting.retrieve(Directory(volume.path), tmp_path, request)
    assert [(row.state, row.asked) for row in ledger.rows] == [("killed", False), ("running", False)]
    assert ledger.completeness.endswith("and pod watched ran already")


def _read_until(lines: IO[str], text: str) -> None:
    for line in lines:
        if text in line:
            return
    raise AssertionError(f"it ended, and never said {text!r}")


def _ask_afterwards(target: Target, namespace: Namespace) -> None:
    """Without a witness, Kubernetes knows who is there, and nothing of who is gone."""
    testimony = asked(target)
    names = {pod["metadata"]["name"] for pod in json.loads(namespace.kubectl("get", "pods", "--output=json"))["items"]}
    assert {pod["metadata"]["name"] for pod in testimony.living().values()} == names
    assert testimony.asked


def _name(pod: str) -> str:
    name = pod.rpartition("/")[2]
    return name.partition("-")[0]


def make_endings(namespace: Namespace, image: str) -> Volume:
    """Make pods that record on one claim, end each in its own way, and return when all have ended."""
    memory = {"resources": {"limits": {"memory": "128Mi"}}}
    once = {"restartPolicy": "Never"}
    scratch: dict[str, Any] = {"volumeMounts": [{"name": "claim", "mountPath": "/claim"}]}
    scratch["volumeMounts"].append({"name": "scratch", "mountPath": "/scratch"})

    def make(name: str, code: str, **spec: Any) -> dict[str, Any]:
        return recorded(name, image, code, CLAIM, **spec)

    filling = make("pressed", program(making.FILLS), container=scratch)
    filling["spec"]["volumes"].append({"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}})
    rolled = making.deployment(make("rolled", program()))
    probe = {"livenessProbe": making.failing_probe()}
    namespace.apply(
        claim(CLAIM),
        make("killed", program()),
        make("eater", program(making.EATS), container=memory),
        make("ignoring", program(handler=making.IGNORES), container=probe, terminationGracePeriodSeconds=2),
        make("obeying", program(), container=probe),
        make("deleted", program()),
        make("overrun", program(handler=making.IGNORES), terminationGracePeriodSeconds=2),
        make("forced", program()),
        make("drained", program()),
        make("late", program(handler=making.IGNORES), terminationGracePeriodSeconds=1),
        make("broken", "raise SystemExit(3)", **once),
        make("done", program("sys.exit(0)"), **once),
        make("aborted", program("os._exit(4)"), **once),
        make("alive", program()),
        filling,
        rolled,
        pod("bystander", image, program="import time; time.sleep(3600)"),
    )
    bound = wait_until(lambda: (namespace.find("pvc", CLAIM) or {})["spec"].get("volumeName"), "the claim is bound")
    volume = Volume(namespace.node.volume(bound))
    names = ("killed", "eater", "ignoring", "obeying", "deleted", "overrun", "forced", "drained", "late", "done")
    for name in (*names, "aborted", "alive", "pressed", "rolled"):
        volume.wait_for(namespace, name)
    making.kill(namespace.name, "killed")
    for name in ("eater", "ignoring", "obeying", "done", "aborted", "pressed"):
        volume.order(name)
    for name in ("deleted", "overrun"):
        namespace.kubectl("delete", "pod", name, "--wait=false")
    namespace.kubectl("delete", "pod", "forced", "--force", "--grace-period=0")
    making.evict(namespace, "drained")
    namespace.kubectl("patch", "pod", "late", "--patch", '{"spec": {"activeDeadlineSeconds": 1}}')
    namespace.kubectl("set", "env", "deployment/rolled", "CHANGED=1")
    for name in ("deleted", "overrun", "forced", "drained"):
        wait_until(lambda name=name: namespace.find("pod", name) is None, f"{name} is gone")  # type: ignore[misc]
    for name in ("killed", "eater", "ignoring", "obeying", "rolled"):
        volume.wait_for(namespace, name, processes=2)
    for name in ("late", "broken", "done", "aborted", "pressed"):
        wait_until(
            lambda name=name: _phase(namespace, name) in {"Succeeded", "Failed"},  # type: ignore[misc]
            f"{name} ended",
            within=180,
            details=lambda name=name: namespace.describe(name),  # type: ignore[misc]
        )
    wait_until(lambda: _count(namespace, "rolled") == 1, "the first pod of the rollout is gone")
    return volume


def _phase(namespace: Namespace, name: str) -> str:
    found = namespace.find("pod", name) or {}
    return str(found.get("status", {}).get("phase", ""))


def _count(namespace: Namespace, app: str) -> int:
    return len(json.loads(namespace.kubectl("get", "pods", f"--selector=app={app}", "--output=json"))["items"])
