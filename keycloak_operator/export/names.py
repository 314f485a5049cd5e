"""Names of resources, made from what realms and clients are called in Keycloak."""

from __future__ import annotations

import hashlib
import re

#: Characters: a client's Secret is called like its resource, with -credentials behind it, and may have 253.
LONGEST = 241

_DIGITS = 10
_ENDS_LIKE_A_DIGEST = re.compile(f"(^|-)[0-9a-f]{{{_DIGITS}}}$")


def resource_name(identifier: str, prefix: str = "") -> str:
    """Return a name as Kubernetes wants it, which depends on nothing but *identifier* and *prefix*.

    What can be kept as it is, is. All else loses something on the way, and gets a digest, so that ``My_App`` and
    ``my-app`` are two names in whatever order they come, and stay so when one of them goes.
    """
    readable = re.sub("[^a-z0-9]+", "-", identifier.lower()).strip("-")
    whole = f"{prefix}{identifier}"
    if readable == identifier and len(whole) <= LONGEST and not _ENDS_LIKE_A_DIGEST.search(identifier):
        return whole
    digest = hashlib.sha256(identifier.encode()).hexdigest()[:_DIGITS]
    kept = readable[: LONGEST - len(prefix) - len(digest) - 1].rstrip("-")
    return f"{prefix}{kept}-{digest}" if kept else f"{prefix}{digest}"
