"""What a node could leave on a machine, outside its own folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.cluster.node.cgroups import existing
from tests.cluster.node.slots import slots

_COUNTERS = re.compile(r"\[\d+:\d+\]|^#.*$", re.MULTILINE)
# Where kubelet, containerd and the network plugins write on a machine that they have to themselves.
_THEIRS = ("/run/containerd", "/run/netns", "/var/lib/kubelet", "/var/lib/cni", "/var/lib/containerd",
           "/var/log/pods", "/var/log/containers", "/etc/cni/net.d")  # fmt: skip


def traces() -> dict[str, object]:
    """Return everything that has to be the same before and after."""
    return {
        "mounts": sorted(Path("/proc/self/mounts").read_text().splitlines()),
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "routes": Path("/proc/net/route").read_text(),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "control groups": sorted(str(group) for slot in slots() for group in existing(slot.name)),
        "rules": _rules(),
        "processes": _processes(),
        "folders": [folder for folder in _THEIRS if Path(folder).exists()],
    }


def _rules() -> list[str]:
    programs = ("iptables-save", "iptables-legacy-save", "ip6tables-save")
    return [_COUNTERS.sub("", subprocess.run([name], capture_output=True, text=True, check=True).stdout)
            for name in programs]  # fmt: skip


def _processes() -> set[str]:
    """Return the names of processes in other process namespaces than this one, and of whoever keeps them."""
    return {name for pid in Path("/proc").glob("[0-9]*") if (name := _of_a_node(pid))}


def _of_a_node(process: Path) -> str:
    try:
        namespace = (process / "ns" / "pid").readlink()
        command = (process / "cmdline").read_text().replace("\0", " ")
    except OSError:  # it has ended
        return ""
    is_inside = namespace != Path("/proc/self/ns/pid").readlink()
    return f"{process.name} {command}" if is_inside or "tests.cluster.node.keeper" in command else ""
