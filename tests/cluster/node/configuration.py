"""What the servers of a node read, written into its folder. Inside, that folder is `inside.ROOT`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster.images import SANDBOX
from tests.cluster.node.inside import PROGRAMS, ROOT
from tests.cluster.node.slots import Slot

NODE_NAME = "node"
DOMAIN = "cluster.local"
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"  # the API server, for pods
PODS = "10.244.0.0/16"
DNS_READY_PORT = 8181
RUNTIME_SOCKET = "containerd.sock"

_IDENTITIES = ROOT / "identities"

# The last setting: in a sandbox of its own, root may lack CAP_SYS_RESOURCE, and every container would fail to start.
_CONTAINERD = f"""\
version = 2
root = "{ROOT}/containerd"
state = "{ROOT}/containerd-state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
address = "{ROOT}/{RUNTIME_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{SANDBOX}"
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PROGRAMS}/network"
conf_dir = "{ROOT}/network"
"""

# Links from point to point: packets between pods are routed, so that the rules of Services see them, which on a bridge
# would take a kernel module.
_NETWORK = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": "/var/lib/cni/addresses",
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def write_configuration(folder: Path, slot: Slot) -> None:
    """Write everything that `servers` names, besides identities."""
    (folder / "containerd.toml").write_text(_CONTAINERD)
    (folder / "network").mkdir()
    _write_json(folder / "network" / "pods.conflist", _NETWORK)
    _write_json(folder / "kubelet.json", _kubelet(slot))
    _write_json(folder / "kube-proxy.json", _kube_proxy(slot))
    (folder / "resolv.conf").touch()
    (folder / "Corefile").write_text(_corefile(slot))


def _kubelet(slot: Slot) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": slot.address,
        "healthzBindAddress": "127.0.0.1",
        "tlsCertFile": str(_IDENTITIES / "kubelet.pem"),
        "tlsPrivateKeyFile": str(_IDENTITIES / "kubelet.pem"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ROOT / "ca.pem")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{ROOT}/{RUNTIME_SOCKET}",
        "resolvConf": str(ROOT / "resolv.conf"),
        "clusterDNS": [slot.address],
        "clusterDomain": DOMAIN,
        "volumePluginDir": str(ROOT / "volume-plugins"),
        # Whichever of the two kinds of control groups the machine has, systemd is not asked.
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{slot.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        # A machine with a full disk is still good enough for tests; nothing is deleted to make room.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        # What happens in a pod is in its status at once: tests wait for it.
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
    }


def _kube_proxy(slot: Slot) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": slot.address,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": str(_IDENTITIES / "kube-proxy.kubeconfig")},
        "hostnameOverride": NODE_NAME,
        "mode": "iptables",
        "clusterCIDR": PODS,
        "iptables": {"minSyncPeriod": "0s"},
        # Its limits belong to the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _corefile(slot: Slot) -> str:
    return f"""\
.:53 {{
    bind {slot.address}
    errors
    ready {slot.address}:{DNS_READY_PORT}
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {_IDENTITIES}/coredns.kubeconfig
        ttl 1
    }}
}}
"""


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
