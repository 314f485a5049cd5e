"""Throw-away certificates, and the kubeconfig that holds the administrator's."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in one folder: who the server is, who may talk to it, and what it signs tokens with."""

    authority: Path
    server: Path
    server_key: Path
    token_key: Path
    client: Path  # certificate and key in one file, the way `ssl` loads it

    @classmethod
    def below(cls, folder: Path) -> Certificates:
        """Return how they are called in *folder*."""
        return cls(*(folder / f"{name}.pem" for name in ("ca", "server", "server-key", "token-key", "client")))


def write_certificates(folder: Path, authority: trustme.CA | None = None, names: Iterable[str] = ()) -> Certificates:
    """Issue everything that an API server on the loopback address, called *names* too, needs into *folder*."""
    files = Certificates.below(folder)
    authority = authority or trustme.CA()
    authority.cert_pem.write_to_path(str(files.authority))
    server = authority.issue_cert("127.0.0.1", "localhost", "kubernetes.default.svc", *names)
    server.cert_chain_pems[0].write_to_path(str(files.server))
    server.private_key_pem.write_to_path(str(files.server_key))
    authority.issue_cert("tokens").private_key_pem.write_to_path(str(files.token_key))
    # The one group that the API server lets do everything, without any role.
    write_identity(files.client, authority, "admin", "system:masters")
    return files


def write_identity(path: Path, authority: trustme.CA, user: str, group: str, *addresses: str) -> None:
    """Issue the certificate of *user*, who may also serve at *addresses*, and write it with its key to one file."""
    # Without any address, trustme issues what Go takes for damaged.
    issued = authority.issue_cert(*(addresses or ["client"]), common_name=user, organization_name=group)
    path.touch(mode=0o600)
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))


def write_kubeconfig(path: Path, url: str, authority_file: Path, client_file: Path) -> None:
    """Write a kubeconfig that depends on no other file; for the eyes of its owner only."""
    client = base64.b64encode(client_file.read_bytes()).decode()
    authority = base64.b64encode(authority_file.read_bytes()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": "admin", "user": {"client-certificate-data": client, "client-key-data": client}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin", "namespace": "default"}}],
        "current-context": "tests",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2) + "\n")  # JSON is YAML
