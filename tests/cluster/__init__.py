"""What functional tests and the demo run on: a real Kubernetes API, a real Keycloak, and a way to wait for them."""

from __future__ import annotations

from tests.cluster.binaries import locate
from tests.cluster.errors import BinariesError, ControlPlaneError
from tests.cluster.keycloak import Keycloak, keycloak
from tests.cluster.keycloak_binaries import locate as locate_keycloak
from tests.cluster.keycloak_tools import KeycloakError
from tests.cluster.plane import ControlPlane, control_plane
from tests.cluster.proxy import Proxy, Request, at_once, proxy
from tests.cluster.waiting import WITHIN, eventually, wait_until

__all__ = [
    "WITHIN",
    "BinariesError",
    "ControlPlane",
    "ControlPlaneError",
    "Keycloak",
    "KeycloakError",
    "Proxy",
    "Request",
    "at_once",
    "control_plane",
    "eventually",
    "keycloak",
    "locate",
    "locate_keycloak",
    "proxy",
    "wait_until",
]
