"""Command lines of the two servers that every cluster of the tests has. Both run in one folder, which they share."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.certificates import Certificates


def etcd(assets: Path) -> list[str]:
    """Return the command line of a database that is thrown away."""
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


def kube_apiserver(assets: Path, address: str, port: int, files: Certificates) -> list[str]:
    """Return the command line of an API server on that database; who may do what is for the caller to add."""
    return [
        str(assets / "kube-apiserver"),
        "--etcd-servers=unix://etcd.sock",
        f"--bind-address={address}",
        f"--secure-port={port}",
        "--cert-dir=.",
        f"--tls-cert-file={files.server}",
        f"--tls-private-key-file={files.server_key}",
        f"--client-ca-file={files.authority}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={files.token_key}",
        f"--service-account-signing-key-file={files.token_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    ]
