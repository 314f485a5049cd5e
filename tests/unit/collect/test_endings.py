"""How each process ended, from what a real witness saw of real pods; and who is missing, and what is proven."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.pods.expected import loss_of
from coverage_hooks.collect.pods.objects import Event, keep_event
from coverage_hooks.collect.runs import Found
from coverage_hooks.volume.manifest import Mode
from tests.unit.collect.witnessed import Document, join, lines, pods, read, recordings


@dataclass(frozen=True)
class Case:
    """What the ledger says of the first process of `pod`; `lost` is the most seconds that it may have lost."""

    pod: str
    state: str
    cause: str
    says: str
    exit_code: int | None = 0
    lost: float | None = None


CASES = {
    "killed-on-the-node": Case("killed", "killed", "killed", "does not say why; killed by SIGKILL", 137, 0.9),
    "out-of-memory": Case("eater", "killed", "out of memory", "killed, out of memory (OOMKilled)", 137, 1.1),
    "liveness-ignores-term": Case(
        "ignoring", "killed", "probe", "liveness probe, will be restarted; it did not", 137, 1.3
    ),
    "liveness-ends-on-term": Case(
        "obeying", "finished", "probe", "restarted by the kubelet: Container main failed", None
    ),
    "graceful-delete": Case("deleted", "finished", "deleted", "deleted; exit code 0"),
    "grace-overrun": Case(
        "overrun", "killed", "grace overrun", "its grace of 2 s was over; killed by SIGKILL", 137, 0.8
    ),
    "force-delete": Case("forced", "finished", "force delete", "its exit code was never known", None),
    "drain": Case("drained", "finished", "eviction", "evicted through the eviction API, as a drain does; exit code 0"),
    "rollout": Case("rolled-85f6986465-9zwfb", "finished", "rollout", "replaced in a rollout of Deployment rolled"),
    "kubelet-eviction": Case("pressed", "finished", "kubelet eviction", "evicted by the kubelet: Usage of EmptyDir"),
    "active-deadline": Case(
        "late", "killed", "deadline", "deadline of its pod (activeDeadlineSeconds); killed", 137, 1.1
    ),
    "exit-without-save": Case("aborted", "ended", "exited", "exit code 4", 4, 0.5),
    "completed": Case("done", "finished", "exited", "exit code 0"),
    "running": Case("alive", "silent", "running", "running", None),
}


@pytest.mark.parametrize("name", CASES)
def test_each_ending_is_told_as_it_was(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    ledger = join(read(tmp_path / "w", lines(name)), recordings(case.pod))
    row = ledger.rows[0]
    assert (row.state, row.cause, row.exit_code, row.lost_seconds) == (
        case.state,
        case.cause,
        case.exit_code,
        case.lost,
    )
    assert case.says in row.ending
    assert (row.restart, row.asked, row.pod) == (0, False, f"shop/{case.pod}")
    assert ledger.completeness.startswith("proven: namespace shop was watched without a gap"), ledger.completeness
    assert ledger.proven
    if row.lost_seconds is not None:
        assert f"its last {case.lost:g} s at most" in row.note
        assert case.says in loss_of(row)
        assert f"restart 0 of container main: {row.ending}; " in loss_of(row)
    assert [each.pod for each in ledger.losses] == []  # whoever is silent or killed is a loss in any case


@pytest.mark.parametrize("name", CASES)
def test_a_process_that_left_no_recording_is_missed(name: str, tmp_path: Path) -> None:
    """The same pods, and nothing on the volume: each of their processes is a loss that names where to look."""
    case = CASES[name]
    expected = len(recordings(case.pod)) or 1
    ledger = join(read(tmp_path / "w", lines(name)), [], claim="coverage")
    assert [row.state for row in ledger.rows] == ["missing"] * expected
    assert [loss.pod for loss in ledger.losses] == [f"shop/{case.pod}"] * expected
    assert f"restart 0 of container main in pod shop/{case.pod} ({ledger.rows[0].ending}" in ledger.losses[0].reason


def test_a_crash_before_the_hook_is_never_announced(tmp_path: Path) -> None:
    ledger = join(read(tmp_path / "w", lines("never-announced")), [], claim="coverage")
    assert (ledger.rows[0].cause, ledger.rows[0].exit_code, ledger.rows[0].note) == (
        "exited",
        3,
        "never announced itself",
    )
    assert "(exit code 3; ran from 2026-11-23T10:56:19Z to 2026-11-23T10:56:19Z) left no recording" in (
        ledger.losses[0].reason
    )
    assert "`kubectl logs` of the container says which" in ledger.losses[0].reason


def test_whoever_still_runs_has_not_announced_itself_yet(tmp_path: Path) -> None:
    ledger = join(read(tmp_path / "w", lines("running")), [], claim="coverage")
    assert ledger.losses[0].reason.endswith("has not announced itself yet")


def test_what_began_after_the_volume_was_listed_is_not_of_this_collect(tmp_path: Path) -> None:
    documents = begun(lines("running"), "2026-11-23T10:56:58Z", seen="2026-11-23T10:56:58.500000Z")
    ledger = join(read(tmp_path / "w", documents), [], claim="coverage")
    assert ledger.rows == []
    assert "began after the volume was listed" in ledger.notes[0].text


@pytest.mark.parametrize(("began", "seen"), [("57Z", "58.500000Z"), ("59Z", "57.500000Z")])
def test_what_began_before_the_volume_was_listed_by_either_clock_is_missed(
    tmp_path: Path, began: str, seen: str
) -> None:
    documents = begun(lines("running"), f"2026-11-23T10:56:{began}", seen=f"2026-11-23T10:56:{seen}")
    ledger = join(read(tmp_path / "w", documents), [], claim="coverage")
    assert [row.state for row in ledger.rows] == ["missing"]
    assert len(ledger.losses) == 1


def test_a_missing_process_can_be_waived_by_its_pod(tmp_path: Path) -> None:
    ledger = join(read(tmp_path / "w", lines("never-announced")), [], claim="coverage", waivers=["broken"])
    assert [loss.waived for loss in ledger.losses] == [True]


class TestCauses:
    """Endings that no node can be made to give on demand, as changes of real ones."""

    def test_a_pod_that_is_marked_as_evicted(self, tmp_path: Path) -> None:
        documents = lines("active-deadline")
        for document in pods(documents):
            if document["status"].get("reason"):
                document["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
        documents = [each for each in documents if "event" not in each]
        row = join(read(tmp_path / "w", documents), recordings("late")).rows[0]
        assert (row.state, row.cause) == ("killed", "kubelet eviction")
        assert row.ending.startswith("evicted by the kubelet: The node was low on resource: memory; killed by SIGKILL")

    def test_what_ended_before_its_pod_was_evicted_ended_of_something_else(self, tmp_path: Path) -> None:
        documents = lines("out-of-memory")
        for document in pods(documents):
            document["status"] |= {"phase": "Failed", "reason": "Evicted"}
        assert join(read(tmp_path / "w", documents), recordings("eater")).rows[0].cause == "out of memory"

    def test_a_node_that_lost_sight_of_a_container_invents_its_exit_code(self, tmp_path: Path) -> None:
        documents = lines("grace-overrun")
        for status in _statuses(documents):
            if "terminated" in status["state"]:
                status["state"]["terminated"] |= {"reason": "ContainerStatusUnknown", "finishedAt": None}
        row = join(read(tmp_path / "w", documents), recordings("overrun")).rows[0]
        assert (row.state, row.exit_code, row.lost_seconds) == ("silent", None, None)
        assert "its node lost sight of it" in row.ending
        assert "how much is lost is not known" in row.note

    def test_a_forced_deletion_of_what_did_not_finish_costs_nobody_knows_how_much(self, tmp_path: Path) -> None:
        found = [_changed(each, state="running") for each in recordings("forced")]
        row = join(read(tmp_path / "w", lines("force-delete")), found).rows[0]
        assert (row.state, row.cause, row.lost_seconds) == ("silent", "force delete", None)
        assert "how much is lost is not known" in row.note

    def test_an_event_tells_of_the_instance_during_which_it_happened(self, tmp_path: Path) -> None:
        documents = lines("killed-on-the-node")
        event = next(
            each for each in lines("liveness-ignores-term") if each.get("event", {}).get("reason") == "Killing"
        )
        uid = pods(documents)[0]["metadata"]["uid"]
        event["event"]["involvedObject"] |= {"uid": uid, "name": "killed"}
        event["event"] |= {"firstTimestamp": "2026-11-23T10:56:15Z", "lastTimestamp": "2026-11-23T10:56:15Z"}
        row = join(read(tmp_path / "w", [*documents, event]), recordings("killed")).rows[0]
        assert row.cause == "killed"
        event["event"]["lastTimestamp"] = "2026-11-23T10:56:44Z"
        row = join(read(tmp_path / "w", [*documents, event]), recordings("killed")).rows[0]
        assert row.cause == "probe"

    @pytest.mark.parametrize(("ended", "cause"), [("45Z", "grace overrun"), ("44Z", "deleted"), ("43Z", "killed")])
    def test_a_deletion_ended_what_ended_after_it_was_asked_for_and_its_grace_up_to_a_second_later(
        self, tmp_path: Path, ended: str, cause: str
    ) -> None:
        documents = lines("grace-overrun")
        for status in _statuses(documents):
            if "terminated" in status["state"]:
                status["state"]["terminated"]["finishedAt"] = f"2026-11-23T10:56:{ended}"
        assert join(read(tmp_path / "w", documents), recordings("overrun")).rows[0].cause == cause

    def test_an_event_tells_of_its_own_container_only(self, tmp_path: Path) -> None:
        documents = lines("liveness-ignores-term")
        for document in documents:
            if document.get("event", {}).get("reason") == "Killing":
                document["event"]["involvedObject"]["fieldPath"] = "spec.containers{second-main}"
        row = join(read(tmp_path / "w", documents), recordings("ignoring")).rows[0]
        assert (row.cause, row.exit_code) == ("killed", 137)

    def test_a_condition_that_does_not_hold_is_no_cause(self, tmp_path: Path) -> None:
        documents = disrupted(lines("graceful-delete"), "PreemptionByScheduler")
        pods(documents)[-1]["status"]["conditions"][0]["status"] = "False"
        assert join(read(tmp_path / "w", documents), recordings("deleted")).rows[0].cause == "deleted"

    @pytest.mark.parametrize(
        ("reason", "name", "cause", "says"),
        [
            ("SuccessfulDelete", "rolled-85f6986465-9zwfb", "deleted", "deleted; "),
            (
                "ScalingReplicaSet",
                "rolled-85f6986465",
                "scaled down",
                "deleted by its ReplicaSet rolled-85f6986465; ",
            ),
        ],
    )
    def test_an_event_about_a_longer_name_is_about_another_object(
        self, tmp_path: Path, reason: str, name: str, cause: str, says: str
    ) -> None:
        documents = lines("rollout")
        for document in documents:
            if (event := document.get("event", {})).get("reason") == reason:
                event["message"] = event["message"].replace(name, f"{name}0")
        row = join(read(tmp_path / "w", documents), recordings("rolled-85f6986465-9zwfb")).rows[0]
        assert row.cause == cause
        assert row.ending.startswith(says)

    def test_a_child_that_ran_out_of_memory_is_never_claimed(self, tmp_path: Path) -> None:
        """Nothing of it is in the API, as nothing is of this: the process goes on."""
        ledger = join(read(tmp_path / "w", lines("running")), recordings("alive"))
        assert "memory" not in ledger.rows[0].ending + ledger.rows[0].note

    def test_a_pod_that_was_scaled_away_was_not_replaced(self, tmp_path: Path) -> None:
        documents = [each for each in lines("rollout") if "Scaled up" not in each.get("event", {}).get("message", "")]
        row = join(read(tmp_path / "w", documents), recordings("rolled-85f6986465-9zwfb")).rows[0]
        assert (row.cause, row.ending) == ("scaled down", "deleted as Deployment rolled was scaled down; exit code 0")

    def test_what_was_scaled_away_after_a_rollout_was_not_replaced_either(self, tmp_path: Path) -> None:
        """The other ReplicaSet had grown first, so it is the one that was replaced."""
        documents = lines("rollout")
        for document in documents:
            if "Scaled up replica set rolled-5c59b9dbb9" in document.get("event", {}).get("message", ""):
                document["event"] |= {"firstTimestamp": "2026-11-23T10:56:09Z", "lastTimestamp": "2026-11-23T10:56:09Z"}
        row = join(read(tmp_path / "w", documents), recordings("rolled-85f6986465-9zwfb")).rows[0]
        assert row.cause == "scaled down"

    def test_a_container_that_ends_well_after_a_child_of_it_ran_out_of_memory_was_not_killed(
        self, tmp_path: Path
    ) -> None:
        """With control groups of version 1, containerd says OOMKilled of it, beside the exit code that it had."""
        documents = lines("completed")
        for status in _statuses(documents):
            if "terminated" in status["state"]:
                status["state"]["terminated"]["reason"] = "OOMKilled"
        row = join(read(tmp_path / "w", documents), recordings("done")).rows[0]
        assert (row.state, row.cause, row.exit_code) == ("finished", "exited", 0)
        assert row.ending == "exit code 0; something that its first process started was killed for memory before"

    def test_a_failed_probe_ended_the_process_before_and_not_the_one_that_began_in_that_second(
        self, tmp_path: Path
    ) -> None:
        documents = lines("liveness-ends-on-term")
        moments = ("2026-11-23T10:56:18Z", "2026-11-23T10:56:45Z", "2026-11-23T10:57:00Z")

        def ended(number: int) -> Document:
            identity = f"containerd://{number}"
            times = {"startedAt": moments[number], "finishedAt": moments[number + 1]}
            return {"terminated": {"exitCode": 0, "reason": "Completed", "containerID": identity, **times}}

        _statuses(documents)[-1].update(containerID="containerd://1", state=ended(1), lastState=ended(0))
        for status in _statuses(documents)[:-1]:
            status["containerID"] = "containerd://0" if status.get("containerID") else ""
        rows = join(read(tmp_path / "w", documents), [], claim="coverage").rows
        assert [(row.restart, row.cause) for row in rows] == [(0, "probe"), (1, "exited")]

    def test_the_cause_is_known_also_when_the_node_lost_sight_of_the_container(self, tmp_path: Path) -> None:
        documents = lines("kubelet-eviction")
        unknown = {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None}
        for status in _statuses(documents):
            if "terminated" in status["state"]:
                status["state"] = {"terminated": unknown}
        row = join(read(tmp_path / "w", documents), recordings("pressed")).rows[0]
        assert (row.cause, row.exit_code) == ("kubelet eviction", None)

    def test_an_eviction_is_told_also_when_the_node_made_up_a_restart(self, tmp_path: Path) -> None:
        documents = lines("kubelet-eviction")
        unknown = {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None}
        for status in _statuses(documents):
            if "terminated" in status["state"]:
                invented = {"containerID": "", "restartCount": 1, "lastState": {"terminated": unknown}}
                status |= {**invented, "state": {"terminated": unknown}}
        (row,) = join(read(tmp_path / "w", documents), recordings("pressed")).rows
        assert (row.cause, row.exit_code) == ("kubelet eviction", None)

    def test_what_was_deleted_before_it_started_is_not_missed(self, tmp_path: Path) -> None:
        """The kubelet, which never made the container, calls its end unknown and makes up an exit code."""
        documents = lines("never-announced")
        unknown = {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None}
        for status in _statuses(documents):
            status |= {"containerID": "", "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}}
        assert join(read(tmp_path / "w", documents), [], claim="coverage").rows == []
        _statuses(documents)[-1]["state"] = {"terminated": unknown}
        assert join(read(tmp_path / "w", documents), [], claim="coverage").rows == []
        _statuses(documents)[-1]["containerID"] = "containerd://made"  # so it was started
        assert [row.state for row in join(read(tmp_path / "w", documents), [], claim="coverage").rows] == ["missing"]

    def test_what_was_killed_long_after_it_had_finished_ran_on_unrecorded(self, tmp_path: Path) -> None:
        found = [
            _changed(each, state="finished", snapshot_at="2026-11-23T10:56:30.500000Z")
            for each in recordings("overrun")
        ]
        ledger = join(read(tmp_path / "w", lines("grace-overrun")), found)
        assert ledger.rows[0].state == "finished"
        assert "it called itself finished and ran on" in ledger.losses[0].reason


class TestLossless:
    """What a recording cost in which each line was written before it ran."""

    @pytest.mark.parametrize(
        ("name", "state", "how"),
        [
            ("killed-on-the-node", "killed", "killed"),
            ("out-of-memory", "killed", "killed"),
            ("liveness-ignores-term", "killed", "killed"),
            ("grace-overrun", "killed", "killed"),
            ("force-delete", "killed", "killed"),
            ("active-deadline", "killed", "killed"),
            ("exit-without-save", "ended", "ended without its last save"),
            ("running", "silent", "its beat does not move, and Kubernetes says that its container still runs"),
        ],
    )
    def test_an_end_without_a_last_save_costs_nothing(self, tmp_path: Path, name: str, state: str, how: str) -> None:
        testimony = read(tmp_path / "w", lines(name))
        found = [immediate(each, state="running") for each in recordings(CASES[name].pod)]
        row = join(testimony, found, complete=True).rows[0]
        assert (row.state, row.cause, row.lost_seconds) == (state, CASES[name].cause, 0.0)
        assert row.lost_nothing
        assert row.note == f"{how}; nothing is lost: each line was on the volume before it ran"
        for other in (
            join(testimony, found, complete=False).rows[0],  # the marker is gone: a point could not be written
            join(testimony, [mode(each, "interval") for each in found], complete=True).rows[0],
        ):
            assert not other.lost_nothing
            assert "nothing is lost" not in other.note

    def test_the_least_that_is_lost_is_not_nothing(self, tmp_path: Path) -> None:
        last = dict.fromkeys(("snapshot_at", "published_at"), "2026-11-23T10:56:45.000000Z")
        row = join(read(tmp_path / "w", lines("killed-on-the-node")), [_changed(recordings("killed")[0], **last)]).rows[
            0
        ]
        assert (row.lost_seconds, row.lost_nothing) == (0.1, False)

    def test_in_mode_final_everything_is_lost(self, tmp_path: Path) -> None:
        found = [mode(each, "final") for each in recordings("killed")[:1]]
        row = join(read(tmp_path / "w", lines("killed-on-the-node")), found, complete=True).rows[0]
        assert (row.state, row.lost_seconds) == ("killed", 24.4)
        assert row.note == "lost is everything that it ran, in 24.4 s at most: nothing was saved before its end"

    @pytest.mark.parametrize(
        ("how", "complete", "lost", "says"),
        [
            ("interval", False, None, "s at most, and what forked children of it had not written, which may be more"),
            ("immediate", False, None, "s at most, and what forked children of it had not written, which may be more"),
            ("immediate", True, 0.0, "killed; nothing is lost"),
            ("final", False, 24.4, "lost is everything that it ran, in 24.4 s at most"),
        ],
    )
    def test_what_forked_children_lost_is_not_known(
        self, tmp_path: Path, how: Mode, complete: bool, lost: float | None, says: str
    ) -> None:
        """They have no snapshots: what they ran since they were forked may be lost."""
        found = mode(recordings("killed")[0], how)
        assert found.manifest is not None
        forked = _changed(found, process=dataclasses.replace(found.manifest.process, forks=2))
        row = join(read(tmp_path / "w", lines("killed-on-the-node")), [forked], complete=complete).rows[0]
        assert (row.state, row.lost_seconds) == ("killed", lost)
        assert says in row.note

    @pytest.mark.parametrize(
        ("published", "interval", "took", "says"),
        [
            ("10:56:35.100000", 1.0, 0.0, ""),
            ("10:56:34.900000", 1.0, 0.0, "its beat stopped 10.1 s before its end"),
            ("10:56:34.900000", 3.0, 2.0, ""),
            ("10:56:33.900000", 3.0, 2.0, "its beat stopped 11.1 s before its end"),
            (
                "10:56:45.100000",
                1.0,
                0.0,
                "it is not known whether the volume still took what it ran",
            ),
        ],
    )
    def test_a_beat_that_stopped_before_the_end_proves_nothing(
        self, tmp_path: Path, published: str, interval: float, took: float, says: str
    ) -> None:
        """The last thing that it ran may be on a volume that took no more writes: not even those of its pulse."""
        times = {"snapshot_at": "2026-11-23T10:56:33.000000Z", "published_at": f"2026-11-23T{published}Z"}
        found = immediate(recordings("killed")[0], interval=interval, publish_seconds=took, **times)
        row = join(read(tmp_path / "w", lines("killed-on-the-node")), [found], complete=True).rows[0]
        lost = None if row.clock else 12.0 if says else 0.0
        assert (row.state, row.lost_seconds) == ("killed", lost)
        assert row.note.startswith(says or "killed; nothing is lost")
        assert bool(row.clock) == (published > "10:56:45")
        if says:
            unknown = "it is not known whether the volume still took what it ran"
            how_much = f"how much is lost is not known: {row.clock}" if row.clock else "lost is what ran in"
            assert f"{unknown}; {how_much}" in row.note

    @pytest.mark.parametrize("same_boot", [True, False, None])
    def test_an_end_that_nobody_saw_costs_nothing_only_if_the_machine_went_on(
        self, tmp_path: Path, same_boot: bool | None
    ) -> None:
        documents = [each for each in lines("running") if "pod" not in each or each["change"] != "DELETED"]
        gone = {**next(each for each in reversed(documents) if "pod" in each), "change": "GONE"}
        found = [immediate(each) for each in recordings("alive")]
        testimony = read(tmp_path / "w", [*documents, gone])
        row = join(testimony, found, complete=True, same_boot=same_boot).rows[0]
        assert (row.state, row.cause) == ("silent", "unknown")
        assert row.lost_seconds == (0.0 if same_boot else None)
        known = "how it ended is not known; nothing is lost: each line was on the volume before it ran"
        unknown = "whether its machine has restarted since is not known; how much is lost is not known"
        assert row.note == (known if same_boot else unknown)

    @pytest.mark.parametrize("same_boot", [True, None])
    def test_a_container_that_was_gone_when_its_runtime_looked_has_no_exit_code(
        self, tmp_path: Path, same_boot: bool | None
    ) -> None:
        """What containerd writes after a restart of the machine, or of what held the container."""
        documents = lines("killed-on-the-node")
        for status in _statuses(documents):
            for state in (status["state"], status["lastState"]):
                if "terminated" in state:
                    state["terminated"] |= {"reason": "Unknown", "exitCode": 255}
        found = immediate(recordings("killed")[0])
        row = join(read(tmp_path / "w", documents), [found], complete=True, same_boot=same_boot).rows[0]
        assert (row.state, row.cause, row.exit_code, row.lost_nothing) == ("silent", "unknown", None, bool(same_boot))
        assert "it was gone when its container runtime looked, as after a restart" in row.ending

    def test_a_child_may_have_ended_long_before_its_container(self, tmp_path: Path) -> None:
        testimony = read(tmp_path / "w", lines("killed-on-the-node"))
        parent = immediate(recordings("killed")[0])
        early = {"snapshot_at": "2026-11-23T10:56:22.000000Z", "published_at": "2026-11-23T10:56:22.000000Z"}
        child = child_of(parent, 1, state="running", **early)
        assert [row.lost_seconds for row in join(testimony, [parent, child], complete=True).rows[:2]] == [0.0, 0.0]
        finished = child_of(parent, 2, state="finished", **early)
        ledger = join(testimony, [parent, finished], complete=True)
        assert (ledger.rows[1].state, ledger.rows[1].note) == ("finished", "")
        assert [loss.recording for loss in ledger.losses] == [""]  # of the next start of the container
        assert ledger.rows[1].parent == parent.recording
        in_intervals = mode(child, "interval")
        assert join(testimony, [parent, in_intervals], complete=True).rows[1].lost_seconds == 23.0


class TestLostNode:
    """A node that was lost took along what was in its memory: a loss in every mode."""

    @pytest.mark.parametrize("how", ["immediate", "interval", "final"])
    @pytest.mark.parametrize("same_boot", [True, None])
    def test_it_is_a_loss_in_every_mode(self, tmp_path: Path, how: Mode, same_boot: bool | None) -> None:
        documents = disrupted(lines("force-delete"), "DeletionByPodGC")
        found = [mode(_changed(each, state="running"), how) for each in recordings("forced")]
        row = join(read(tmp_path / "w", documents), found, complete=True, same_boot=same_boot).rows[0]
        assert (row.state, row.cause, row.exit_code, row.lost_seconds) == ("silent", "node lost", None, None)
        assert row.ending == (
            "removed by the garbage collection of pods, as its node is gone; its exit code was never told"
        )
        assert row.note == (
            "its node was lost, and with it what was in its memory and not on its disk yet; "
            "how much is lost is not known"
        )

    def test_what_ended_before_is_lost_with_the_node_that_its_pod_outlived(self, tmp_path: Path) -> None:
        found = [immediate(each) for each in recordings("killed")[:1]]
        row = join(
            read(tmp_path / "w", disrupted(lines("active-deadline"), "DeletionByPodGC")),
            [immediate(each) for each in recordings("late")],
            complete=True,
        ).rows[0]
        assert (row.state, row.cause, row.exit_code, row.lost_seconds) == ("killed", "node lost", 137, 1.1)
        restarted = join(read(tmp_path / "v", disrupted(lines("killed-on-the-node"), "DeletionByPodGC")), found).rows[0]
        assert restarted.cause == "killed"  # its kubelet started the container again

    @pytest.mark.parametrize(("sign", "says"), [
        ("taint", "evicted because of a taint of its node, which has not told its end"),
        ("status", "its node was lost: Node n which was running pod forced is unresponsive"),
        ("event", "its node was not ready (NodeNotReady)"),
    ])  # fmt: skip
    def test_it_is_told_by_whatever_tells_it(self, tmp_path: Path, sign: str, says: str) -> None:
        documents = lines("force-delete")
        if sign == "taint":
            disrupted(documents, "DeletionByTaintManager")
        elif sign == "status":
            for document in pods(documents):
                message = "Node n which was running pod forced is unresponsive."
                document["status"] |= {"reason": "NodeLost", "message": message}
        else:
            documents.append(not_ready(documents, "2026-11-23T10:56:45Z"))
        found = [immediate(_changed(each, state="running")) for each in recordings("forced")]
        row = join(read(tmp_path / "w", documents), found, complete=True).rows[0]
        assert (row.state, row.cause, row.lost_nothing) == ("silent", "node lost", False)
        assert row.ending.startswith(f"{says}; ")

    @pytest.mark.parametrize("sign", ["taint", "event"])
    def test_a_node_that_told_the_end_was_not_lost(self, tmp_path: Path, sign: str) -> None:
        documents = lines("grace-overrun")
        if sign == "taint":
            disrupted(documents, "DeletionByTaintManager")
        else:
            documents.append(not_ready(documents, "2026-11-23T10:56:30Z"))
        row = join(read(tmp_path / "w", documents), [immediate(recordings("overrun")[0])], complete=True).rows[0]
        assert (row.cause, row.lost_nothing) == ("grace overrun", True)

    def test_a_node_that_lost_sight_of_a_container_is_lost_only_if_something_says_so(self, tmp_path: Path) -> None:
        documents = lines("grace-overrun")
        for status in _statuses(documents):
            if "terminated" in status["state"]:
                status["state"]["terminated"] |= {"reason": "ContainerStatusUnknown", "finishedAt": None}
        found = [immediate(recordings("overrun")[0])]
        row = join(read(tmp_path / "w", documents), found, complete=True).rows[0]
        assert (row.cause, row.lost_nothing) == ("deleted", True)
        documents.append(not_ready(documents, "2026-11-23T10:56:30Z"))
        row = join(read(tmp_path / "w", documents), found, complete=True).rows[0]
        assert (row.cause, row.lost_nothing) == ("node lost", False)

    def test_what_runs_on_a_node_that_does_not_answer_may_be_lost(self, tmp_path: Path) -> None:
        documents = lines("running")
        documents.append(not_ready(documents, "2026-11-23T10:56:45Z"))
        row = join(read(tmp_path / "w", documents), [immediate(recordings("alive")[0])], complete=True).rows[0]
        assert (row.state, row.cause, row.lost_nothing) == ("silent", "running", False)
        assert row.ending == "running, as far as Kubernetes knows: its node was not ready (NodeNotReady)"
        assert "its container still runs, but its node was lost" in loss_of(row)

    def test_its_event_is_kept(self) -> None:
        raw = {
            "involvedObject": {"kind": "Pod", "name": "p", "uid": "u"},
            "metadata": {"uid": "e"},
            "reason": "NodeNotReady",
            "message": "Node is not ready",
            "lastTimestamp": "2026-11-23T10:56:45Z",
        }
        kept = keep_event(raw)
        assert kept is not None
        assert Event.of(kept).reason == "NodeNotReady"


class TestMatching:
    def test_each_start_of_a_container_has_its_own_recording(self, tmp_path: Path) -> None:
        ledger = join(read(tmp_path / "w", lines("out-of-memory")), recordings("eater"))
        assert [(row.restart, row.cause) for row in ledger.rows] == [(0, "out of memory"), (1, "running")]

    @pytest.mark.parametrize("kept", [0, 1])
    def test_the_one_that_left_none_is_named_by_its_restart(self, tmp_path: Path, kept: int) -> None:
        found = recordings("eater")
        ledger = join(read(tmp_path / "w", lines("out-of-memory")), [found[kept]])
        assert [(row.state == "missing", row.restart) for row in ledger.rows] == [(False, kept), (True, 1 - kept)]

    def test_a_recording_that_cannot_be_read_is_known_by_its_name(self, tmp_path: Path) -> None:
        found = [Found(recording=each.recording, manifest=None, reason="?") for each in recordings("done")]
        ledger = join(read(tmp_path / "w", lines("completed")), found, claim="coverage")
        assert [(row.state, row.cause) for row in ledger.rows] == [("damaged", "exited")]
        assert ledger.proven

    def test_a_recording_of_an_earlier_run_is_not_missed(self, tmp_path: Path) -> None:
        found = recordings("eater")
        ledger = join(read(tmp_path / "w", lines("out-of-memory")), found[1:], earlier=found[:1])
        assert [row.restart for row in ledger.rows] == [1]

    def test_a_child_that_records_shares_the_ending_of_its_container(self, tmp_path: Path) -> None:
        found = recordings("killed")[:1]
        child = dataclasses.replace(found[0], recording=found[0].recording[:-8] + "0" * 8)
        child = _changed(child, recording=child.recording, started_at="2026-11-23T10:56:40.000000Z")
        ledger = join(read(tmp_path / "w", lines("killed-on-the-node")), [*found, child])
        assert [(row.restart, row.state) for row in ledger.rows if row.recording] == [(0, "killed"), (0, "killed")]

    def test_a_child_takes_no_instance_from_another_process(self, tmp_path: Path) -> None:
        """Where two starts are within one second, which times alone do not tell apart."""
        documents = lines("out-of-memory")
        for status in _statuses(documents):
            for state in (status["state"], status["lastState"]):
                for times in state.values():
                    times |= {name: "2026-11-23T10:56:18Z" for name in ("startedAt", "finishedAt") if name in times}
        found = recordings("eater")
        first, second = (
            _changed(each, started_at=f"2026-11-23T10:56:18.{digit}00000Z")
            for each, digit in zip(found, (3, 5), strict=True)
        )
        child = child_of(first, 1, started_at="2026-11-23T10:56:18.900000Z")
        grandchild = child_of(child, 2, started_at="2026-11-23T10:56:18.950000Z")
        ledger = join(read(tmp_path / "w", documents), [grandchild, first, child, second])
        assert [row.restart for row in ledger.rows] == [0, 0, 0, 1]

    def test_children_that_name_each_other_as_parents_belong_to_nobody(self, tmp_path: Path) -> None:
        found = recordings("done")
        one, other = child_of(found[0], 1), child_of(found[0], 2)
        one, other = child_of(other, 1), child_of(one, 2)
        ledger = join(read(tmp_path / "w", lines("completed")), [*found, one, other])
        assert not ledger.proven
        assert f"did not see the process of {one.recording}, {other.recording}" in ledger.completeness

    def test_two_starts_within_one_second_share_no_recording(self, tmp_path: Path) -> None:
        """Whole seconds do not tell them apart: the newer recording is that of the newer start."""
        documents = lines("out-of-memory")
        for status in _statuses(documents):
            for state in (status["state"], status["lastState"]):
                for times in state.values():
                    times |= {name: "2026-11-23T10:56:18Z" for name in ("startedAt", "finishedAt") if name in times}
        found = recordings("eater")
        found = [
            _changed(each, started_at=f"2026-11-23T10:56:18.{digit}00000Z")
            for each, digit in zip(found, (3, 9), strict=True)
        ]
        ledger = join(read(tmp_path / "w", documents), found)
        assert [(row.recording, row.restart) for row in ledger.rows] == [
            (found[0].recording, 0),
            (found[1].recording, 1),
        ]

    def test_who_waits_to_be_restarted_is_the_one_that_ended(self, tmp_path: Path) -> None:
        documents = lines("out-of-memory")
        first = next(status for status in _statuses(documents) if "running" in status["state"])
        ended = next(status["lastState"] for status in _statuses(documents) if status["lastState"])
        for status in _statuses(documents):
            if status["restartCount"] == 1:
                status |= {"restartCount": 0, "containerID": first["containerID"], "lastState": ended}
                status["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
        ledger = join(read(tmp_path / "w", documents), recordings("eater")[:1])
        assert [(row.restart, row.cause) for row in ledger.rows] == [(0, "out of memory")]
        waiting = [each for each in documents if any("lastState" in s and s["lastState"] for s in _statuses([each]))]
        for document in waiting:
            document["change"] = "LISTED"
        for status in _statuses(waiting):
            status["restartCount"] = 2
        confirmed = [each for each in documents if "confirmed" in each]
        ledger = join(read(tmp_path / "w", [documents[0], *waiting, *confirmed]), recordings("eater")[:1])
        assert [(row.restart, row.cause) for row in ledger.rows] == [(2, "out of memory")]

    def test_a_number_that_was_skipped_was_a_process_too(self, tmp_path: Path) -> None:
        documents = lines("out-of-memory")
        for status in _statuses(documents):
            if status["restartCount"] == 1:
                status["restartCount"] = 3
                status["lastState"] = {}
        ledger = join(read(tmp_path / "w", documents), recordings("eater"))
        assert [(row.state, row.restart) for row in ledger.rows if row.state == "missing"] == [
            ("missing", 1),
            ("missing", 2),
        ]
        assert "an unknown time" in ledger.losses[0].reason


class TestExpecting:
    @pytest.mark.parametrize(("setting", "missing"), [("1", 1), ("TRUE", 1), ("false", 0), ("", 0), (None, 1)])
    def test_whoever_says_that_it_does_not_record_is_not_missed(
        self, tmp_path: Path, setting: str | None, missing: int
    ) -> None:
        documents = lines("never-announced")
        _set(documents, "COVERAGE_HOOKS_ENABLED", setting)
        assert len(join(read(tmp_path / "w", documents), [], claim="coverage").rows) == missing

    def test_other_claims_and_our_own_pods_are_not_missed(self, tmp_path: Path) -> None:
        documents = lines("never-announced")
        assert join(read(tmp_path / "w", documents), [], claim="other").rows == []
        for document in pods(documents):
            document["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "coverage-hooks"}
        assert join(read(tmp_path / "w", documents), [], claim="coverage").rows == []

    def test_a_container_that_does_not_mount_the_claim_is_not_missed(self, tmp_path: Path) -> None:
        documents = lines("never-announced")
        for document in pods(documents):
            document["spec"]["containers"][0]["volumeMounts"] = []
        assert join(read(tmp_path / "w", documents), [], claim="coverage").rows == []

    def test_a_container_that_prepares_the_claim_for_one_that_records_is_not_missed(self, tmp_path: Path) -> None:
        documents = lines("never-announced")
        for document in pods(documents):
            container = document["spec"]["containers"][0]
            document["spec"]["initContainers"] = [{**container, "name": "first", "env": []}]
            document["status"]["initContainerStatuses"] = [
                {**status, "name": "first"} for status in document["status"].get("containerStatuses", ())
            ]
        ledger = join(read(tmp_path / "w", documents), [], claim="coverage")
        assert [row.container for row in ledger.rows] == ["main"]
        _set(documents, "COVERAGE_HOOKS_ENABLED", None)
        ledger = join(read(tmp_path / "w", documents), [], claim="coverage")
        assert [row.container for row in ledger.rows] == ["main", "first"]

    def test_what_records_elsewhere_is_not_missed(self, tmp_path: Path) -> None:
        documents = lines("never-announced")
        for folder, missing in {"/claim/below": 1, "relative": 1, None: 1, "/elsewhere": 0, "/claimed": 0}.items():
            _set(documents, "COVERAGE_HOOKS_DIR", folder)
            assert len(join(read(tmp_path / "w", documents), [], claim="coverage").rows) == missing, folder

    def test_of_claims_within_each_other_the_innermost_is_recorded_on(self, tmp_path: Path) -> None:
        documents = lines("never-announced")
        _set(documents, "COVERAGE_HOOKS_DIR", "/claim/inner/below")
        for document in pods(documents):
            spec = document["spec"]
            spec["volumes"].append({"name": "inner", "persistentVolumeClaim": {"claimName": "inner"}})
            spec["containers"][0]["volumeMounts"].append({"name": "inner", "mountPath": "/claim/inner"})
        for claim, missing in {"inner": 1, "coverage": 0}.items():
            assert len(join(read(tmp_path / "w", documents), [], claim=claim).rows) == missing

    def test_what_began_before_the_time_that_was_asked_for_is_not_missed(self, tmp_path: Path) -> None:
        testimony = read(tmp_path / "w", lines("never-announced"))
        for since, missing in {"2026-11-23T10:56:00.0Z": 1, "2026-11-23T10:56:50.0Z": 0}.items():
            ledger = join(testimony, [], claim="coverage", run=None, since=since, requested=True)
            assert len(ledger.rows) == missing

    def test_what_never_began_is_not_missed(self, tmp_path: Path) -> None:
        documents = lines("never-announced")
        for status in _statuses(documents):
            if "terminated" in status["state"]:
                status["state"]["terminated"] |= {"reason": "StartError", "exitCode": 128}
        assert join(read(tmp_path / "w", documents), [], claim="coverage").rows == []

    def test_another_run_is_not_missed_unless_it_is_newer_than_everything(self, tmp_path: Path) -> None:
        """The newest run on the volume is taken by default; a newer one that left nothing must not hide behind it."""
        documents = lines("never-announced")
        _set(documents, "COVERAGE_HOOKS_RUN", "two")
        older, newer = recordings("done"), recordings("late")  # begun after broken, and before it
        testimony = read(tmp_path / "w", documents)
        assert [row.pod for row in join(testimony, older, claim="coverage").rows if row.state == "missing"] == []
        missed = join(testimony, newer, claim="coverage")
        assert [row.pod for row in missed.rows if row.state == "missing"] == ["shop/broken"]
        asked_for = join(testimony, newer, claim="coverage", requested=True)
        assert [row.pod for row in asked_for.rows if row.state == "missing"] == []

    def test_spaces_around_a_run_are_no_other_run(self, tmp_path: Path) -> None:
        """The recorder leaves them out, too."""
        documents = lines("never-announced")
        _set(documents, "COVERAGE_HOOKS_RUN", " one ")
        ledger = join(read(tmp_path / "w", documents), [], claim="coverage", requested=True)
        assert [row.pod for row in ledger.rows] == ["shop/broken"]


class TestCompleteness:
    def case(self, path: Path, documents: list[Document], **options: Any) -> str:
        return join(read(path / "w", documents), recordings("done"), **options).completeness

    def test_a_gap_is_named(self, tmp_path: Path) -> None:
        documents = lines("completed")
        at = documents[-2]["at"]
        gap = {"at": at, "gap": "pods", "since": documents[1]["at"], "reason": "too old"}
        assert "unproven: the witness saw nothing from 2026-11-23T10:56:" in self.case(
            tmp_path, [*documents[:-2], gap, *documents[-2:]]
        )
        assert self.case(tmp_path, [*documents[:2], gap, *documents[2:]]).startswith("proven")

    def test_a_gap_is_named_whatever_was_seen_last_before_it(self, tmp_path: Path) -> None:
        documents = lines("completed")
        event = next(each for each in lines("rollout") if "event" in each) | {"at": documents[-2]["at"]}
        gap = {"at": documents[-2]["at"], "gap": "pods", "since": documents[-4]["at"], "reason": "too old"}
        completeness = self.case(tmp_path, [*documents[:-2], event, gap, *documents[-2:]])
        assert completeness.startswith("unproven: the witness saw nothing from ")

    def test_a_gap_in_the_events_alone_hides_nobody(self, tmp_path: Path) -> None:
        documents = lines("completed")
        gap = {"at": documents[-2]["at"], "gap": "events", "since": documents[1]["at"], "reason": "too old"}
        assert self.case(tmp_path, [*documents, gap]).startswith("proven")

    def test_a_line_that_cannot_be_read_is_a_gap(self, tmp_path: Path) -> None:
        documents = lines("completed")
        whole = self.case(tmp_path, documents)
        text = (tmp_path / "w").read_text().splitlines(keepends=True)
        middle = next(n for n, line in enumerate(text) if '"running"' in line) + 1
        assert whole.startswith("proven")
        for torn in (
            text[middle][: len(text[middle]) // 2] + "\n",
            "\0\0\0\n",
            "[" * 5000 + "\n",
            "{}\n",
            '{"at": 1}\n',
        ):
            (tmp_path / "torn").write_text("".join([*text[:middle], torn, *text[middle + 1 :]]))
            testimony = watchlog.read(tmp_path / "torn")
            assert testimony is not None
            completeness = join(testimony, recordings("done")).completeness
            assert "a line cannot be read" in completeness

    def test_a_last_line_that_cannot_be_read_is_a_gap_whatever_is_confirmed_later(self, tmp_path: Path) -> None:
        documents = lines("completed")
        text = [f"{json.dumps(document)}\n" for document in documents]
        last = max(number for number, document in enumerate(documents) if "change" in document)
        (tmp_path / "w").write_text("".join([*text[: last + 1], '{"at": "2026-11\n', *text[last + 1 :]]))
        testimony = watchlog.read(tmp_path / "w")
        assert testimony is not None
        assert "a line cannot be read" in join(testimony, recordings("done")).completeness

    def test_a_witness_that_started_late_is_named(self, tmp_path: Path) -> None:
        documents = lines("completed")
        for document in documents:
            if document.get("change") in {"ADDED", "MODIFIED"}:
                document["change"] = "LISTED"
        assert "and pod done ran already" in self.case(tmp_path, documents)

    def test_a_witness_that_stopped_early_is_named(self, tmp_path: Path) -> None:
        documents = [each for each in lines("completed") if each.get("at", "") < "2026-11-23T10:56:58"]
        assert "before everything was copied: it says nothing more" in self.case(tmp_path, documents)
        documents.append({"at": documents[-1]["at"], "stopped": "pods: the server is gone"})
        assert "before everything was copied: pods: the server is gone" in self.case(tmp_path, documents)

    def test_a_witness_that_stopped_while_recordings_were_copied_is_named(self, tmp_path: Path) -> None:
        documents = [each for each in lines("completed") if each.get("at", "") < "2026-11-23T10:56:58"]
        documents.append({"at": "2026-11-23T10:56:58.500000Z", "confirmed": "pods", "version": "99999"})
        assert "before everything was copied: it says nothing more" in self.case(tmp_path, documents)

    def test_a_witness_that_stopped_between_two_of_them_tells_of_the_first(self, tmp_path: Path) -> None:
        documents = [each for each in lines("killed-on-the-node") if each.get("at", "") < "2026-11-23T10:56:46"]
        ledger = join(read(tmp_path / "w", documents), recordings("killed"))
        assert [(row.state, row.cause) for row in ledger.rows] == [("killed", "killed"), ("silent", "")]
        assert ledger.completeness.startswith("unproven: ")

    def test_a_process_that_nobody_saw_is_named(self, tmp_path: Path) -> None:
        documents = lines("completed")
        ledger = join(read(tmp_path / "w", documents), [*recordings("done"), *recordings("late")])
        assert "did not see the process of late-2026" in ledger.completeness
        assert ledger.rows[1].ending == "unknown: its pod was gone before anybody looked"

    def test_whoever_was_only_asked_proves_nothing(self, tmp_path: Path) -> None:
        testimony = read(tmp_path / "w", lines("completed"))
        testimony.asked = True
        ledger = join(testimony, recordings("done"))
        assert ledger.rows[0].asked
        assert "unproven: nobody watched the cluster; it was asked afterwards" in ledger.completeness

    def test_a_witness_of_something_else_says_nothing(self, tmp_path: Path) -> None:
        documents = lines("completed")
        documents[0]["namespace"] = "other"
        assert "the witness watched namespace other, and these ran in shop" in self.case(tmp_path, documents)
        documents = [{**lines("completed")[0], "started_at": "2026-11-23T10:00:00.000000Z"}]
        assert "the witness stopped at 2026-11-23T10:00:00Z, before any of these began" in self.case(
            tmp_path, documents
        )


def _statuses(documents: list[Document]) -> list[Document]:
    return [status for document in pods(documents) for status in document["status"].get("containerStatuses", ())]


def begun(documents: list[Document], moment: str, *, seen: str) -> list[Document]:
    """Let the process begin at *moment*, and be seen at another by the clock here."""
    for status in _statuses(documents):
        if "running" in status["state"]:
            status["state"]["running"]["startedAt"] = moment
    for document in documents:
        if "pod" in document:
            document["at"] = seen
    return documents


def _set(documents: list[Document], name: str, value: str | None) -> None:
    for document in pods(documents):
        container = document["spec"]["containers"][0]
        container["env"] = [each for each in container["env"] if each["name"] != name]
        if value is not None:
            container["env"].append({"name": name, "value": value})


def _changed(found: Found, **changes: Any) -> Found:
    assert found.manifest is not None
    return Found(recording=found.recording, manifest=dataclasses.replace(found.manifest, **changes))


def mode(found: Found, journal: Mode) -> Found:
    """Return *found* with points that got to its journal in another way."""
    assert found.manifest is not None
    return _changed(found, process=dataclasses.replace(found.manifest.process, journal=journal))


def immediate(found: Found, **changes: Any) -> Found:
    return _changed(mode(found, "immediate"), **changes)


def child_of(parent: Found, number: int, **changes: Any) -> Found:
    """Return a recording, as that of *parent*, of a process that it started."""
    assert parent.manifest is not None
    name = f"{parent.recording[:-8]}{number:08}"
    process = dataclasses.replace(parent.manifest.process, parent=parent.recording)
    return Found(
        recording=name, manifest=dataclasses.replace(parent.manifest, recording=name, process=process, **changes)
    )


def disrupted(documents: list[Document], reason: str) -> list[Document]:
    """Let the last state of the pod say that it was disrupted."""
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": ""}
    pods(documents)[-1]["status"]["conditions"] = [condition]
    return documents


def not_ready(documents: list[Document], moment: str) -> Document:
    """Return the event that the node of the pod is not ready."""
    metadata = pods(documents)[0]["metadata"]
    return {
        "at": documents[-1]["at"],
        "change": "ADDED",
        "event": {
            "involvedObject": {"kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]},
            "metadata": {"uid": "not-ready"},
            "reason": "NodeNotReady",
            "message": "Node is not ready",
            "firstTimestamp": moment,
            "lastTimestamp": moment,
        },
        "version": "99999",
    }
