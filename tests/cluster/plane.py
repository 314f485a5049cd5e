"""The control plane: a real kube-apiserver on a real etcd, two processes of the current user on the loopback address.

No controller manager runs: nothing collects garbage, a deleted namespace stays Terminating, and no namespace gets a
default ServiceAccount. No scheduler and no kubelet run either: a Pod stays Pending.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.certificates import Certificates, write_certificates, write_kubeconfig
from tests.cluster.errors import ControlPlaneError
from tests.cluster.folder import temporary_folder
from tests.cluster.processes import Supervised, supervised
from tests.cluster.supervisor import tail
from tests.cluster.waiting import wait_until

_READY_WITHIN = 60.0
# The second one is made by the API server itself, a moment after it calls itself ready.
_READY_PATHS = ("/readyz", "/api/v1/namespaces/default")


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running API server. `kubeconfig` is the administrator's; everything below `folder` goes away at the end."""

    url: str
    kubeconfig: Path
    folder: Path
    pids: Mapping[str, int]


def to_stderr(line: str) -> None:
    """Show one line of progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def control_plane(say: Callable[[str], None] = to_stderr) -> Iterator[ControlPlane]:
    """Yield a ready control plane; it is gone when the block ends or when this process does, however that happens.

    Raises ControlPlaneError with the end of the log that tells why, also if a process of it ended meanwhile.
    """
    assets = binaries.locate(say)
    with temporary_folder() as (folder, lock), _reserved_port() as reservation:
        files = write_certificates(folder)
        port = reservation.getsockname()[1]
        plane_url, kubeconfig = f"https://127.0.0.1:{port}", folder / "kubeconfig"
        write_kubeconfig(kubeconfig, plane_url, files)
        commands = {"etcd": _etcd(assets), "kube-apiserver": _kube_apiserver(assets, port, files)}
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


def _etcd(assets: Path) -> list[str]:
    # Sockets in the folder: no port to be free, and no other user can reach a database that asks for no password.
    return [
        str(assets / "etcd"),
        "--data-dir=etcd",
        "--listen-client-urls=unix://etcd.sock",
        "--advertise-client-urls=http://localhost:2379",  # must be there; nobody asks for it
        "--listen-peer-urls=unix://peer.sock",
        "--heartbeat-interval=10",  # a lone member elects itself after one election timeout
        "--election-timeout=100",
        "--unsafe-no-fsync",
        "--log-level=warn",
        "--log-format=console",
    ]


def _kube_apiserver(assets: Path, port: int, files: Certificates) -> list[str]:
    return [
        str(assets / "kube-apiserver"),
        "--etcd-servers=unix://etcd.sock",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing",  # with our reservation
        "--cert-dir=.",
        f"--tls-cert-file={files.server}",
        f"--tls-private-key-file={files.server_key}",
        f"--client-ca-file={files.authority}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={files.token_key}",
        f"--service-account-signing-key-file={files.token_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--endpoint-reconciler-type=none",
        "--disable-admission-plugins=ServiceAccount",  # nobody makes the accounts it would ask for
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    ]


def _wait_until_ready(processes: Supervised, port: int, files: Certificates, folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(files.authority))
    context.load_cert_chain(files.client)

    def ready() -> bool:
        processes.check()
        return all(_answers(port, path, context) for path in _READY_PATHS)

    try:
        wait_until(ready, "the API server is ready", within=_READY_WITHIN)
    except TimeoutError as error:
        logs = (f"{name}:\n{tail(folder / f'{name}.log')}" for name in processes.pids)
        raise ControlPlaneError("\n".join([str(error), *logs])) from error


def _answers(port: int, path: str, context: ssl.SSLContext) -> bool:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
