"""The folders of nodes: finding the one of a node, and removing what nodes left whose processes were all killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.node import cgroups, network
from tests.cluster.node.keeper import STAYS
from tests.cluster.node.programs import NodeError
from tests.cluster.node.slots import Slot, slots
from tests.cluster.waiting import wait_until

_STARTER = "starter.pid"


def folder_of(slot: Slot, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the node in *slot*: on a disk, as it holds unpacked images."""
    return binaries.cache_folder(environ).parent / "nodes" / str(slot.number)


def make_folder(slot: Slot) -> Path:
    """Make the folder of a node which belongs to this process until it is told to stay; return it."""
    folder = folder_of(slot)
    folder.mkdir(parents=True, mode=0o700)
    (folder / _STARTER).write_text(str(os.getpid()))
    return folder


def free_slot() -> tuple[Slot, socket.socket]:
    """Return a slot that nobody else has, and its lock; nothing is left of who had it before."""
    for slot in slots():
        if lock := slot.lock():
            # From before, somebody with another cache folder may have left control groups.
            cgroups.remove(slot.name)
            network.disconnect(slot)
            return slot, lock
    raise NodeError("there are too many nodes on this machine")


def stays(slot: Slot) -> bool:
    """Return whether the node in *slot* was told to stay."""
    return (folder_of(slot) / STAYS).exists()


def standing() -> Slot | None:
    """Return the slot of a node that was told to stay, and runs."""
    return next((slot for slot in _with_folder() if stays(slot) and slot.is_taken()), None)


def remove_abandoned() -> None:
    """Remove what is left of nodes of which no process lives."""
    for slot in _with_folder():
        if lock := slot.lock():
            with lock:
                cgroups.remove(slot.name)
                shutil.rmtree(folder_of(slot))


def end_all(say: Callable[[str], None]) -> None:
    """End each node that stays, wait for those whose starter was killed, and remove what is left of any."""
    for slot in _with_folder():
        if stays(slot):
            with contextlib.suppress(ProcessLookupError):
                if slot.is_taken():
                    os.kill(_pid(slot, STAYS), signal.SIGTERM)
        elif slot.is_taken() and Path("/proc", str(_pid(slot, _STARTER))).exists():
            say(f"node {slot.number} belongs to process {_pid(slot, _STARTER)}, and ends with it")
            continue
        wait_until(partial(_has_ended, slot), f"the processes of node {slot.number} end")
        network.disconnect(slot)
    remove_abandoned()


def _has_ended(slot: Slot) -> bool:
    return not slot.is_taken()


def _with_folder() -> Iterator[Slot]:
    return (slot for slot in slots() if folder_of(slot).exists())


def _pid(slot: Slot, name: str) -> int:
    return int((folder_of(slot) / name).read_text())
