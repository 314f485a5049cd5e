"""Why a reader does not run, from what Kubernetes says of its pod."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes_asyncio.client import (
    CoreV1Event,
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1ObjectMeta,
    V1ObjectReference,
    V1Pod,
    V1PodCondition,
    V1PodStatus,
)

from coverage_hooks.collect.cluster import reader_status


def pod(*, state: dict[str, Any] | None = None, phase: str = "Pending", **status: Any) -> V1Pod:
    statuses = (
        []
        if state is None
        else [
            V1ContainerStatus(
                name="reader", image="x", image_id="", ready=False, restart_count=0, state=V1ContainerState(**state)
            )
        ]
    )
    return V1Pod(
        metadata=V1ObjectMeta(name="reader"),
        status=V1PodStatus(phase=phase, container_statuses=statuses, **status),
    )


def unscheduled(message: str) -> V1Pod:
    condition = V1PodCondition(type="PodScheduled", status="False", reason="Unschedulable", message=message)
    return pod(conditions=[condition])


@pytest.mark.parametrize(
    ("reason", "patience"),
    [("ErrImageNeverPull", 0), ("InvalidImageName", 0), ("ImagePullBackOff", 12), ("CreateContainerConfigError", 2)],
)
def test_what_a_container_waits_for_is_named_with_how_long_to_believe_in_it(reason: str, patience: float) -> None:
    waiting = V1ContainerStateWaiting(reason=reason, message="because")
    found = reader_status.trouble(pod(state={"waiting": waiting}))
    assert found == reader_status.Trouble(text=f"{reason}, image 'x': because", patience=patience)


def test_a_container_that_is_being_made_is_in_no_trouble() -> None:
    assert reader_status.trouble(pod(state={"waiting": V1ContainerStateWaiting(reason="ContainerCreating")})) is None
    assert reader_status.trouble(pod()) is None


def test_a_pod_that_fits_nowhere_is_named_with_the_scheduler_s_words() -> None:
    found = reader_status.trouble(unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint"))
    assert found is not None
    assert found.text.endswith("untolerated taint")


@pytest.mark.parametrize(("holders", "said"), [(["operator-0"], "operator-0"), ([], "another one")])
def test_who_has_a_claim_that_is_for_one_pod_is_named(holders: list[str], said: str) -> None:
    found = reader_status.trouble(unscheduled("node has pod using ReadWriteOncePod access mode"), holders)
    assert found is not None
    assert found.text.endswith(f"in use by {said}")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            pod(
                state={"terminated": V1ContainerStateTerminated(reason="StartError", exit_code=128, message=" exec\n")},
                phase="Failed",
            ),
            "its container ended (StartError, exit code 128): exec",
        ),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "it ended (Evicted): low on memory"),
        (pod(phase="Succeeded"), "it ended (Succeeded): nothing more is known"),
    ],
)
def test_how_a_pod_ended_is_told_at_once(found: V1Pod, said: str) -> None:
    assert reader_status.ending(found) == said
    assert reader_status.trouble(found) == reader_status.Trouble(text=said)


def test_the_newest_warning_is_told() -> None:
    def event(kind: str, minute: int, message: str) -> CoreV1Event:
        return CoreV1Event(
            metadata=V1ObjectMeta(name="e"),
            involved_object=V1ObjectReference(),
            type=kind,
            reason="FailedMount",
            message=message,
            last_timestamp=datetime(2026, 1, 31, 0, minute, tzinfo=UTC),
        )

    events = [event("Warning", 1, "old"), event("Warning", 2, "new"), event("Normal", 3, "fine")]
    assert reader_status.warning(events) == "FailedMount: new"
    assert reader_status.warning([]) == ""
