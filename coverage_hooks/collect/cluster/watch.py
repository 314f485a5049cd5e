"""Who was there and how it ended, seen while it happened: a watch on the pods and events of one namespace.

::

    list ──> watch, a few seconds each, from the last version ──> notebook (one line each, at once on disk)
      ^                 │ broken: again, from the last version, until it works
      └── 410: too old ─┘ a gap, from when all was told until the new list; it stays in the notebook

Kubernetes forgets a deleted pod within a fraction of a second, so nobody can ask afterwards how it ended. A connection
that breaks costs nothing as long as the API server still has the history: what happened meanwhile is told again. Only
what it has thrown away is missing, and that is written down as missing.

The watches are short on purpose. The end of one is the server's word that until then everything was told, which the
silence of an open connection is not: it may have died long ago.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, CoreV1Api
from kubernetes_asyncio.client.exceptions import ApiException

from coverage_hooks.collect.cluster import answers
from coverage_hooks.collect.cluster.answers import TRANSPORT_ERRORS
from coverage_hooks.collect.cluster.connection import (
    REQUEST_TIMEOUT,
    Target,
    asking,
    connect,
)
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.pods.objects import Document, keep_event, keep_pod
from coverage_hooks.collect.pods.watchlog import KINDS, Header, Kind, Memory, Notebook, Testimony
from coverage_hooks.errors import SourceError, UsageError
from coverage_hooks.volume.manifest import timestamp

#: How long one watch lasts, in seconds.
WINDOW = watchlog.CONFIRMED_EVERY

#: How long the last watch of all lasts: it tells what happened since, and ends.
LAST_WINDOW = 1

#: Seconds to wait after a failure, and at most after many.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

_OBJECTS: dict[Kind, str] = {"pods": "pod", "events": "event"}

Book = Notebook | Memory


class _ExpiredError(Exception):
    """The API server no longer has the history since our version."""


class _BrokenError(Exception):
    """The connection broke, or the server cannot answer just now."""


@asynccontextmanager
async def witness(target: Target, path: Path, *, resume: bool = False) -> AsyncIterator[Testimony]:
    """Watch the namespace of *target* during the block, and write what is seen to *path*.

    The block begins when what is there already is known. With *resume*, a witness of the same namespace that *path*
    holds is gone on from; otherwise the file is begun anew.

    Raises `SourceError` when the cluster cannot be reached or pods must not be watched, and `UsageError` when another
    witness is writing *path*.
    """
    async with connect(target) as api:
        header = await _header(api, target)
        with Notebook(path, header, _before(path, header) if resume else None) as book:
            watches = [_Watch(api, target.namespace, kind, book) for kind in KINDS]
            await asyncio.gather(*(watch.begin() for watch in watches))
            why = "it was interrupted"
            try:
                async with _in_background(_follow(watches)):
                    yield book.testimony
                why = "; ".join(filter(None, await asyncio.gather(*(watch.finish() for watch in watches))))
            finally:
                book.add({"stopped": why})


@contextmanager
def watching(target: Target, path: Path, *, resume: bool = False) -> Iterator[Testimony]:
    """Do what `witness` does in a thread of its own, for code that is not asynchronous.

    The testimony grows while the block runs; look at it, and change nothing.
    """
    thread = _Thread(target, path, resume=resume)
    testimony = thread.begin()
    try:
        yield testimony
    finally:
        thread.end()


async def ask(target: Target, path: Path | None = None) -> Testimony:
    """Return all that is known now: what a witness wrote to *path*, what happened since, and what is there.

    Without a witness of this namespace it is what Kubernetes still knows: pods that are there, one ending of each of
    their containers, and the events of about an hour; the testimony is then only `asked`.
    """
    async with connect(target) as api:
        header = await _header(api, target)
        before = _before(path, header) if path is not None else None
        with _book(path, header, before) as book:
            watches = [_Watch(api, target.namespace, kind, book) for kind in KINDS]
            reasons = await asyncio.gather(*(watch.finish() for watch in watches))
            if isinstance(book, Notebook):
                book.add({"stopped": "; ".join(filter(None, reasons))})
            return book.testimony


def asked(target: Target, path: Path | None = None) -> Testimony:
    """Return what `ask` returns, for code that is not asynchronous."""
    return asyncio.run(ask(target, path))


@dataclass(frozen=True, slots=True)
class Asking:
    """The word of a cluster, and of a witness that wrote to *path*, for whoever collects from *claim*."""

    target: Target
    path: Path
    claim: str | None

    def testify(self, moment: datetime) -> Testimony | None:
        """Return all that is known now; when the cluster does not answer, what the witness had written.

        Raises `SourceError` when neither says anything.
        """
        try:
            return asked(self.target, self.path)
        except SourceError:
            if (written := watchlog.Written(self.path).testify(moment)) is None:
                raise
            return written

    def watching(self) -> AbstractContextManager[Testimony]:
        """Return a witness that goes on from *path*."""
        return watching(self.target, self.path, resume=True)


class _Watch:
    """The watch on one kind of object: where it is in the server's history, and since when it has heard nothing."""

    def __init__(self, api: ApiClient, namespace: str, kind: Kind, book: Book) -> None:
        core: Any = CoreV1Api(api)
        self._list: Any = {"pods": core.list_namespaced_pod, "events": core.list_namespaced_event}[kind]
        self._namespace, self._kind, self._book = namespace, kind, book
        self._keep: Any = {"pods": keep_pod, "events": keep_event}[kind]
        self._living = book.testimony.living() if kind == "pods" else {}
        self._forbidden = False
        self._is_doubtful = True  # whether it is the same server, with the same history

    @property
    def _version(self) -> str | None:
        return self._book.testimony.versions.get(self._kind)

    async def begin(self) -> None:
        """Go on from what the notebook holds, or list what is there; then nothing that happens is missed."""
        try:
            with asking("watch", self._kind, self._namespace):
                await self._advance(LAST_WINDOW)
        except (_BrokenError, SourceError) as error:
            if self._kind == "pods":
                raise SourceError(str(error)) from None
            self._give_up(str(error))

    async def follow(self) -> None:
        """Watch until cancelled, whatever breaks meanwhile."""
        pause = FIRST_PAUSE
        while not self._forbidden:
            try:
                await self._advance(WINDOW)
                pause = FIRST_PAUSE
            except (_BrokenError, ApiException, *TRANSPORT_ERRORS):
                self._is_doubtful = True
                # Without jitter: there are two watches, and the server is one of a test.
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def finish(self) -> str:
        """Hear what happened until now; return why that was not possible, or an empty string."""
        if self._forbidden:
            return ""
        try:
            with asking("watch", self._kind, self._namespace):
                await self._advance(LAST_WINDOW)
        except (_BrokenError, SourceError) as error:
            if self._version is None and self._kind == "pods":
                raise SourceError(str(error)) from None
            return f"{self._kind}: {error}"
        return ""

    def _give_up(self, reason: str) -> None:
        """Go without this kind: the times of its events are then all a gap."""
        self._forbidden = True
        self._book.add(
            {"gap": self._kind, "since": timestamp(self._book.testimony.header.started_at), "reason": reason}
        )

    async def _advance(self, seconds: int) -> None:
        """Watch for *seconds*; list first when there is no version to go on from, or the one there is has expired."""
        if self._version is None:
            await self._relist()
            return
        try:
            await self._recognise(self._version)
            await self._watch(self._version, seconds)
        except _ExpiredError as error:
            await self._relist(str(error))

    async def _recognise(self, version: str) -> None:
        """Find out, once after each break, whether the server has come as far as *version*.

        One that was restored from a backup has not. It does not refuse a version of the future, but waits for it in
        silence, and the end of such a watch would be taken for its word that nothing happened.
        """
        if not self._is_doubtful:
            return
        document = await self._get(limit=1)
        with _understanding("list"):
            current = str(document["metadata"]["resourceVersion"])
        if version.isdigit() and current.isdigit() and int(current) < int(version):
            raise _ExpiredError(f"the API server is at version {current}, before {version}: its history was replaced")
        self._is_doubtful = False

    async def _get(self, **options: int) -> Document:
        answer = await self._list(self._namespace, _preload_content=False, _request_timeout=REQUEST_TIMEOUT, **options)
        async with answer:
            return await _document(answer)

    async def _relist(self, reason: str = "") -> None:
        document = await self._get()
        if reason:
            testimony = self._book.testimony
            since = testimony.confirmed.get(self._kind, testimony.header.started_at)
            self._book.add({"gap": self._kind, "since": timestamp(since), "reason": reason})
        with _understanding("list"):
            listed = {item["metadata"]["uid"] for item in document["items"]}
            for uid in [uid for uid in self._living if uid not in listed]:
                self._enter("GONE", self._living.pop(uid), None)
            for item in document["items"]:
                self._take("LISTED", item, None)
            self._confirm(document["metadata"]["resourceVersion"])
        self._is_doubtful = False

    async def _watch(self, version: str, seconds: int) -> None:
        """Take what happened after *version* until the server ends the watch after *seconds*."""
        started = time.monotonic()
        answer = await self._list(
            self._namespace,
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=seconds,
            _preload_content=False,
            _request_timeout=aiohttp.ClientTimeout(total=seconds + REQUEST_TIMEOUT, sock_connect=REQUEST_TIMEOUT),
        )
        async with answer:
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise _refused(answer.status, await answers.content(answer))
            async for line in answers.lines(answer):
                with _understanding("change"):
                    version = self._change(line)
        if time.monotonic() - started < seconds / 2:
            raise _BrokenError("the API server ended the watch early")  # as when it is stopped
        self._confirm(version)

    def _change(self, line: bytes) -> str:
        """Take one change, and return the version after it."""
        change = json.loads(line)
        kind, item = change["type"], change["object"]
        if kind == "ERROR":
            raise _refused(int(item.get("code", 0)), json.dumps(item).encode())
        newer = str(item["metadata"]["resourceVersion"])
        if kind != "BOOKMARK":
            self._take(kind, item, newer)
        return newer

    def _take(self, change: str, item: Document, version: str | None) -> None:
        if self._kind == "pods":
            uid = item["metadata"]["uid"]
            if change == "DELETED":
                self._living.pop(uid, None)
            else:
                self._living[uid] = keep_pod({"metadata": item["metadata"]})
        if (kept := self._keep(item)) is not None:
            self._enter(change, kept, version)

    def _enter(self, change: str, kept: Document, version: str | None) -> None:
        self._book.add(
            {"change": change, _OBJECTS[self._kind]: kept, **({"version": version} if version is not None else {})}
        )

    def _confirm(self, version: str) -> None:
        self._book.add({"confirmed": self._kind, "version": version})


class _Thread:
    """A witness in a thread with an event loop of its own."""

    def __init__(self, target: Target, path: Path, *, resume: bool) -> None:
        self._target, self._path, self._resume = target, path, resume
        self._begun = threading.Event()
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._testimony: Testimony | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="coverage-hooks-witness", daemon=True)

    def begin(self) -> Testimony:
        """Return when the present state is known; raise what made that impossible."""
        self._thread.start()
        self._begun.wait()
        if self._testimony is None:
            self._thread.join()
            assert self._error is not None
            raise self._error
        return self._testimony

    def end(self) -> None:
        """Stop, and return when everything is on disk."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever called begin() or end()
            self._error = error
        finally:
            self._begun.set()

    async def _watch(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with witness(self._target, self._path, resume=self._resume) as self._testimony:
            self._begun.set()
            await self._stop.wait()


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do *work* during the block, in a task of its own: a task group here would wrap what the block raises."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _follow(watches: Iterable[_Watch]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for watch in watches:
            tasks.create_task(watch.follow())


async def _header(api: ApiClient, target: Target) -> Header:
    return Header(
        namespace=target.namespace,
        server=str(api.configuration.host),
        namespace_uid=await _namespace_uid(api, target.namespace),
        started_at=datetime.now(UTC),
    )


async def _namespace_uid(api: ApiClient, namespace: str) -> str:
    """Return what tells this namespace from a later one of its name; empty where we may not ask."""
    core: Any = CoreV1Api(api)
    try:
        answer = await core.read_namespace(namespace, _preload_content=False, _request_timeout=REQUEST_TIMEOUT)
        async with answer:
            return str((await _document(answer))["metadata"]["uid"])
    except (ApiException, _BrokenError, LookupError, *TRANSPORT_ERRORS):
        return ""


def _before(path: Path, header: Header) -> Testimony | None:
    """Return what *path* tells of this very namespace."""
    before = watchlog.read(path)
    return before if before is not None and before.header.is_of(header) else None


def _book(path: Path | None, header: Header, before: Testimony | None) -> Book:
    """Return the notebook to go on in; what is in memory only when somebody else writes it, or there is none."""
    if path is None or before is None:
        return Memory(Testimony(header=header, asked=True))
    try:
        return Notebook(path, header, before)
    except UsageError:
        return Memory(before)


async def _document(answer: aiohttp.ClientResponse) -> Document:
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise _refused(answer.status, await answers.content(answer))
    return answers.parsed(await answers.content(answer))


@contextmanager
def _understanding(what: str) -> Iterator[None]:
    """Turn what an API server never sends into an error that names it as no *what*; it must not end the witness."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise _BrokenError(f"the API server sent what is no {what}") from None


def _refused(status: int, body: bytes) -> Exception:
    """Return what an answer of *status* means."""
    try:
        said = str(answers.parsed(body).get("message", ""))
    except answers.ForeignAnswer:
        said = ""
    if status == HTTPStatus.GONE or "Too large resource version" in said:  # thrown away, or replaced
        return _ExpiredError(f"the API server no longer has the history since then: {said}")
    error = ApiException(status=status, reason=said)
    # Annotated as nothing at all, so that None is all it may be.
    error.body = body.decode(errors="replace")  # type: ignore[assignment]
    return error
