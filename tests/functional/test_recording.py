"""A real operator is recorded, whichever way the hook gets into it, and ends as it would without."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api

from tests.cluster import ControlPlane, wait_until
from tests.functional.operating import HANDLERS, ROOT, WAYS, WORK, Operator, Running, make_config_map
from tests.functional.volumes import volume

#: Every line of WORK.
ALL = {2, 3, 5, 6, 8, 9}

MakeOperator = Callable[..., Operator]


@pytest.fixture
def operator(
    tmp_path: Path, control_plane: ControlPlane, namespace: str, record_property: Callable[[str, object], None]
) -> MakeOperator:
    """Return a maker of operators for this test's namespace; what collecting them finds is kept with the test."""

    def make(handlers: str = HANDLERS, work: str = WORK) -> Operator:
        folder = tmp_path / "operator"
        return Operator(folder, control_plane.kubeconfig, namespace, handlers, work, note=record_property)

    return make


async def delete_config_maps(api: ApiClient, namespace: str) -> None:
    await CoreV1Api(api).delete_collection_namespaced_config_map(namespace, label_selector="for=operator")


Act = Callable[[Running], None]


def stop(running: Running) -> None:
    running.signal(signal.SIGTERM)


async def behaviour(
    made: Operator, api: ApiClient, way: str, act: Act = stop, **settings: str
) -> tuple[int, list[str], str]:
    """Run the operator until it handled a config map, *act*, and return exit code, what it said, and its log."""
    await make_config_map(api, made.namespace, "one")
    with made.start(way, **settings) as running:
        running.wait_for("SAID created one")
        act(running)
        code = running.ended()
    await delete_config_maps(api, made.namespace)
    return code, running.said(), running.text()


@pytest.mark.parametrize("way", [way for way in WAYS if way != "none"])
async def test_every_way_in_records_every_line(operator: MakeOperator, api: ApiClient, way: str) -> None:
    made = operator()
    without = await behaviour(made, api, "none")
    recorded = await behaviour(made, api, way)
    assert recorded[:2] == without[:2] == (0, ["SAID cleanup", "SAID created one", "SAID startup"])
    left = made.left_one()
    assert (left.manifest.state, left.manifest.problems) == ("finished", [])
    assert left.lines()["work.py"] - {1} == ALL
    assert made.collect().code == 0


SPECIAL = (
    dedent(HANDLERS)
    + """
import atexit, os, time
FAULT = os.environ["FAULT"]

if FAULT == "slow import":
    say("importing")
    time.sleep(3600)

@kopf.on.startup()
def fail(**_):
    if FAULT == "failing startup":
        raise kopf.PermanentError("it cannot start")

@kopf.on.cleanup()
async def slowly(**_):
    if FAULT == "slow cleanup":
        import asyncio
        say("cleaning slowly")
        while not os.path.exists(os.environ["GO_ON"]):
            await asyncio.sleep(0.01)

@kopf.on.create("configmaps", labels={"for": "operator"})
def fork(**_):
    if FAULT == "fork":
        child = os.fork()
        if child == 0:
            work.late()
            os._exit(0)
        say(f"child ended {os.waitpid(child, 0)[1]}")

if FAULT == "slow exit":
    def late():
        time.sleep(1)
        work.late()
        say("exit")
    atexit.register(late)
"""
)

LATE_WORK = (
    WORK
    + """
    def late():
        return 4
"""
)


def published(made: Operator) -> set[int]:
    """Return the lines of the work that are on the volume."""
    return made.left_one().lines().get("work.py", set())


def special(make: MakeOperator, fault: str) -> Operator:
    made = make(handlers=SPECIAL, work=LATE_WORK)
    made.environment["FAULT"] = fault
    return made


async def test_sigterm_twice(operator: MakeOperator, api: ApiClient, tmp_path: Path) -> None:
    def twice(running: Running) -> None:
        running.signal(signal.SIGTERM)
        running.wait_for("SAID cleaning slowly")
        running.signal(signal.SIGTERM)
        (tmp_path / "go-on").touch()

    made = special(operator, "slow cleanup")
    made.environment["GO_ON"] = str(tmp_path / "go-on")
    without = await behaviour(made, api, "none", twice)
    (tmp_path / "go-on").unlink()
    recorded = await behaviour(made, api, "module", twice)
    assert recorded[:2] == without[:2]
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"] - {1}) == ("finished", ALL | {11})
    assert made.collect().code == 0


def test_sigterm_before_the_loop_runs(operator: MakeOperator) -> None:
    made = special(operator, "slow import")
    codes = []
    for way in ("none", "module"):
        with made.start(way) as running:
            running.wait_for("SAID importing")
            if way == "module":
                wait_until(lambda: published(made) - {1} == {2, 5, 8, 11}, "the first lines are published")
            running.signal(signal.SIGTERM)
            codes.append(running.ended())
    assert codes == [-signal.SIGTERM, -signal.SIGTERM]
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"] - {1}) == ("running", {2, 5, 8, 11})
    collected = made.collect()
    assert collected.code == 1
    assert left.folder.name in collected.text


def test_failing_startup(operator: MakeOperator) -> None:
    made = special(operator, "failing startup")
    endings = []
    for way in ("none", "module"):
        with made.start(way) as running:
            endings.append((running.ended(), running.said()))
    assert endings[0] == endings[1]
    assert endings[0][0] != 0
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"] - {1}) == ("finished", {2, 3, 5, 8, 11})
    assert made.collect().code == 0


async def test_an_exit_handler_that_takes_a_second(operator: MakeOperator, api: ApiClient) -> None:
    made = special(operator, "slow exit")
    without = await behaviour(made, api, "none")
    recorded = await behaviour(made, api, "module")
    assert recorded[:2] == without[:2]
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"] - {1}) == ("finished", ALL | {11, 12})
    assert made.collect().code == 0


async def test_a_handler_that_forks(operator: MakeOperator, api: ApiClient) -> None:
    def wait_for_the_child(running: Running) -> None:
        running.wait_for("SAID child ended")
        running.signal(signal.SIGTERM)

    made = special(operator, "fork")
    without = await behaviour(made, api, "none", wait_for_the_child)
    recorded = await behaviour(made, api, "module", wait_for_the_child)
    assert recorded[:2] == without[:2]
    assert "SAID child ended 0" in recorded[1]
    left = made.left_one()
    assert (left.manifest.state, left.manifest.process.forks) == ("finished", 1)
    assert left.lines()["work.py"] - {1} == ALL | {11, 12}, "12 is the child's"
    assert len(left.journals()) == 2
    assert made.collect().code == 0


async def test_a_full_volume(operator: MakeOperator, api: ApiClient, tmp_path: Path) -> None:
    made = operator(work=WORK + "    line = 1\n" * 1000)
    without = await behaviour(made, api, "none")
    # The journal takes all the room there is, also that of the next manifest, so the log alone can say so.
    with volume(tmp_path / "small" / "volume", "size=12k") as small:
        made.wrapper = small.enter
        recorded = await behaviour(made, api, "module", DIR=str(small.path))
        small.run("cp", "-r", str(small.path), str(made.volume))
    assert recorded[:2] == without[:2]
    assert "No space left on device" in recorded[2]
    left = made.left_one()
    assert left.manifest.state == "running", "a recording whose last save failed must not call itself finished"
    assert 100 < len(left.lines()["work.py"]) < 1000, "what fits is there"
    collected = made.collect()
    assert collected.code == 1
    assert left.folder.name in collected.text


async def test_a_read_only_volume(operator: MakeOperator, api: ApiClient, tmp_path: Path) -> None:
    made = operator()
    without = await behaviour(made, api, "none")
    with volume(tmp_path / "sealed" / "volume", "ro") as sealed:
        made.wrapper = sealed.enter
        recorded = await behaviour(made, api, "module", DIR=str(sealed.path))
        assert sealed.run("ls", "-A", str(sealed.path)) == ""
    assert recorded[:2] == without[:2]
    assert "Read-only file system" in recorded[2]
    made.volume.mkdir()
    collected = made.collect()
    assert collected.code == 1
    assert "nothing was recorded" in collected.text.lower()


async def test_a_volume_that_hangs(operator: MakeOperator, api: ApiClient, tmp_path: Path) -> None:
    made = operator()
    without = await behaviour(made, api, "none")
    # The kernel's fsync blocks with the GIL released, until the server of the volume answers; so does this one.
    (tmp_path / "hang").mkdir()
    (tmp_path / "hang" / "sitecustomize.py").write_text(
        "import os, threading\nos.fsync = os.fdatasync = lambda _: threading.Event().wait()"
    )
    made.environment["PYTHONPATH"] = f"{made.checkout}:{ROOT}:{tmp_path / 'hang'}"
    recorded = await behaviour(made, api, "module", EXIT_TIMEOUT="1")
    assert recorded[:2] == without[:2]
    assert "does not answer; going on without it" in recorded[2]
    made.volume.mkdir(exist_ok=True)
    assert made.collect().code == 1
