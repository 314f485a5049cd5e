"""Which machine this is, whether it was restarted since, and whether a file system of it has failed."""

from __future__ import annotations

import os
from pathlib import Path

#: The file systems that this process sees, a line each; see proc_pid_mountinfo(5).
MOUNTS = Path("/proc/self/mountinfo")

#: What the kernel adds to the options of one that has taken no writes since an error, though it was not mounted to be
#: read only: ext4 has both, the first since Linux 6.15.
_FAILED = {"emergency_ro", "shutdown"}

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: A boot id has 36 characters; whatever says more is none.
_LIMIT = 64


def boot_id() -> str:
    """Return what the kernel of this machine calls its time since the last start; empty where it does not say.

    It is the same in every container of a machine, and another one after each restart.
    """
    try:
        with BOOT_ID.open(encoding="ascii") as file:
            return file.read(_LIMIT).strip()
    except (OSError, ValueError):
        return ""


def has_failed(folder: int) -> bool:
    """Return whether the file system of the open *folder* has taken no writes since an error, if the kernel tells."""
    try:
        device = os.fstat(folder).st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        mounts = [line.split() for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return False
    return any(mount[2:3] == [number] and not _FAILED.isdisjoint(mount[-1].split(",")) for mount in mounts)
