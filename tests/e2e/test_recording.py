"""A recording operator in a pod: however the pod ends, what ran is in the report, or is named as lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.killing import kill_container
from tests.e2e.namespaces import Namespace, using_namespace
from tests.e2e.releases import LIFECYCLE, NOT_ASKED_FOR, RECORDING
from tests.e2e.session import Session
from tests.e2e.stage import Stage

CLIENT, REALM = "keycloak_operator/reconcile/client.py", "keycloak_operator/reconcile/realm.py"
CREDENTIALS = "keycloak_operator/reconcile/credentials.py"

pytestmark = pytest.mark.usefixtures("coverage_image")


@pytest.fixture
def privileged(shared: Session, operator_image: str) -> Iterator[Namespace]:
    """Return a namespace for pods that may do anything to their node."""
    with using_namespace(shared, operator_image, "privileged") as namespace:
        yield namespace


async def test_what_a_release_did_is_all_there_after_it_was_uninstalled(tmp_path: Path, stage: Stage) -> None:
    await stage.install(*RECORDING)
    await stage.apply_examples()
    await stage.delete("KeycloakClient", "orders")
    await stage.uninstall()
    done = await stage.collected(tmp_path, "--expect=1")
    assert (done.code, done.states) == (0, ["finished"]), done.said
    # One client was deleted, and nothing else: not a realm, nor a client whose realm was gone or which stays.
    assert done.missing(CLIENT, "release") == [
        'return managed.abandon(outcome, f"spec.mode is {mode}, so client {name} stays in Keycloak as it is")',
        'return managed.abandon(outcome, f"its realm or connection is gone; client {name} may remain in Keycloak")',
        "await _unmark(world, connection, realm, client)",
        "return outcome",
    ]
    assert done.never_ran(REALM, "release")
    assert done.never_ran(CLIENT, "_unmark")
    assert done.missing(LIFECYCLE, "set_up") == ["memo.metrics = metrics.serve(mine.metrics)"]
    assert done.missing(LIFECYCLE, "take_down") == NOT_ASKED_FOR


async def test_a_deleted_pod_has_saved_everything_and_the_next_one_goes_on(tmp_path: Path, stage: Stage) -> None:
    await stage.install(*RECORDING)
    await stage.apply_examples()
    await asyncio.to_thread(stage.release.delete_pod)
    # What only the second pod does.
    await stage.delete("KeycloakRealm", "shop")
    await stage.uninstall()
    done = await stage.collected(tmp_path, "--expect=2")
    assert (done.code, done.states) == (0, ["finished", "finished"]), done.said
    # Its Keycloak answered.
    assert done.missing(REALM, "_unmark") == ["except OperatorError:", "return"]
    assert done.missing(LIFECYCLE, "take_down") == NOT_ASKED_FOR


async def test_a_killed_container_loses_nothing(tmp_path: Path, stage: Stage, privileged: Namespace) -> None:
    await stage.install(*RECORDING)
    await stage.apply_examples()
    await asyncio.to_thread(kill_container, privileged, stage.release.container())
    ended = await asyncio.to_thread(stage.release.wait_until_it_restarted)
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")
    await stage.uninstall()
    # From a copy of the claim, without asking the cluster: the machine is the same, and has not restarted.
    done = await stage.collected(tmp_path, "--expect=2")
    assert (done.code, done.states) == (0, ["silent", "finished"]), done.said
    assert done.summary["losses"] == []
    killed = min(done.summary["ledger"], key=lambda row: str(row["started_at"]))
    assert (killed["mode"], killed["lost_seconds"]) == ("immediate", 0.0)
    # All that was done for the examples was on the claim by then, and the cleanup is that of the second process.
    assert not done.never_ran(CREDENTIALS, "write")
    assert done.missing(LIFECYCLE, "take_down") == NOT_ASKED_FOR


async def test_an_upgrade_replaces_the_pod_and_loses_nothing(tmp_path: Path, stage: Stage) -> None:
    await stage.install(*RECORDING)
    await stage.apply_examples()
    before = stage.release.pod()["metadata"]["uid"]
    await asyncio.to_thread(stage.release.upgrade, *RECORDING, "logFormat=json")
    assert stage.release.pod()["metadata"]["uid"] != before
    await stage.uninstall()
    done = await stage.collected(tmp_path, "--expect=2")
    assert (done.code, done.states) == (0, ["finished", "finished"]), done.said
    assert done.missing(LIFECYCLE, "take_down") == NOT_ASKED_FOR
