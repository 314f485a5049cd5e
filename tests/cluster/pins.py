"""Which of the two pinned versions the servers are of: the newest, or the oldest that the Keycloak operator supports.

SERVER_VERSIONS chooses, for Keycloak and for Kubernetes at once. The versions themselves are in `maven/pom.xml`, and in
`binaries/oldest` and `binaries/newest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from tests.cluster.errors import ControlPlaneError

Pin = Literal["newest", "oldest"]
PINS: tuple[Pin, ...] = get_args(Pin)
VARIABLE = "SERVER_VERSIONS"


def chosen(environ: Mapping[str, str]) -> Pin:
    """Return which versions *environ* asks for, the newest if it does not say; raise ControlPlaneError for others."""
    asked = environ.get(VARIABLE) or PINS[0]
    for pin in PINS:
        if asked == pin:
            return pin
    raise ControlPlaneError(f"{VARIABLE}={asked} is no choice of versions; expected {' or '.join(PINS)}, or nothing")


def given(variable: str, environ: Mapping[str, str]) -> str | None:
    """Return the folder that *variable* names, if any; it is of a version of its own.

    Raises ControlPlaneError where SERVER_VERSIONS is set as well: one of them would be ignored.
    """
    folder = environ.get(variable)
    if folder and (asked := environ.get(VARIABLE)):
        raise ControlPlaneError(
            f"{variable}={folder} names the programs, and {VARIABLE}={asked} their version: unset one of them"
        )
    return folder or None
