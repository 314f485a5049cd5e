"""The pair of links between the machine and a node."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.node.programs import NodeError
from tests.cluster.node.slots import Slot
from tests.cluster.waiting import wait_until

_INSIDE = "uplink"


def connect(slot: Slot, pid: int) -> None:
    """Give the network namespace of process *pid* a loopback device, a link to this machine, and addresses."""
    inside = ["nsenter", f"--net=/proc/{pid}/ns/net"]
    _run("ip", "link", "add", slot.link, "type", "veth", "peer", "name", _INSIDE, "netns", str(pid))
    _run("ip", "address", "add", f"{slot.host}/30", "dev", slot.link)
    _run("ip", "link", "set", slot.link, "up")
    _run(*inside, "ip", "link", "set", "lo", "up")
    _run(*inside, "ip", "address", "add", f"{slot.address}/30", "dev", _INSIDE)
    _run(*inside, "ip", "link", "set", _INSIDE, "up")
    # Nobody answers there. But with no default route, packets to a Service would fail before any rule sees them.
    _run(*inside, "ip", "route", "add", "default", "via", slot.host)


def disconnect(slot: Slot) -> None:
    """Remove the pair of links of a node that has ended, if the kernel has not done that yet.

    It does so with the network namespace, which lives on for as long as a connection in it tries to say goodbye.
    """
    # It may be gone at any moment: what counts is not who removes it.
    subprocess.run(["ip", "link", "delete", slot.link], capture_output=True, check=False)
    wait_until(lambda: not is_connected(slot), f"{slot.link} is gone")


def is_connected(slot: Slot) -> bool:
    """Return whether the machine's end is there."""
    return Path("/sys/class/net", slot.link).exists()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NodeError(f"{' '.join(command)} failed with exit code {done.returncode}: {done.stderr.strip()}")
