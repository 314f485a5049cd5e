"""Sessions of pytest whose tests run an operator that fails: however they end, it is collected, or said why not."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.collecting import ROOT, Collected
from tests.e2e.faulty import CLAIM, NAME, PROJECT
from tests.e2e.killing import kill_container
from tests.e2e.namespaces import Namespace, using_namespace
from tests.e2e.project import Project
from tests.e2e.session import Session
from tests.e2e.waiting import wait_until

ACTS = "faulty/acts.py"
READER = "app.kubernetes.io/component=reader"

FAULTY = """
    import os
    import subprocess
    from pathlib import Path

    import pytest

    from tests.cluster.cluster import given
    from tests.e2e.faulty import Faulty
    from tests.e2e.namespaces import Namespace

    @pytest.fixture(scope="session")
    def operator(coverage_hooks_run):
        image = os.environ["IMAGE"]
        faulty = Faulty(Namespace(given(), os.environ["NAMESPACE"], image), image, coverage_hooks_run)
        faulty.deploy()
        yield faulty
        faulty.end()

    @pytest.fixture
    def reach():
        return Path(__file__).with_name("reached").touch
"""

MAKES_NAMESPACE = """
    @pytest.fixture(scope="session", autouse=True)
    def namespace():
        subprocess.run(["kubectl", "create", "namespace", os.environ["NAMESPACE"]], check=True)
"""

DELETES_NAMESPACE = """
    @pytest.fixture(scope="session", autouse=True)
    def namespace():
        yield
        subprocess.run(["kubectl", "delete", "namespace", os.environ["NAMESPACE"], "--wait=false"], check=True)
"""

WORKS = """
    def test_it_works(operator):
        operator.work()
"""

FAILS = f"""{WORKS}
    def test_it_does_not():
        assert 0

    def test_more(operator):
        operator.tell("fork")
"""

IS_KILLED = """
    def test_it_comes_back(operator, reach):
        operator.work()
        reach()
        operator.wait_until_restarted()
"""

HANGS = """
    import threading

    def test_it_goes_on_and_on(operator, reach):
        operator.work()
        reach()
        threading.Event().wait(3600)
"""

PASSES = """
    def test_it():
        pass
"""


@pytest.fixture
def faulty(tmp_path: Path, namespace: Namespace, coverage_image: str) -> Project:
    """Return tests of the faulty operator; they are yet to be written."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "NAMESPACE": namespace.name,
        "IMAGE": coverage_image,
        "E2E_KUBECONFIG": str(namespace.cluster.kubeconfig),
    }
    return Project.made(tmp_path, PROJECT, namespace, environment=environment)


def test_tests_that_fail_are_collected_and_keep_their_exit_code(faulty: Project) -> None:
    faulty.write(conftest=FAULTY, test_it=FAILS)
    done = faulty.run(f"--coverage-hooks-claim={CLAIM}", "-x")
    assert done.code == 1, done.said
    assert "1 failed, 1 passed" in done.said
    _is_collected(done)
    assert "LOSS" not in done.said
    assert done.never_ran(ACTS, "fork")


def test_a_pod_that_is_killed_loses_nothing(
    shared: Session, operator_image: str, namespace: Namespace, faulty: Project
) -> None:
    faulty.write(conftest=FAULTY, test_it=IS_KILLED)
    with (
        using_namespace(shared, operator_image, "privileged") as privileged,
        faulty.started(f"--coverage-hooks-claim={CLAIM}") as process,
    ):
        _until_reached(faulty, process)
        (pod,) = namespace.list("pods", f"app={NAME}")
        kill_container(privileged, pod["status"]["containerStatuses"][0])
        done = faulty.ended(process)
    assert done.code == 0, done.said
    assert "1 passed" in done.said
    rows = [(row["state"], row["cause"]) for row in done.ledger["rows"]]
    assert rows == [("killed", "killed"), ("finished", "scaled down")], done.said
    assert [row["lost_seconds"] for row in done.ledger["rows"]] == [0.0, None], done.said
    assert "LOSS" not in done.said
    assert done.ledger["proven"], done.said
    assert done.missing(ACTS, "work") == [], done.said


def test_an_interrupt_is_collected(faulty: Project) -> None:
    faulty.write(conftest=FAULTY, test_it=HANGS)
    with faulty.started(f"--coverage-hooks-claim={CLAIM}") as process:
        _until_reached(faulty, process)
        os.killpg(process.pid, signal.SIGINT)
        done = faulty.ended(process)
    assert done.code == pytest.ExitCode.INTERRUPTED, done.said
    assert "KeyboardInterrupt" in done.said
    _is_collected(done)


def test_a_second_interrupt_ends_collecting_and_leaves_no_reader(faulty: Project, namespace: Namespace) -> None:
    faulty.write(conftest=FAULTY, test_it=HANGS)
    with faulty.started(f"--coverage-hooks-claim={CLAIM}") as process:
        _until_reached(faulty, process)
        os.killpg(process.pid, signal.SIGINT)
        wait_until(lambda: namespace.list("pods", READER), "there is a reader")
        os.killpg(process.pid, signal.SIGINT)
        done = faulty.ended(process)
    assert done.code == pytest.ExitCode.INTERRUPTED, done.said
    assert re.search("LOSS  collecting was interrupted; .* coverage-hooks collect --run pytest-20", done.said), (
        done.said
    )
    assert namespace.list("pods") == []


def test_a_namespace_that_a_fixture_makes_is_watched_before_it_is_there(faulty: Project) -> None:
    later = dataclasses.replace(faulty.namespace, name=f"{faulty.namespace.name}-later")
    project = dataclasses.replace(faulty, namespace=later, environment={**faulty.environment, "NAMESPACE": later.name})
    project.write(conftest=FAULTY + MAKES_NAMESPACE, test_it=WORKS)
    try:
        done = project.run(f"--coverage-hooks-claim={CLAIM}")
        assert done.code == 0, done.said
        _is_collected(done)
    finally:
        later.delete()


@pytest.mark.parametrize(
    ("place", "why"),
    [("claim", '"nobodys" not found'), ("release", "release 'nobodys' has no claim of recordings")],
    ids=["claim", "release"],
)
def test_a_claim_that_is_not_there_is_told_with_what_to_do(faulty: Project, place: str, why: str) -> None:
    faulty.write(test_it=PASSES)
    done = faulty.run(f"--coverage-hooks-{place}=nobodys")
    assert done.code == 1, done.said
    assert "1 passed" in done.said
    _is_told(done, why)


def test_a_namespace_that_a_fixture_deletes_is_told_with_what_to_do(faulty: Project) -> None:
    faulty.write(conftest=FAULTY + DELETES_NAMESPACE, test_it=WORKS)
    done = faulty.run(f"--coverage-hooks-claim={CLAIM}")
    assert done.code == 1, done.said
    # By then it may be gone.
    _is_told(done, "it is being terminated|not found")


def _is_told(done: Collected, why: str) -> None:
    (loss,) = re.findall("LOSS  nothing could be collected: .*", done.said)
    assert re.search(why, loss), loss
    assert "hint  a claim is read when the last fixture is torn down, and has to be there then" in done.said


def _until_reached(project: Project, process: subprocess.Popen[str]) -> None:
    """Wait until the test that runs in *process* says how far it is."""
    reached: Callable[[], bool] = (project.folder / "reached").exists
    wait_until(lambda: reached() or process.poll() is not None, "the test is as far as it says")
    assert reached(), project.ended(process).said


def _is_collected(done: Collected) -> None:
    """Assert that all is there that the faulty operator did."""
    (row,) = done.ledger["rows"]
    assert (row["state"], row["cause"]) == ("finished", "scaled down"), done.said
    assert done.ledger["proven"], done.said
    assert done.missing(ACTS, "work") == [], done.said
