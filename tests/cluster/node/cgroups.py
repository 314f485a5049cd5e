"""The control groups of a node: one below the root of each hierarchy, and everything that kubelet makes in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.cluster.waiting import wait_until

# What kubelet wants to find switched on where the unified hierarchy is the only one.
_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def make(name: str) -> None:
    """Make the group *name* in each hierarchy; one that exists is a group that others use, and an error."""
    for root in _hierarchies():
        (root / name).mkdir()
        for controller in _CONTROLLERS:
            with contextlib.suppress(OSError):  # no such file in the old hierarchies, no such controller in the new
                (root / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(name: str) -> None:
    """Remove the groups *name*, if there are any, once the processes in them have ended."""
    for root in _hierarchies():
        if (root / name).exists():
            wait_until(partial(_removed, root / name), f"{root / name} is removed")


def existing(name: str) -> list[Path]:
    """Return the groups *name* that there are."""
    return [root / name for root in _hierarchies() if (root / name).exists()]


def _removed(group: Path) -> bool:
    try:
        for folder in sorted(group.rglob("*/"), reverse=True):
            if folder.is_dir():
                folder.rmdir()
        group.rmdir()
    except FileNotFoundError:
        pass  # gone meanwhile
    except OSError:
        return False  # the kernel has not yet let go of a process that has ended
    return True


def _hierarchies() -> Iterator[Path]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        if kind in ("cgroup", "cgroup2"):
            yield Path(place)
