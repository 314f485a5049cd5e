"""The reader of a claim: one pod, made when it is needed and gone at the end, also of a collect that is interrupted.

Its name is that of the claim's reader, so there is never a second one. What is found under that name is

- used, when a person applied it, and then never removed;
- shared, when another collect is asking it right now; when that one takes it away, this one makes its own;
- removed and replaced otherwise: it was left by a collect that was killed.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from kubernetes_asyncio.client import ApiClient, CoreV1Api
from kubernetes_asyncio.client.exceptions import ApiException

from coverage_hooks.collect.cluster import pod as pods
from coverage_hooks.collect.cluster import reader_status
from coverage_hooks.collect.cluster.claims import READER, Volume
from coverage_hooks.collect.cluster.connection import REQUEST_TIMEOUT, asking, is_absent
from coverage_hooks.errors import SourceError

#: Seconds after which something is wrong with a pod that does not run, unless its image is still being pulled.
STARTED_WITHIN = 15.0
PULLED_WITHIN = 300.0

#: Seconds without a question after which the collect that made a reader is taken for dead, or to need it no longer;
#: one that is alive asks several times a second, and makes another if it is wronged.
LEFT_AFTER = 3.0

#: Seconds for a pod to go, one second of which is its own to end.
GONE_WITHIN = 20.0

_POLL = 0.2

Say = Callable[[str], None]
Idle = Callable[[str], Awaitable[float | None]]


class Reader:
    """The pod that reads *volume*; *idle* returns how many seconds ago one was asked, or None if it does not answer.

    With *name* it is a person's: that pod, whatever it is, which is neither made nor removed here.
    """

    def __init__(self, api: ApiClient, volume: Volume, *, say: Say, idle: Idle, name: str | None = None) -> None:
        self._core: Any = CoreV1Api(api)
        self._volume = volume
        self._say, self._idle = say, idle
        self._owner = secrets.token_hex(8)
        self._accepted = ""  # the uid of somebody else's that is used
        self._answered = False
        self._given = name is not None
        self.name = name or pods.name_for(volume.claim)

    async def ensure(self) -> None:
        """Return when the reader runs, made anew if it went away; `SourceError` with the cause when it does not."""
        while True:
            pod = await self._find()
            if self._given:
                await self._await_given(pod)
                return
            if pod is None:
                await self._create()
            elif pod.metadata.deletion_timestamp:
                await self._await_gone(pod)
            elif not READER.items() <= (pod.metadata.labels or {}).items():
                raise SourceError(f"pod {self.name!r} is no reader of ours, and in the way; delete or rename it")
            elif await self._is_used(pod):
                return
            else:
                await self._delete(pod)

    def answered(self) -> None:
        """Note that it has served something: from now on, its end is no failure to start."""
        self._answered = True

    async def remove(self) -> None:
        """Delete the reader if it is this collect's, and wait until it is gone."""
        pod = None if self._given else await self._find()
        if pod is not None and self._owner_of(pod) == self._owner:
            await self._delete(pod)

    async def log(self) -> str:
        """Return the end of what the reader said, ready to be appended to a message."""
        try:
            with asking("get", "pods/log", self._volume.namespace, self.name):
                said = await self._core.read_namespaced_pod_log(
                    self.name, self._volume.namespace, tail_lines=10, _request_timeout=REQUEST_TIMEOUT
                )
        except SourceError:
            return ""  # it never ran, or is gone; the cause is known without
        text = (said or "").strip()  # the client takes an empty log for nothing at all
        return f"; its log ends with: {text}" if text else ""

    async def _await_given(self, pod: Any | None) -> None:
        if pod is None or not await self._await_running(pod):
            raise SourceError(
                f"there is no pod {self.name!r} in namespace {self._volume.namespace!r}; "
                "apply what `collect --reader-manifest` prints, or leave --reader out"
            )

    async def _is_used(self, pod: Any) -> bool:
        """Return True when *pod* runs; False when it is to be replaced, after saying why."""
        owner = self._owner_of(pod)
        if owner == self._owner and self._answered and (ended := reader_status.ending(pod)):
            self._say(f"reader {self.name} is gone: {ended}; starting another")
            return False
        if owner in {self._owner, pods.BY_HAND}:
            return await self._await_running(pod)
        return await self._is_shared(pod)

    async def _is_shared(self, pod: Any) -> bool:
        """Return whether *pod*, another collect's, is in use: whether it is asked anything while this one looks on."""
        if pod.metadata.uid == self._accepted and reader_status.is_running(pod):
            return True
        began = time.monotonic()
        while True:
            idle = await self._idle(self.name) if reader_status.is_running(pod) else None
            if idle is not None and time.monotonic() - idle > began:
                self._say(f"another collect is using reader {self.name}: sharing it")
                self._accepted = pod.metadata.uid
                return True
            unused = _age(pod) > STARTED_WITHIN if idle is None else idle > LEFT_AFTER
            if unused or reader_status.ending(pod):
                self._say(f"reader {self.name} was left by a collect that was killed: removing it")
                return False
            await asyncio.sleep(_POLL)
            found = await self._find()
            if found is None or found.metadata.uid != pod.metadata.uid:
                return False
            pod = found

    async def _await_running(self, pod: Any) -> bool:
        """Return True when *pod* runs, and False when it was deleted meanwhile."""
        started = time.monotonic()
        since: dict[float, float] = {}
        while True:
            if reader_status.is_running(pod):
                return True
            now = time.monotonic()
            trouble = reader_status.trouble(pod, self._volume.holders)
            # It comes and goes under several names while something is tried again; as long is waited for all.
            if trouble and now - since.setdefault(trouble.patience, now) >= trouble.patience:
                raise SourceError(f"reader {self.name} does not start: {trouble.text}{await self.log()}")
            # Not beside a trouble that is still being waited for: a warning says less of it.
            if trouble is None and now - started > STARTED_WITHIN and (warning := await self._warning(pod)):
                raise SourceError(f"reader {self.name} does not start: {warning}")
            if now - started > PULLED_WITHIN:
                raise SourceError(f"reader {self.name} does not start within {PULLED_WITHIN:g} s, and nothing says why")
            await asyncio.sleep(_POLL)
            found = await self._find()
            if found is None or found.metadata.uid != pod.metadata.uid:
                return False
            pod = found

    async def _warning(self, pod: Any) -> str:
        with asking("list", "events", self._volume.namespace):
            events = await self._core.list_namespaced_event(
                self._volume.namespace,
                field_selector=f"involvedObject.uid={pod.metadata.uid}",
                _request_timeout=REQUEST_TIMEOUT,
            )
        return reader_status.warning(events.items)

    async def _create(self) -> None:
        try:
            with asking("create", "pods", self._volume.namespace):
                try:
                    await _to_its_end(
                        self._core.create_namespaced_pod(
                            self._volume.namespace,
                            pods.manifest(self._volume, self._owner),
                            _request_timeout=REQUEST_TIMEOUT,
                        )
                    )
                except ApiException as error:
                    if error.status != HTTPStatus.CONFLICT:  # somebody was faster; it is looked at next
                        raise
        finally:
            self._answered = False

    async def _find(self) -> Any | None:
        with asking("get", "pods", self._volume.namespace, self.name):
            try:
                return await self._core.read_namespaced_pod(
                    self.name, self._volume.namespace, _request_timeout=REQUEST_TIMEOUT
                )
            except ApiException as error:
                if is_absent(error):
                    return None
                raise

    async def _delete(self, pod: Any) -> None:
        """Delete *pod*, not one that has taken its name since, and wait until it is gone."""
        with asking("delete", "pods", self._volume.namespace, self.name):
            try:
                await self._core.delete_namespaced_pod(
                    self.name,
                    self._volume.namespace,
                    body={"gracePeriodSeconds": 1, "preconditions": {"uid": pod.metadata.uid}},
                    _request_timeout=REQUEST_TIMEOUT,
                )
            except ApiException as error:
                if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:  # gone, or another one already
                    raise
        await self._await_gone(pod)

    async def _await_gone(self, pod: Any) -> None:
        deadline = time.monotonic() + GONE_WITHIN
        while (found := await self._find()) is not None and found.metadata.uid == pod.metadata.uid:
            if time.monotonic() > deadline:
                raise SourceError(
                    f"reader {self.name} was deleted and is still there after {GONE_WITHIN:g} s: does its node answer? "
                    f"`kubectl -n {self._volume.namespace} delete pod {self.name} --force` is the last resort"
                )
            await asyncio.sleep(_POLL)

    @staticmethod
    def _owner_of(pod: Any) -> str:
        return str((pod.metadata.labels or {}).get(pods.OWNER, ""))


async def _to_its_end(question: Coroutine[Any, Any, Any]) -> None:
    """Await *question*, also when this is cancelled meanwhile: its answer may come later than that to the next one."""
    asked = asyncio.ensure_future(question)
    try:
        await asyncio.shield(asked)
    except asyncio.CancelledError:
        await asyncio.wait([asked])
        raise


def _age(pod: Any) -> float:
    return max(0.0, time.time() - float(pod.metadata.creation_timestamp.timestamp()))
