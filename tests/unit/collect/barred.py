"""Commands without the rights of root, also where the tests run as root: what its mode forbids is forbidden then."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.waiting import WITHIN

#: Of Linux: from the set of capabilities that any program may get, take one away; those that set modes aside.
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``coverage-hooks`` in *folder* as this user, who may do no more than the modes of files say."""
    return subprocess.run(
        [sys.executable, "-m", "coverage_hooks", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=WITHIN, check=False,
        preexec_fn=_give_up_rights if os.geteuid() == 0 else None,
    )  # fmt: skip


def _give_up_rights() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def whose(mode: str) -> str:
    """Return what is said of something with *mode* that belongs to this user."""
    user, group = os.geteuid(), os.getegid()
    return f"belongs to user {user}, group {group}, with mode {mode}, and this is user {user}, group {group}"
