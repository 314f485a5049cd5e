"""Which file system a folder is on, by its magic number: whether each line may be written to it before it runs."""

from __future__ import annotations

import os
from pathlib import Path

#: File systems of this machine, whose writes end in its memory: ext2 to ext4, XFS, Btrfs, ZFS, F2FS, tmpfs, overlay.
#: One over a network may take long for each write, or hang, and is written by the pulse alone. Source: statfs(2).
_LOCAL = {0xEF53, 0x58465342, 0x9123683E, 0x2FC12FC1, 0xF2F52010, 0x01021994, 0x794C7630}


def is_local(folder: Path) -> bool:
    """Whether *folder* is on a file system of this machine; False also where that is not known."""
    try:
        import ctypes  # noqa: PLC0415 - where it is missing this is the only thing that needs it

        status = (ctypes.c_long * 64)()  # whose first number is the type; the rest differs between platforms
        done = ctypes.CDLL(None).statfs(os.fsencode(folder), status)
    except (ImportError, OSError, AttributeError):
        return False
    return done == 0 and status[0] & 0xFFFFFFFF in _LOCAL
