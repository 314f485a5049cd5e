"""A real Kubernetes of one node: control plane, kubelet, containerd, kube-proxy and DNS, all thrown away at the end.

Linux and root; no image registry, no Docker. All of it lives in namespaces of its own, below one process: when that
ends, the kernel takes processes, mounts, rules and links with it. `keeper` removes the rest, which is control groups
and one folder; and what nobody alive could remove, the next start does.
"""

from __future__ import annotations

from tests.cluster.node.programs import NodeError
from tests.cluster.node.running import Node, load, node

__all__ = ["Node", "NodeError", "load", "node"]
