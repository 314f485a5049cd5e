"""What functional tests and the demo run on: a real Kubernetes API, and a way to wait for what it shows."""

from __future__ import annotations

from tests.cluster.binaries import locate
from tests.cluster.errors import BinariesError, ControlPlaneError
from tests.cluster.plane import ControlPlane, control_plane
from tests.cluster.waiting import eventually, wait_until

__all__ = ["BinariesError", "ControlPlane", "ControlPlaneError", "control_plane", "eventually", "locate", "wait_until"]
