"""The names on a volume.

::

    <directory>/<recording>/recording.json            the manifest
                           /data-<sequence>.coverage  a coverage.py data file
                           /sources-<sequence>.json   fingerprints of the measured files

A name that does not match its pattern is not ours, whoever wrote it; no pattern admits a separator or a leading dot.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime

MANIFEST = "recording.json"

#: Superseded data stays this long, so that a reader who has just read the manifest still finds what it names.
SUPERSEDED_LIFETIME = 10.0

RECORDING = re.compile(
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,199})-(?P<start>[0-9]{8}T[0-9]{6}Z)-(?P<token>[0-9a-f]{8})"
)
DATA = re.compile(r"data-(?P<sequence>[0-9]{1,12})\.coverage")
SOURCES = re.compile(r"sources-(?P<sequence>[0-9]{1,12})\.json")
TEMPORARY = re.compile(r"\.(?P<name>[A-Za-z0-9.-]{1,64})\.[0-9]{1,10}\.[0-9a-f]{8}\.tmp")

_FOREIGN_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")


def recording_name(host: str, started_at: datetime) -> str:
    """Return a folder name that no other process gets.

    *host* is the pod's or machine's name, *started_at* an aware UTC time. In a pod the PID is always 1 and the host
    name the pod's, so only the random part tells two containers of one pod apart.
    """
    readable = _FOREIGN_CHARACTERS.sub("-", host).lstrip("._-")[:200].rstrip("-") or "host"
    return f"{readable}-{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def data_name(sequence: int) -> str:
    """Return the name of the data file of publish number *sequence*."""
    return f"data-{sequence}.coverage"


def sources_name(sequence: int) -> str:
    """Return the name of the fingerprints of publish number *sequence*."""
    return f"sources-{sequence}.json"


def temporary_name(name: str, pid: int) -> str:
    """Return a name for *name* while it is being written: hidden, and never one that a reader looks for."""
    return f".{name}.{pid}.{secrets.token_hex(4)}.tmp"
