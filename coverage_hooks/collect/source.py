"""Where recordings come from: whoever can list them, read a manifest and copy a file is a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: What to do about what this user may not read.
LET_READ = "let this user read it, or run this as one who may"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest journal that is fetched, in bytes; the manifest has a limit of its own."""

    journal: int = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A manifest as it lies on the volume, unparsed, and how many seconds ago it was written.

    They are negative when that is yet to come by the clock where the volume is read.
    """

    content: bytes
    age: float


class Source(Protocol):
    """A volume that somebody else writes, and may be writing right now."""

    def recordings(self) -> list[str]:
        """Return the names of all recordings; `SourceError` when the volume cannot be reached."""

    def announcement(self, recording: str) -> Announcement:
        """Return the manifest of *recording*; `VolumeError` when it cannot be had."""

    def files(self, recording: str) -> list[str]:
        """Return the names of the journals of *recording*, by number, and `layout.COMPLETE` if it is there.

        Not where the volume is known to take no writes, so that the marker says nothing.
        """

    def copy(self, recording: str, name: str, target: Path, *, limit: int) -> None:
        """Copy journal *name* of *recording* to *target*: what it has at the first look, whole or not at all.

        That it grows meanwhile is no error. `VolumeError` when it cannot be had, becomes shorter or is replaced.
        """

    def boot(self) -> str:
        """Return the boot id of the machine that reads the volume; empty when that is not known."""

    def close(self) -> None:
        """Let go of what reading took, such as a pod; nothing can be read afterwards. May be called again."""
