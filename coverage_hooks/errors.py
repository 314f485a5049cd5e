"""What can go wrong, as one tree.

::

    CoverageHooksError
    ├── UsageError            the caller asked for something that makes no sense; exit code 2
    ├── SourceError           the recordings cannot be reached; exit code 3
    └── VolumeError           one entry on a volume is not what it should be
        ├── NotPermitted      this user may not read it; another one may
        ├── UnsafeEntry       not a regular file, a link, or a name that leaves its folder
        ├── TooLarge          above the cap for its kind
        └── ManifestError     ``recording.json`` is missing, broken or of another format

Losses are not exceptions: a loss is a row in the ledger, so that one bad recording never hides the good ones.
Every message says what was expected, what was found, and what to do next.
"""

from __future__ import annotations

__all__ = [
    "CoverageHooksError",
    "ManifestError",
    "NotPermitted",
    "SourceError",
    "TooLarge",
    "UnsafeEntry",
    "UsageError",
    "VolumeError",
]


class CoverageHooksError(Exception):
    """The base of every error that this package raises on purpose."""


class UsageError(CoverageHooksError):
    """The options or settings given cannot work."""


class SourceError(CoverageHooksError):
    """The place where recordings should be cannot be reached or listed."""


class VolumeError(CoverageHooksError):
    """One entry on a volume cannot be used."""


class NotPermitted(VolumeError):
    """An entry may not be read by this user: nothing is wrong with it for another one."""


class UnsafeEntry(VolumeError):
    """An entry is not a regular file of a known name in the folder that was opened."""


class TooLarge(VolumeError):
    """An entry is larger than anything a recorder writes."""


class ManifestError(VolumeError):
    """A manifest is absent, incomplete, or not of a format that this version reads."""
