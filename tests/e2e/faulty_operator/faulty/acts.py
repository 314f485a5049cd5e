"""What can be done, each in lines of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

UNWELL = Path("/scratch/unwell")

_EATER = "eaten = []\nwhile True:\n    eaten.append(bytes(range(256)) * 4096)"


def work() -> None:
    """Do something useful."""
    total = 0
    for number in range(10):
        total += number
    assert total == 45


def eat() -> None:
    """Use all memory."""
    exec(_EATER)


def feed_a_child() -> None:
    """Have a child use all memory."""
    child = subprocess.run([sys.executable, "-c", _EATER], check=False)
    assert child.returncode == -9, child.returncode


def fork() -> None:
    """Do something in a copy of this process."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0


def crash() -> None:
    """End at once, with nobody told."""
    os._exit(3)


def become_unwell() -> None:
    """Fail the probe that looks for this file."""
    UNWELL.touch()


def fill() -> None:
    """Use up the scratch volume."""
    with Path("/scratch/ballast").open("wb") as ballast:
        ballast.writelines(bytes(1 << 20) for _ in range(64))


ACTS = {act.__name__: act for act in (work, eat, feed_a_child, fork, crash, become_unwell, fill)}
