"""A volume that is a claim in a cluster, read through a pod that is there for nothing else.

The operator's pod is never entered; it may be running, gone, or uninstalled. Recordings are read as `Directory` reads
those in a folder, and refused for the same reasons: the reader says what is wrong with an entry, and nothing that it
says is believed that can be checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from coverage_hooks import errors
from coverage_hooks.collect import outputs
from coverage_hooks.collect.cluster import claims, granting, role
from coverage_hooks.collect.cluster import pod as pods
from coverage_hooks.collect.cluster.claims import Volume
from coverage_hooks.collect.cluster.connection import Target, connect
from coverage_hooks.collect.cluster.exchange import Answer
from coverage_hooks.collect.cluster.line import Line
from coverage_hooks.collect.cluster.reader import Say
from coverage_hooks.collect.cluster.watch import Asking
from coverage_hooks.collect.source import Announcement
from coverage_hooks.errors import SourceError, TooLarge, UnsafeEntry, VolumeError
from coverage_hooks.volume import access, layout
from coverage_hooks.volume.manifest import MANIFEST_LIMIT
from coverage_hooks.volume.server import AGE, FILE_DIGEST, RANGE_LIMIT, digest

T = TypeVar("T")

#: The longest list of names that is read, in bytes.
LIST_LIMIT = 32 << 20

#: Seconds between looks whether the program has come to its end.
_POLL = 0.5

_FILE = re.compile(f"{layout.JOURNAL.pattern}|{re.escape(layout.COMPLETE)}")
_PART = re.compile(r"bytes (\d{1,18})-(-1|\d{1,18})/(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to read, and how; with *reader*, only through the pod of that name, which somebody else made."""

    target: Target
    image: str | None = None
    reader: str | None = None


#: Told which file is being copied, how many of its bytes are here, and how many it has.
Progress = Callable[[str, int, int], None]


class Claim:
    """The recordings on a claim, from entering this as a context until leaving it, when its reader is gone.

    Everything that asks the cluster runs in an event loop in a thread of its own, for as long; a thread that the
    interpreter waits for, so that the reader goes also when whoever waits for that is interrupted once more.
    """

    def __init__(self, wish: Wish, *, say: Say, progress: Progress) -> None:
        self._wish, self._say, self._progress = wish, say, progress
        self._thread = threading.Thread(target=self._run, name="coverage-hooks-reader")
        self._opened: Future[Line] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._failure: BaseException | None = None
        self._claim = wish.target.claim or ""

    def __enter__(self) -> Claim:
        try:
            self._thread.start()
            self._line = self._opened.result()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._failure is not None:
            if error is None:
                raise self._failure
            self._say(str(self._failure))

    def close(self) -> None:
        """Take the reader away; that it could not be is raised when the context is left."""
        self._leave()

    def witness(self, path: Path) -> Asking:
        """Return who can say what became of the pods; *path* is where a witness may have written."""
        return Asking(self._wish.target, path, self._claim or None)

    def recordings(self) -> list[str]:
        """Return the names of everything that is named as a recording, whatever it is."""
        try:
            return sorted(self._names("/recordings", layout.RECORDING))
        except VolumeError as error:
            raise SourceError(f"no recordings can be read from the claim: {error}") from None

    def announcement(self, recording: str) -> Announcement:
        """Return the manifest of *recording* as it is now."""
        answer = self._ask(f"/recordings/{_checked(recording)}", limit=MANIFEST_LIMIT)
        try:
            age = float(answer.headers.get(AGE, ""))
        except ValueError:
            age = math.nan
        if not math.isfinite(age):
            raise VolumeError("the reader does not say how old the manifest is")
        return Announcement(content=answer.body, age=age)

    def files(self, recording: str) -> list[str]:
        """Return the names of the journals of *recording*, by number, and `layout.COMPLETE` if it is there."""
        return self._names(f"/recordings/{_checked(recording)}/files", _FILE)

    def copy(self, recording: str, name: str, target: Path, *, limit: int) -> None:
        """Copy to *target* what journal *name* of *recording* has at the first look, range by range."""
        path = f"/recordings/{_checked(recording)}/{name}"
        whole, here, tag, total = hashlib.sha256(), 0, "", None
        with outputs.replacing(target) as copy:
            while True:
                headers = {"Range": f"bytes={here}-{here + RANGE_LIMIT - 1}"} | ({"If-Match": tag} if tag else {})
                answer = self._ask(path, headers, limit=RANGE_LIMIT)
                size = _size(name, answer, here)
                if total is None:
                    total, tag = size, answer.headers.get("ETag", "")
                if size != total:
                    raise _unasked(name)
                if size > limit:
                    raise TooLarge(f"{name!r} has {size} bytes, more than the {limit} allowed")
                copy.write(answer.body)
                whole.update(answer.body)
                here += len(answer.body)
                self._progress(name, here, size)
                if here == size:
                    break
            if answer.headers.get(FILE_DIGEST) != digest(whole):
                raise VolumeError(f"{name!r} changed while it was copied")

    def boot(self) -> str:
        """Return the boot id of the node that the reader runs on; empty when it does not say."""
        try:
            document = access.parse_json(self._ask("/", limit=MANIFEST_LIMIT).body, depth=1)
        except ValueError:
            return ""
        boot = document.get("boot", "") if isinstance(document, dict) else ""
        return boot if isinstance(boot, str) else ""

    def _names(self, path: str, pattern: re.Pattern[str]) -> list[str]:
        try:
            names = access.parse_json(self._ask(path, limit=LIST_LIMIT).body, depth=1)
        except ValueError as error:
            raise VolumeError(f"the reader's list of names cannot be read: {error}") from None
        if not isinstance(names, list):
            raise VolumeError("the reader's list of names is none")
        return [name for name in names if isinstance(name, str) and pattern.fullmatch(name)]

    def _ask(self, path: str, headers: Mapping[str, str] | None = None, *, limit: int) -> Answer:
        answer = self._wait(self._line.ask(path, headers or {}, limit=max(limit, MANIFEST_LIMIT)))
        match answer.status:
            case HTTPStatus.OK | HTTPStatus.PARTIAL_CONTENT:
                return answer
            case HTTPStatus.PRECONDITION_FAILED:
                raise VolumeError(f"{path.rpartition('/')[2]!r} was replaced while it was copied")
            case HTTPStatus.UNPROCESSABLE_ENTITY:
                raise _refused(answer)
        raise VolumeError(f"the reader answers {answer.status} to {path}")

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what *work*, done in the loop, returns."""
        if self._loop is None or not self._thread.is_alive():
            work.close()
            raise SourceError("the reader is gone")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _leave(self) -> None:
        self._leaving.set()
        self._stop()
        if self._thread.ident is not None:  # it was started
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by whoever is waiting for it
            self._failure = error
        finally:
            if not self._opened.done():
                self._opened.set_exception(self._failure or SourceError("it was interrupted"))

    async def _serve(self) -> None:
        """Open the line, keep it until it is to be left, and close it, whatever happens."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._loop, self._stop = loop, lambda: loop.is_closed() or loop.call_soon_threadsafe(task.cancel)
        if self._leaving.is_set():
            return
        async with connect(self._wish.target) as api:
            volume = await self._volume(api)
            self._claim = volume.claim
            line = Line(api, volume, self._say, self._wish.reader)
            try:
                await line.open()
                self._opened.set_result(line)
                # Until it is cancelled; that does not come if a signal struck right before or after the block.
                while threading.main_thread().is_alive():  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(_POLL)
            finally:
                self._stop = lambda: None  # what is left to do is what leaving waits for
                await line.close()

    async def _volume(self, api: Any) -> Volume:
        """Return the volume to read, after making sure that nothing will be forbidden halfway."""
        target, reader = self._wish.target, self._wish.reader
        if reader is not None:
            await role.check(api, target.namespace, role.entering(reader))
            return Volume(namespace=target.namespace, claim=target.claim or "", image="")
        claim = await claims.name_of(api, target)
        await role.check(api, target.namespace, granting.retrieving(claim, by_release=False))
        return await claims.look(api, target.namespace, claim, self._wish.image)


def reader_manifest(wish: Wish) -> str:
    """Return the reader of *wish* as YAML, for a person to apply."""

    async def ask() -> str:
        async with connect(wish.target) as api:
            claim = await claims.name_of(api, wish.target)
            volume = await claims.look(api, wish.target.namespace, claim, wish.image)
        return pods.to_yaml(pods.manifest(volume, pods.BY_HAND))

    return asyncio.run(ask())


def _checked(recording: str) -> str:
    if not layout.RECORDING.fullmatch(recording):
        raise UnsafeEntry(f"{recording!r} is not the name of a recording")
    return recording


def _size(name: str, answer: Answer, first: int) -> int:
    """Return the size of the file that *answer* is a part of, which must begin at *first* and not be empty."""
    part = _PART.fullmatch(answer.headers.get("Content-Range", ""))
    if part is None or int(part[1]) != first or int(part[2]) + 1 != first + len(answer.body):
        raise _unasked(name)
    if not answer.body and int(part[3]) != first:
        raise VolumeError(f"{name!r}: the reader sent nothing, at {first} of {part[3]} bytes")
    return int(part[3])


def _unasked(name: str) -> VolumeError:
    return VolumeError(f"{name!r}: the reader sent something else than what it was asked for")


def _refused(answer: Answer) -> VolumeError:
    """Return the error that the reader found on the volume."""
    try:
        document = access.parse_json(answer.body, depth=1)
        kind, message = str(document["error"]), str(document["message"])
    except (ValueError, KeyError, TypeError):
        return VolumeError("the reader refuses, and does not say why")
    known = getattr(errors, kind, VolumeError) if kind in errors.__all__ else VolumeError
    return known(message) if issubclass(known, VolumeError) else VolumeError(message)
