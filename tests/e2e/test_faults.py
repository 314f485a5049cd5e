"""Everything that can happen to a pod, while a witness watches: what the ledger says of it, and what is lost.

Each scenario is a row of a table: what is done, and then the exit code, the ledger and the lines that are expected.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.watch import watching
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Manifest
from tests.cluster.waiting import WITHIN
from tests.e2e.collecting import Collected
from tests.e2e.faulty import ANSWERS, CLAIM, NAME, WELL, Faulty
from tests.e2e.killing import kill_container
from tests.e2e.namespaces import Namespace, using_namespace
from tests.e2e.session import Session
from tests.e2e.waiting import wait_until

ACTS, HANDLERS = "faulty/acts.py", "faulty/handlers.py"


@dataclass
class Scene:
    """The faulty operator, a witness, and somebody who may do anything to the node.

    `killed_at` is when a process was killed by this scenario itself, and `again_at` when the next one was there: in
    seconds since the epoch, by the clock of the node.
    """

    operator: Faulty
    privileged: Namespace
    output: Path
    killed_at: float | None = None
    again_at: float = 0.0

    @property
    def namespace(self) -> Namespace:
        """Return where it happens."""
        return self.operator.namespace


@pytest.fixture
def scene(
    shared: Session, namespace: Namespace, operator_image: str, coverage_image: str, tmp_path: Path
) -> Iterator[Scene]:
    """Return everything that a scenario needs, watched from before it begins."""
    output = tmp_path / "output"
    output.mkdir()
    target = Target(namespace=namespace.name, kubeconfig=namespace.cluster.kubeconfig)
    with (
        using_namespace(shared, operator_image, "privileged") as privileged,
        watching(target, output / watchlog.NAME),
    ):
        yield Scene(Faulty(namespace, coverage_image), privileged, output)


@dataclass(frozen=True)
class Scenario:
    """What happens, and what is expected of a collect afterwards: a row per process, as its state and its cause.

    A process that was killed lost `nothing`, as each line was on the volume before it ran. Without that the ledger
    states how much it may have lost: a few beats, of a second each, and the second to which its end is known.
    """

    happens: Callable[[Scene], None]
    code: int
    rows: tuple[tuple[str, str], ...]
    ran: tuple[str, ...] = ("work",)
    never_ran: tuple[str, ...] = ()
    lost: Literal["nothing", "seconds"] = "nothing"


def out_of_memory(scene: Scene) -> None:
    scene.operator.deploy(memory="160Mi")
    scene.operator.work()
    scene.operator.tell("eat")
    scene.operator.wait_until_restarted()
    scene.operator.end()


def out_of_memory_in_a_child(scene: Scene) -> None:
    scene.operator.deploy(memory="256Mi")
    scene.operator.work()
    scene.operator.tell("feed_a_child")
    wait_until(lambda: "did feed-a-child" in log(scene), "the child was killed")
    scene.operator.end()


def liveness_without_an_end(scene: Scene) -> None:
    scene.operator.deploy(probe=ANSWERS, grace=10)
    scene.operator.work()
    scene.namespace.kubectl("patch", "configmap", "work", "--type=merge", '--patch={"data": {"act": "block"}}')
    scene.operator.wait_until_restarted()
    scene.operator.end()


def liveness_with_an_end(scene: Scene) -> None:
    scene.operator.deploy(probe=WELL)
    scene.operator.work()
    scene.operator.tell("become_unwell")
    scene.operator.wait_until_restarted()
    scene.operator.end()


def three_crashes(scene: Scene) -> None:
    scene.operator.deploy()
    scene.operator.work()
    scene.operator.tell("crash", times=3)
    scene.operator.wait_until_restarted(3)
    scene.operator.end()


def killed_on_the_node(scene: Scene) -> None:
    scene.operator.deploy()
    scene.operator.work()
    kill_container(scene.privileged, scene.operator.container())
    scene.operator.wait_until_restarted()
    scene.operator.end()


def killed_in_interval_mode(scene: Scene) -> None:
    scene.operator.deploy(core="ctrace")
    scene.operator.work()
    scene.killed_at = kill_container(scene.privileged, scene.operator.container())
    scene.operator.wait_until_restarted()
    started = scene.operator.container()["state"]["running"]["startedAt"]
    scene.again_at = datetime.fromisoformat(started).timestamp() + 1  # known to a second
    scene.operator.end()


def kubelet_eviction(scene: Scene) -> None:
    scene.operator.start_pod(scratch="16Mi")
    scene.operator.work()
    scene.operator.tell("fill")
    # It ends by itself when it is told to, so it may count as one that succeeded.
    wait_until(lambda: phase(scene) in {"Failed", "Succeeded"}, "the pod was evicted")


def deadline(scene: Scene) -> None:
    scene.operator.start_pod()
    scene.operator.work()
    # Counted from its start, so it is over.
    scene.namespace.kubectl("patch", "pod", NAME, '--patch={"spec": {"activeDeadlineSeconds": 1}}')
    wait_until(lambda: phase(scene) == "Failed", "the deadline is over")


def drain(scene: Scene) -> None:
    scene.operator.start_pod()
    scene.operator.work()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": NAME}}
    path = f"/api/v1/namespaces/{scene.namespace.name}/pods/{NAME}/eviction"
    scene.namespace.cluster.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction))
    scene.operator.wait_until_gone()


def rollout(scene: Scene) -> None:
    scene.operator.deploy()
    scene.operator.work()
    scene.namespace.kubectl("rollout", "restart", f"deployment/{NAME}")
    scene.namespace.kubectl("rollout", "status", f"deployment/{NAME}", f"--timeout={WITHIN:g}s")
    scene.operator.end()


def graceful_delete(scene: Scene) -> None:
    scene.operator.start_pod()
    scene.operator.work()
    scene.operator.end()


def force_delete(scene: Scene) -> None:
    scene.operator.start_pod()
    scene.operator.work()
    scene.namespace.kubectl("delete", "pod", NAME, "--force", "--grace-period=0")


def force_delete_that_is_not_heeded(scene: Scene) -> None:
    scene.operator.start_pod(fault="cleanup")
    scene.operator.work()
    scene.namespace.kubectl("delete", "pod", NAME, "--force", "--grace-period=0")


def grace_overrun(scene: Scene) -> None:
    scene.operator.start_pod(fault="cleanup", grace=3)
    scene.operator.work()
    scene.operator.end()


def two_replicas(scene: Scene) -> None:
    scene.operator.deploy(replicas=2, claim={"accessModes": ["ReadWriteMany"]})
    scene.operator.work()  # which of them does it is not said
    scene.operator.end()


def crash_before_the_hook(scene: Scene) -> None:
    scene.operator.try_pod(fault="import", restartPolicy="Never")
    wait_until(lambda: phase(scene) == "Failed", "it crashed")


def crash_in_startup(scene: Scene) -> None:
    scene.operator.try_pod(fault="startup", restartPolicy="Never")
    wait_until(lambda: phase(scene) == "Failed", "it crashed")


def read_only(scene: Scene) -> None:
    scene.operator.start_pod(read_only=True)
    scene.operator.work()
    scene.operator.end()


def full(scene: Scene) -> None:
    scene.operator.start_pod(claim={"storageClassName": scene.namespace.cluster.small_storage_class})
    scene.operator.work()
    scene.operator.end()


def forks(scene: Scene) -> None:
    scene.operator.start_pod()
    do(scene, "fork")
    scene.operator.work()
    scene.operator.end()


def do(scene: Scene, act: str) -> None:
    """Have the operator do something, and wait until it did."""
    scene.operator.tell(act)
    wait_until(lambda: f"did {act.replace('_', '-')}" in log(scene), f"it did {act}")


def log(scene: Scene) -> str:
    """Return what the operator says."""
    return "".join(scene.namespace.try_kubectl("logs", pod["metadata"]["name"]) for pod in scene.operator.pods())


def phase(scene: Scene) -> str:
    """Return the phase of the pod."""
    return str((scene.namespace.find("pod", NAME) or {}).get("status", {}).get("phase", ""))


SCENARIOS = [
    Scenario(graceful_delete, 0, (("finished", "deleted"),), never_ran=("eat", "fork")),
    Scenario(rollout, 0, (("finished", "rollout"), ("finished", "scaled down"))),
    Scenario(drain, 0, (("finished", "eviction"),)),
    Scenario(kubelet_eviction, 0, (("finished", "kubelet eviction"),), ran=("work", "fill")),
    Scenario(deadline, 0, (("finished", "deadline"),)),
    Scenario(two_replicas, 0, (("finished", "scaled down"), ("finished", "scaled down"))),
    Scenario(forks, 0, (("finished", "deleted"),), ran=("work", "fork")),
    Scenario(out_of_memory_in_a_child, 0, (("finished", "scaled down"),), ran=("work", "feed_a_child")),
    Scenario(
        liveness_with_an_end, 0, (("finished", "probe"), ("finished", "scaled down")), ran=("work", "become_unwell")
    ),
    Scenario(liveness_without_an_end, 0, (("killed", "probe"), ("finished", "scaled down")), ran=("work",)),
    Scenario(out_of_memory, 0, (("killed", "out of memory"), ("finished", "scaled down")), ran=("work", "eat")),
    Scenario(killed_on_the_node, 0, (("killed", "killed"), ("finished", "scaled down"))),
    Scenario(killed_in_interval_mode, 1, (("killed", "killed"), ("finished", "scaled down")), lost="seconds"),
    Scenario(three_crashes, 0, (*(("finished", "exited"),) * 3, ("finished", "scaled down")), ran=("work", "crash")),
    Scenario(grace_overrun, 0, (("killed", "grace overrun"),)),
    # It is told to stop all the same, and has time for that.
    Scenario(force_delete, 0, (("finished", "force delete"),)),
    Scenario(force_delete_that_is_not_heeded, 0, (("killed", "force delete"),)),
    Scenario(crash_before_the_hook, 1, (("missing", "exited"),), ran=()),
    Scenario(crash_in_startup, 0, (("finished", "exited"),), ran=(), never_ran=("work",)),
    Scenario(read_only, 1, (("missing", "deleted"),), ran=()),
    Scenario(full, 1, (("announced", "deleted"),), ran=()),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.happens.__name__)
async def test_an_ending_is_told_and_nothing_is_lost_that_was_not_said(
    scenario: Scenario, scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    await asyncio.to_thread(scenario.happens, scene)
    done = await scene.operator.collected(scene.output)
    rows = done.ledger["rows"]
    record_property(scenario.happens.__name__, tell(scenario, done))
    assert tuple((row["state"], row["cause"]) for row in rows) == scenario.rows, done.said
    assert done.code == scenario.code, done.said
    for act in scenario.ran:
        assert done.missing(ACTS, act) == [], done.said
    for act in scenario.never_ran:
        assert done.never_ran(ACTS, act)
    for row in rows:
        if row["state"] in {"killed", "ended"}:
            assert (row["lost_seconds"] == 0) == (scenario.lost == "nothing"), done.said
            assert row["lost_seconds"] <= few_beats(done, row) + 1.1, done.said  # which is rounded up
    if scene.killed_at is not None:
        # What is stated is no less than the truth, and no more than was known when the next process was there.
        snapshot = datetime.fromisoformat(rows[0]["snapshot_at"]).timestamp()
        assert scene.killed_at <= snapshot + rows[0]["lost_seconds"], (scene, rows[0])
        assert snapshot + rows[0]["lost_seconds"] - 0.1 <= scene.again_at, (scene, rows[0])
    assert done.ledger["proven"], done.said


async def test_collects_while_it_runs_add_up_to_one_at_the_end(scene: Scene, tmp_path: Path) -> None:
    seen: list[tuple[int, list[str], dict[str, set[int]]]] = []

    async def collect(output: Path) -> None:
        done = await scene.operator.collected(output)
        seen.append((done.code, done.states, done.ran))

    await asyncio.to_thread(scene.operator.start_pod)
    for number, act in enumerate(("work", "fork", "become_unwell")):
        await asyncio.to_thread(do, scene, act)
        if number < 2:
            await collect(tmp_path / f"during-{number}")
    await asyncio.to_thread(scene.operator.end)
    # Into what is there already, and then into nothing.
    await collect(tmp_path / "during-1")
    await collect(scene.output)
    assert [(code, states) for code, states, _ in seen] == [(0, ["running"])] * 2 + [(0, ["finished"])] * 2
    first, second, again, final = (ran for _, _, ran in seen)
    together = {file: first.get(file, set()) | second[file] | again[file] for file in again}
    assert again == together == final
    assert first != second != final


async def test_a_claim_that_is_not_there(scene: Scene) -> None:
    scene.namespace.apply({"apiVersion": "v1", "kind": "Pod", **scene.operator.template(serviceAccountName="default")})
    done = await scene.operator.collected(scene.output)
    assert done.code == 3
    assert CLAIM in done.said


def few_beats(done: Collected, row: dict[str, Any]) -> float:
    """Return how many seconds three beats of the process of *row* may take."""
    manifest = Manifest.parse((done.output / row["folder"] / layout.MANIFEST).read_bytes())
    return 3 * (manifest.interval + manifest.publish_seconds)


def tell(scenario: Scenario, done: Collected) -> str:
    """Return a line of the table of all scenarios."""
    expected = ", ".join(f"{state} ({cause})" for state, cause in scenario.rows)
    seen = ", ".join(f"{row['state']} ({row['ending']}{_lost(row['lost_seconds'])})" for row in done.ledger["rows"])
    return f"expected {expected}, exit {scenario.code} | seen {seen}, exit {done.code}"


def _lost(seconds: float | None) -> str:
    return "" if seconds is None else f"; lost <= {seconds:g} s"
