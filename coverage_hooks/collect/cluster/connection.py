"""A connection to the cluster of a kubeconfig, and what its refusals mean.

Which cluster: ``--kubeconfig``, else ``KUBECONFIG``, else ``~/.kube/config``, else, in a pod, its service account.
Nothing else is guessed, and nothing of it is written anywhere: certificates that a kubeconfig or an exec plugin has as
data, which the client wants as files, are files in memory, so that not even a kill leaves a private key behind.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from kubernetes_asyncio import config as configs
from kubernetes_asyncio.client import ApiClient, Configuration, VersionApi
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.config import ConfigException, kube_config

from coverage_hooks.collect.cluster.answers import TRANSPORT_ERRORS, Client, ForeignAnswer
from coverage_hooks.errors import SourceError, UsageError

#: Seconds that one question to the API server may take.
REQUEST_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is meant in which cluster: the operator that was installed as *release*, or the volume of *claim*."""

    namespace: str
    release: str | None = None
    claim: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[ApiClient]:
    """Give a client for the cluster of *target*, which has answered once.

    Raises `UsageError` when the kubeconfig or its context is not there or of no use, and `SourceError` when the server
    cannot be reached or refuses who is asking.
    """
    with ExitStack() as files:
        api = await _client(target, files)
    # From here on no file is needed: the certificates are loaded.
    async with api:
        await _greet(api)
        yield api


@contextmanager
def asking(verb: str, resource: str, namespace: str, name: str = "") -> Iterator[None]:
    """Name what was asked when it is refused: *verb* on *resource*, as a role would grant it.

    Raises `SourceError`. What the server answers is its own business, so nothing else of an `ApiException` passes.
    """
    what = f"{verb} {resource}{f' {name}' if name else ''} in namespace {namespace!r}"
    try:
        yield
    except ApiException as error:
        raise SourceError(refusal(what, int(error.status or 0), reason(error)) + again(error)) from None
    except ForeignAnswer as error:
        raise SourceError(f"cannot {what}: {foreign(error)}") from None
    except TRANSPORT_ERRORS as error:
        raise SourceError(f"cannot {what}: the Kubernetes API is gone: {transport(error)}") from None


def refusal(what: str, status: int, said: str) -> str:
    """Return the message for *what* when the server answered *status* and *said* why, if it did."""
    answer = f"{status} {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else str(status)
    text = f"cannot {what}: the Kubernetes API answers {answer}{f': {said}' if said else ''}"
    # A policy or a quota forbids too, and says which; then no role would help.
    if status == HTTPStatus.FORBIDDEN and (not said or " cannot " in said):
        text += "; `coverage-hooks role` prints a Role that is enough"
    return text


def reason(error: ApiException) -> str:
    """Return what the server says in *error*, or an empty string."""
    try:
        document = json.loads(error.body or "{}")
    except (ValueError, RecursionError):
        return ""
    said = document.get("message") if isinstance(document, dict) else None
    return said.strip() if isinstance(said, str) else ""


def again(error: ApiException) -> str:
    """Return when to try again, as an addition to a message; nothing where that is no matter of time."""
    if error.status not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return ""
    headers: Any = error.headers or {}
    seconds = str(headers.get("Retry-After", ""))
    return f"; try again in {seconds} s" if re.fullmatch(r"[0-9]{1,5}", seconds) else "; try again later"


def foreign(error: ForeignAnswer) -> str:
    """Return what it means that *error* came where an API server was expected."""
    return f"what answers is no Kubernetes API: {error}; is this its address, and does a proxy here want a log-in?"


def transport(error: BaseException) -> str:
    """Return what is wrong with the connection, never nothing."""
    otherwise = "no whole answer came in time" if isinstance(error, TimeoutError) else type(error).__name__
    return str(error) or otherwise


def is_absent(error: ApiException) -> bool:
    """Return whether what was asked for is not there."""
    return bool(error.status == HTTPStatus.NOT_FOUND)


async def _client(target: Target, files: ExitStack) -> ApiClient:
    configuration = Configuration()
    paths = _kubeconfigs(target, os.environ)
    try:
        if paths is None:
            configs.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await _load(paths, target.context, configuration, files)
        return Client(configuration)
    except KeyError as error:
        raise UsageError(f"{_named(paths)} lacks {error}") from None
    # The client checks nothing of a kubeconfig before it uses it, so what is wrong with one shows as any of these.
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, AssertionError) as error:
        wanted = f" for context {target.context!r}" if target.context else ""
        raise UsageError(f"{_named(paths)} cannot be used{wanted}: {transport(error)}") from None


def _kubeconfigs(target: Target, environ: Mapping[str, str]) -> list[Path] | None:
    """Return the kubeconfigs to read, or None for the service account of the pod that this runs in."""
    if target.kubeconfig is not None:
        if not target.kubeconfig.is_file():
            raise UsageError(f"there is no kubeconfig {str(target.kubeconfig)!r}; --kubeconfig names a file")
        return [target.kubeconfig]
    if listed := [Path(path).expanduser() for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path]:
        if not (there := [path for path in listed if path.is_file()]):
            raise UsageError(f"KUBECONFIG names {', '.join(map(str, listed))}, which is not there; give --kubeconfig")
        return there
    usual = Path("~/.kube/config").expanduser()
    if usual.is_file():
        return [usual]
    if environ.get("KUBERNETES_SERVICE_HOST") and target.context is None:
        return None
    raise UsageError(f"no cluster is named: there is neither --kubeconfig nor KUBECONFIG nor {str(usual)!r}")


def _named(paths: list[Path] | None) -> str:
    return "the service account of this pod" if paths is None else f"kubeconfig {os.pathsep.join(map(str, paths))!r}"


async def _load(paths: list[Path], context: str | None, configuration: Configuration, files: ExitStack) -> None:
    """Set *configuration* from *paths*; *files* holds what it names until it is used."""
    merged: Any = kube_config.KubeConfigMerger(os.pathsep.join(map(str, paths)))
    if merged.config is None:
        raise ConfigException("it is empty")
    loader: Any = kube_config.KubeConfigLoader(
        config_dict=merged.config,
        config_base_path=None,
        active_context=context,
        config_persister=lambda *_: merged.save_changes(),  # a refreshed token is for once only
        temp_file_path=_folder(files),
    )
    await loader.load_and_set(configuration)
    if hasattr(loader, "exec_plugin_expiry"):
        configuration.refresh_api_key_hook = _refreshing(loader)


class _Memory(str):
    """Stands for a folder: what the client would write there becomes files in memory, until *files* are closed."""

    __slots__ = ("files",)
    files: ExitStack


class _FileOrData(kube_config.FileOrData):
    """The client's own, which lets `_Memory` stand for a folder."""

    def _create_temp_file_with_content(self, content: str | bytes) -> str:
        folder = self._temp_file_path
        if not isinstance(folder, _Memory):
            return str(super()._create_temp_file_with_content(content))
        descriptor = os.memfd_create("certificate")
        folder.files.callback(os.close, descriptor)
        os.write(descriptor, content.encode() if isinstance(content, str) else content)
        return f"/proc/self/fd/{descriptor}"


kube_config.FileOrData = _FileOrData  # type: ignore[misc] # the client offers no other way


def _folder(files: ExitStack) -> str:
    """Return where the client writes certificates, for as long as *files* are kept."""
    if hasattr(os, "memfd_create"):
        memory = _Memory("/proc/self/fd")
        memory.files = files
        return memory
    folder = files.enter_context(tempfile.TemporaryDirectory(prefix="coverage-hooks-"))
    files.callback(_forget, folder)
    return folder


def _forget(folder: str) -> None:
    """Let the client forget files in *folder*: it would take them for still there when it connects again."""
    known = kube_config._temp_files  # noqa: SLF001 - it offers no other way, and its own deletes those of others
    for content in [content for content, name in known.items() if Path(name).is_relative_to(folder)]:
        del known[content]


def _refreshing(loader: Any) -> Any:
    async def refresh(configuration: Any) -> None:
        await loader.load_from_exec_plugin()  # which runs the plugin only when what it said has expired
        configuration.api_key["BearerToken"] = loader.token

    return refresh


async def _greet(api: ApiClient) -> None:
    """Ask for the version, which whoever is known may: so the first real question is not about the connection."""
    host = api.configuration.host
    version: Any = VersionApi(api)
    try:
        await version.get_code(_request_timeout=REQUEST_TIMEOUT)
    except ApiException as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            raise SourceError(f"{host} does not know who is asking: 401 Unauthorized; log in again") from None
        if error.status != HTTPStatus.FORBIDDEN:  # there, and stricter than usual
            said = reason(error)
            raise SourceError(f"{host} answers {error.status}{f': {said}' if said else ''}{again(error)}") from None
    except ForeignAnswer as error:
        raise SourceError(f"at {host}, {foreign(error)}") from None
    except TRANSPORT_ERRORS as error:
        raise SourceError(f"the Kubernetes API at {host} cannot be reached: {transport(error)}") from None
