"""The control plane: a real kube-apiserver on a real etcd, two processes of the current user on the loopback address.

No controller manager runs: nothing collects garbage, a deleted namespace stays Terminating, and no namespace gets a
default ServiceAccount. No scheduler and no kubelet run either: a Pod stays Pending.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import binaries, servers
from tests.cluster.api import Api
from tests.cluster.certificates import Certificates, write_certificates, write_kubeconfig
from tests.cluster.errors import ControlPlaneError
from tests.cluster.folder import temporary_folder
from tests.cluster.processes import Supervised, supervised
from tests.cluster.supervisor import tail
from tests.cluster.waiting import wait_until

#: Requests that are written to `ControlPlane.audit`, as rules of an audit policy.
AuditRules = Sequence[Mapping[str, Any]]

_AUDIT = "audit.log"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running API server. `kubeconfig` is the administrator's; everything below `folder` goes away at the end."""

    url: str
    kubeconfig: Path
    folder: Path
    pids: Mapping[str, int]

    @property
    def audit(self) -> Path:
        """Return the file with a line for each request that was to be written down, if any was."""
        return self.folder / _AUDIT


def to_stderr(line: str) -> None:
    """Show one line of progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def control_plane(say: Callable[[str], None] = to_stderr, *, audited: AuditRules = ()) -> Iterator[ControlPlane]:
    """Yield a ready control plane; it is gone when the block ends or when this process does, however that happens.

    Requests that *audited* names are written down. Raises ControlPlaneError with the end of the log that tells why,
    also if a process of it ended meanwhile.
    """
    assets = binaries.locate(say)
    with temporary_folder() as (folder, lock), _reserved_port() as reservation:
        files = write_certificates(folder)
        port = reservation.getsockname()[1]
        plane_url, kubeconfig = f"https://127.0.0.1:{port}", folder / "kubeconfig"
        write_kubeconfig(kubeconfig, plane_url, files.authority, files.client)
        commands = _commands(assets, port, files)
        commands["kube-apiserver"] += _auditing(folder, audited)
        with supervised(commands, folder, lock) as processes:
            _wait_until_ready(processes, port, files, folder)
            reservation.close()
            yield ControlPlane(plane_url, kubeconfig, folder, processes.pids)


@contextmanager
def _reserved_port() -> Iterator[socket.socket]:
    """Yield a bound socket which never listens: nobody else gets its port, and the API server may share it."""
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind(("127.0.0.1", 0))
        yield reservation


def _commands(assets: Path, port: int, files: Certificates) -> dict[str, list[str]]:
    api = [
        *servers.kube_apiserver(assets, "127.0.0.1", port, files),
        "--permit-port-sharing",  # with our reservation
        "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
        "--disable-admission-plugins=ServiceAccount",  # nobody makes the accounts it would ask for
    ]
    return {"etcd": servers.etcd(assets), "kube-apiserver": api}


def _auditing(folder: Path, rules: AuditRules) -> list[str]:
    if not rules:
        return []
    policy = folder / "audit-policy.json"
    policy.write_text(
        json.dumps(
            {
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "omitStages": ["RequestReceived"],
                "rules": [*rules, {"level": "None"}],
            }
        )
    )
    # The size is in MB. At that of the default another file would be begun, and the first one be read no further.
    return [f"--audit-policy-file={policy}", f"--audit-log-path={_AUDIT}", "--audit-log-maxsize=100000"]


def _wait_until_ready(processes: Supervised, port: int, files: Certificates, folder: Path) -> None:
    api = Api("127.0.0.1", port, files)

    def ready() -> bool:
        processes.check()
        return api.is_ready()

    try:
        wait_until(ready, "the API server is ready")
    except TimeoutError as error:
        logs = (f"{name}:\n{tail(folder / f'{name}.log')}" for name in processes.pids)
        raise ControlPlaneError("\n".join([str(error), *logs])) from error
