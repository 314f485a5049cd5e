"""The journal: what one process ran, as records of 16 bytes that are only ever appended.

::

    point   file number, from 1 | context, 0 for none | line left | line entered        (<IIii)
    name    0 | 1 | bytes of JSON that follow, padded with spaces to whole records | 0  (<IIii), then the JSON

A name comes before the first point of its file, so every prefix has a meaning. Where lines are measured and not
branches, a point is a line, and its last field is 0. The same point may come several times, and so may a name: a later
one adds the fingerprint that an earlier one lacked.
"""

from __future__ import annotations

import json
import re
import reprlib
import struct
from dataclasses import dataclass

from coverage_hooks.errors import ManifestError
from coverage_hooks.volume import access

RECORD = struct.Struct("<IIii")

#: The second field of a record that introduces a name, and the longest text of one in bytes, of which JSON may need
#: twelve for a character; the longest path and problem in characters.
NAME, NAME_LIMIT, PATH_LIMIT, PROBLEM_LIMIT = 1, 64 << 10, 4096, 1000

_encode = json.JSONEncoder().encode
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_BLOB = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What one measured file was when it was imported: SHA-256 of its bytes, and its git blob id."""

    sha256: str
    git: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """File `number` of a journal: its path in the pod, its fingerprint, and the plug-in that measured it, if one did.

    Without a fingerprint `problem` says why there is none; both are empty while it is still to come.
    """

    number: int
    path: str
    fingerprint: Fingerprint | None = None
    tracer: str = ""
    problem: str = ""

    def to_bytes(self) -> bytes:
        """Return the whole records that say so."""
        return name_bytes(self.number, self.path, self.fingerprint, self.tracer, self.problem)

    @classmethod
    def parse(cls, content: bytes) -> Name:
        """Return the name that the JSON *content* gives; `ManifestError` when it is anything else."""
        try:
            document = access.parse_json(content, depth=1)
        except ValueError as error:
            raise ManifestError(f"a name that cannot be read: {error}") from None
        if not isinstance(document, dict):
            raise ManifestError("a name that is no JSON object")
        number, path = document.get("id"), document.get("path")
        texts = [document.get(key, "") for key in ("sha256", "git", "tracer", "problem")]
        if type(number) is not int or not 0 < number < 1 << 32:
            raise ManifestError(f"a name with number {reprlib.repr(number)}: expected 1 to {(1 << 32) - 1}")
        if (
            not isinstance(path, str)
            or not path
            or len(path) > PATH_LIMIT
            or not all(isinstance(text, str) for text in texts)
        ):
            raise ManifestError(
                f"name {number} is no path of at most {PATH_LIMIT} characters, or its other fields are no text"
            )
        sha256, git, tracer, problem = texts
        if (sha256 or git) and not (_SHA256.fullmatch(sha256) and _GIT_BLOB.fullmatch(git)):
            raise ManifestError(f"name {number} has a fingerprint that is not 64 and 40 hex digits")
        fingerprint = Fingerprint(sha256=sha256, git=git) if sha256 else None
        return cls(number=number, path=path, fingerprint=fingerprint, tracer=tracer, problem=problem)


def name_bytes(number: int, path: str, fingerprint: Fingerprint | None, tracer: str, problem: str) -> bytes:
    """Return the whole records that say what a `Name` of these does; a first line waits for it, so it is put together.

    Hashes are hex digits, which need no escapes.
    """
    text = f'{{"id":{number},"path":{_encode(path[:PATH_LIMIT])}'
    if fingerprint is not None:
        text += f',"sha256":"{fingerprint.sha256}","git":"{fingerprint.git}"'
    if tracer:
        text += f',"tracer":{_encode(tracer)}'
    if problem:
        text += f',"problem":{_encode(problem[:PROBLEM_LIMIT])}'
    content = text.encode() + b"}"
    return RECORD.pack(0, NAME, len(content), 0) + content.ljust(padded(len(content)))


def padded(size: int) -> int:
    """Return how many bytes whole records have that hold *size* bytes."""
    return -(-size // RECORD.size) * RECORD.size
