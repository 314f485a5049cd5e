"""What a node is called and what it needs; none is started here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.binaries import recipe
from tests.cluster.node import NodeError, leftovers, programs
from tests.cluster.node.keeper import STAYS
from tests.cluster.node.slots import Slot, slots

# A number that no node has: these locks are the machine's.
SLOT = Slot(os.getpid() % 10_000 + 1000)
HOLDER = """
import sys, time
from tests.cluster.node.slots import Slot
lock = Slot(int(sys.argv[1])).lock()
print("held", flush=True)
time.sleep(600)
"""


def test_the_node_is_of_the_version_of_its_control_plane() -> None:
    assert recipe.minor_version(programs.MODULE) == recipe.minor_version(recipe.module(programs.PIN))


def test_names_and_addresses_of_nodes_differ_and_fit() -> None:
    everything = [name for slot in slots() for name in (slot.name, slot.link, slot.host, slot.address)]
    assert len(everything) == len(set(everything))
    assert max(len(slot.link) for slot in slots()) <= 15
    assert all(0 <= int(part) <= 255 for slot in slots() for part in slot.address.split("."))


def test_a_slot_is_one_nodes_until_its_lock_is_closed() -> None:
    lock = SLOT.lock()
    assert lock is not None
    with lock:
        assert SLOT.lock() is None
        assert SLOT.is_taken()
    assert not SLOT.is_taken()


def test_a_killed_process_holds_no_slot() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(SLOT.number)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert SLOT.is_taken()
        process.send_signal(signal.SIGKILL)
    assert not SLOT.is_taken()


def test_what_stays_is_told_from_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    slot = next(slot for slot in slots() if not slot.is_taken())
    folder = leftovers.make_folder(slot)
    assert not leftovers.stays(slot)
    (folder / STAYS).write_text("1")
    assert leftovers.stays(slot)
    assert leftovers.standing() is None  # as no process holds its lock
    leftovers.remove_abandoned()
    assert not folder.exists()


def test_a_machine_that_lacks_packages_is_told_which_and_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_all_but = ("buildah", "ctr", "containerd")
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name in has_all_but else f"/bin/{name}")
    monkeypatch.setattr(programs, "_CNI_FOLDERS", (str(tmp_path),))
    with pytest.raises(NodeError) as refusal:
        programs.require_system({"PATH": ""})
    assert "  buildah containerd containernetworking-plugins\n" in str(refusal.value)
    assert "make cluster-deps" in str(refusal.value)


def test_a_user_without_rights_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ptp", "host-local", "portmap", "loopback"):
        (tmp_path / name).touch()
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/bin/{name}")
    monkeypatch.setattr(programs, "_CNI_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NodeError, match="needs root"):
        programs.require_system({"PATH": ""})


def test_the_packages_are_named_once() -> None:
    named = programs.packages()
    assert named == sorted(set(named))
    assert {"containerd", "buildah", "iproute2"} <= set(named)
