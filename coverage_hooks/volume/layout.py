"""The names on a volume.

::

    <directory>/<recording>/recording.json  the manifest
                           /journal-<n>     what process n ran (see `journal`): 0 is the one that started the recording
                           /complete        empty: whatever process 0 ran is in its journal, to the last line

A name that does not match its pattern is not ours, whoever wrote it; no pattern admits a separator or a leading dot.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime

MANIFEST = "recording.json"

#: Made with the journal of a recording in mode `immediate`, and removed by the first point that cannot be written.
#: Removing needs no room, so a full volume cannot leave a recording that passes for complete.
COMPLETE = "complete"

RECORDING = re.compile(
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,199})-(?P<start>[0-9]{8}T[0-9]{6}Z)-(?P<token>[0-9a-f]{8})"
)
JOURNAL = re.compile(r"journal-(?P<number>[0-9]{1,12})")
TEMPORARY = re.compile(r"\.(?P<name>[A-Za-z0-9.-]{1,64})\.[0-9]{1,10}\.[0-9a-f]{8}\.tmp")

_FOREIGN_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")


def recording_name(host: str, started_at: datetime) -> str:
    """Return a folder name that no other process gets.

    *host* is the pod's or machine's name, *started_at* an aware UTC time. In a pod the PID is always 1 and the host
    name the pod's, so only the random part tells two containers of one pod apart.
    """
    readable = _FOREIGN_CHARACTERS.sub("-", host).lstrip("._-")[:200].rstrip("-") or "host"
    return f"{readable}-{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def journal_name(number: int) -> str:
    """Return the name of journal *number*: 0 for the process that started the recording, else the id of another one."""
    return f"journal-{number}"


def temporary_name(name: str, pid: int) -> str:
    """Return a name for *name* while it is being written: hidden, and never one that a reader looks for."""
    return f".{name}.{pid}.{secrets.token_hex(4)}.tmp"
