"""Which machine this is, and whether it was restarted since."""

from __future__ import annotations

from pathlib import Path

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
