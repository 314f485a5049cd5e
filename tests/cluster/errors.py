"""What can go wrong below `tests.cluster`.

::

    ControlPlaneError         a process of the control plane ended, or did not become ready
    └── BinariesError         etcd or kube-apiserver cannot be had; the message says how to get them
"""

from __future__ import annotations


class ControlPlaneError(Exception):
    """The control plane is not there; the message carries the end of the log that tells why."""


class BinariesError(ControlPlaneError):
    """There is no etcd or kube-apiserver to start."""
