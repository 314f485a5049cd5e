"""The command line of the export: where from, where to, and what is told on the way."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import yaml

from keycloak_operator.errors import OperatorError
from keycloak_operator.export import credentials
from keycloak_operator.export.errors import ExportError
from keycloak_operator.export.result import Options, Result, export, told
from keycloak_operator.export.source import Source, from_file, from_server
from keycloak_operator.keycloak.admin import Pool
from keycloak_operator.reconcile.ports import Access
from keycloak_operator.resources import MASTER
from keycloak_operator.settings import PREFIX

_DONE, _FAILED, _INTERRUPTED = 0, 1, 130
#: How names of files begin. With a resource's longest name behind it, one has as many characters as it may.
_FILES = {"KeycloakRealm": "realm", "KeycloakClient": "client"}
_DESCRIPTION = """\
Write KeycloakRealm and KeycloakClient resources of a realm. Applied beside that realm they find nothing to change,
elsewhere they make an equal one. Nothing is changed in Keycloak, and no secret is written.
"""
_EPILOG = f"""\
The account is that of --credentials, or of the environment: {PREFIX}CLIENT_ID and _CLIENT_SECRET, or
{PREFIX}USERNAME and _PASSWORD. It has to view the realm and its clients. Exit codes: 0 when everything was
written, 1 when something could not be, 2 for a wrong command line.
"""


class Progress:
    """How many clients were read: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._open = False

    def tell(self, clients: int) -> None:
        """Tell that so many *clients* were read."""
        self._stream.write(f"\r{clients} clients read" if self._terminal else f"{clients} clients read\n")
        self._stream.flush()
        self._open = self._terminal

    def end(self) -> None:
        """End the line that changes."""
        if self._open:
            self._stream.write("\n")


def main(
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Export, and return the exit code."""
    out, err = out or sys.stdout, err or sys.stderr
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.server and not options.realm:
        parser.error("--server needs --realm")
    try:
        source = _source(options, environ, err)
        result = export(source, _options(options))
        _write(source, result, options.output, out)
    except (ExportError, OperatorError) as error:
        err.write(f"{error}\n")
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    err.writelines(f"{line}\n" for line in told(source, result))
    return _FAILED if result.failed or not result.documents else _DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keycloak_operator.export",
        usage="%(prog)s (--server URL --realm NAME | --from FILE) [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument(
        "--server", metavar="URL", help="base URL of a Keycloak, as in spec.url of a KeycloakConnection"
    )
    origin.add_argument(
        "--from",
        dest="file",
        metavar="FILE",
        help="JSON instead: a realm, as Keycloak exports it or answers GET /admin/realms/NAME, or clients; - for the "
        "standard input",
    )
    parser.add_argument("--realm", metavar="NAME", help="the realm; of clients alone, the one that they are in")
    parser.add_argument("--as", dest="name", metavar="NAME", help="what the realm is called in the resources")
    login = parser.add_argument_group("logging in to a server")
    login.add_argument("--credentials", metavar="FILE", type=Path, help="YAML with client-id and client-secret, or "
                       "with username and password")  # fmt: skip
    login.add_argument("--login-realm", metavar="NAME", default=MASTER, help="realm of the account (default: master)")
    login.add_argument("--ca", metavar="FILE", type=Path, help="certificates to trust, in PEM form")
    login.add_argument("--timeout", metavar="SECONDS", type=float, default=60.0, help="for one answer (default: 60)")
    written = parser.add_argument_group("what is written")
    written.add_argument("--output", metavar="DIR", type=Path, help="a file for each resource, in this "
                         "folder (default: one stream to the standard output)")  # fmt: skip
    written.add_argument("--namespace", metavar="NAME", help="namespace of the resources (default: none is said)")
    written.add_argument("--connection", metavar="NAME", default="keycloak", type=_connection,
                         help="the KeycloakConnection, or NAMESPACE/NAME (default: keycloak)")  # fmt: skip
    written.add_argument("--prefix", metavar="TEXT", type=_prefix,
                         help="in front of the names of all resources: for two realms in one namespace")  # fmt: skip
    written.add_argument("--built-in-clients", action="store_true", help="also the clients that Keycloak makes itself")
    written.add_argument("--all-fields", action="store_true", help="also fields that have Keycloak's default")
    return parser


def _connection(text: str) -> tuple[str | None, str]:
    namespace, _, name = text.rpartition("/")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME or NAMESPACE/NAME")
    return namespace or None, name


def _prefix(text: str) -> str:
    if not re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected small letters, digits and dashes, such as shop-")
    return text


def _options(options: argparse.Namespace) -> Options:
    connection_namespace, connection = options.connection
    return Options(
        connection=connection,
        connection_namespace=connection_namespace,
        namespace=options.namespace,
        prefix=options.prefix or "",
        name=options.name,
        built_in_clients=options.built_in_clients,
        all_fields=options.all_fields,
    )


def _source(options: argparse.Namespace, environ: Mapping[str, str], err: TextIO) -> Source:
    if options.file:
        text, origin = _text(options.file)
        return from_file(text, origin, options.realm)
    account, origin = credentials.account(environ, options.credentials)
    ca = _certificates(options.ca) if options.ca else ""
    access = Access(url=options.server.rstrip("/"), realm=options.login_realm, ca=ca, origin=origin, **account)
    return asyncio.run(_read(access, options, Progress(err)))


async def _read(access: Access, options: argparse.Namespace, progress: Progress) -> Source:
    pool = Pool(options.timeout, requests=1)
    try:
        return await from_server(pool.admin(access), options.realm, progress.tell)
    finally:
        progress.end()
        await pool.close()


def _text(file: str) -> tuple[str, str]:
    if file == "-":
        return sys.stdin.read(), "the standard input"
    try:
        return Path(file).read_text(encoding="utf-8"), file
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{file} cannot be read: {error}") from None


def _certificates(file: Path) -> str:
    text, _ = _text(str(file))
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, TypeError, ValueError):  # the others for what is not ASCII, and for nothing
        raise ExportError(f"{file} holds no certificate in PEM form; correct --ca") from None
    return text


def _write(source: Source, result: Result, folder: Path | None, out: TextIO) -> None:
    heading = f"# Made by python -m keycloak_operator.export of realm {source.name}\n"
    if folder is None:
        out.writelines(f"---\n{heading}{_yaml(document)}" for document in result.documents)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for document in result.documents:
            name = f"{_FILES[document['kind']]}-{document['metadata']['name']}.yaml"
            (folder / name).write_text(heading + _yaml(document), encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{folder} cannot be written to: {error}") from None


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
