"""Which of the nodes of this machine one is: a number that everything of it outside its folder is named after.

Whoever has a slot holds its lock: a socket with an abstract name, which the kernel gives to one process, lets its
children inherit, and takes back when the last of them has ended, however that happened.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass

_HOW_MANY = 64


@dataclass(frozen=True, slots=True)
class Slot:
    """The names and addresses of one node."""

    number: int

    @property
    def name(self) -> str:
        """Return the name of its control group."""
        return f"coverage-hooks-node-{self.number}"

    @property
    def link(self) -> str:
        """Return the machine's end of the pair of links; a name of at most 15 characters."""
        return f"covhooks{self.number}"

    @property
    def host(self) -> str:
        """Return the address of the machine's end."""
        # From a range that is set aside for benchmarks: no network has it, so it hides none.
        return f"198.18.{self.number}.1"

    @property
    def address(self) -> str:
        """Return the address of the node, of its API server and of its DNS."""
        return f"198.18.{self.number}.2"

    def lock(self) -> socket.socket | None:
        """Return its lock, which is inheritable, or None if somebody else has it."""
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0{self.name}")
        except OSError as error:
            lock.close()
            if error.errno == errno.EADDRINUSE:
                return None
            raise
        lock.set_inheritable(True)
        return lock

    def is_taken(self) -> bool:
        """Return whether a process of it lives."""
        lock = self.lock()
        if lock is not None:
            lock.close()
        return lock is None


def slots() -> Iterator[Slot]:
    """Yield all slots of this machine."""
    return (Slot(number) for number in range(_HOW_MANY))
