"""Namespaces and mounts of a process, which Python 3.11 has no functions for."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

NEW_MOUNTS, NEW_PROCESSES, NEW_NETWORK = 0x00020000, 0x20000000, 0x40000000

_PR_SET_PDEATHSIG = 1
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_SHARED = 0x1000, 0x4000, 1 << 18, 1 << 20


def unshare(kinds: int) -> None:
    """Put this process into new namespaces, or with NEW_PROCESSES those that it starts from now on."""
    _check(_libc().unshare(kinds), "unshare")


def end_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends."""
    _check(_libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")


def hide_mounts() -> None:
    """Let no mount of this mount namespace, which has to be a new one, be seen in the one that it is a copy of."""
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    # But in the containers of this one, which ask for that: a group of its own.
    _mount("none", "/", "", _MS_REC | _MS_SHARED)


def mount(kind: str, place: Path, options: str = "") -> None:
    """Mount a file system that has no device."""
    _mount(kind, str(place), kind, 0, options)


def bind(descriptor: int, place: Path) -> None:
    """Show an open folder at *place* too, which is made if need be."""
    place.mkdir(parents=True, exist_ok=True)
    _mount(f"/proc/self/fd/{descriptor}", str(place), "", _MS_BIND | _MS_REC)


def _mount(source: str, place: str, kind: str, flags: int, options: str = "") -> None:
    names = (os.fsencode(source), os.fsencode(place), os.fsencode(kind) or None)
    _check(_libc().mount(*names, ctypes.c_ulong(flags), os.fsencode(options) or None), f"mount {place}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(answer: int, what: str) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
