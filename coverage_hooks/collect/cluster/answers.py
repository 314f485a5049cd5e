"""What the API server answers, held to limits and to its kind before anything is made of it.

What answers need not be an API server: a proxy may ask for a log-in with a page of HTML or a redirect, and no answer
need ever end. So every answer is read piece by piece up to `ANSWER_LIMIT`, within the time that its question has, and
an object is of the kind that was asked for, or is none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.client.rest import RESTResponse

#: The longest answer that is read, in bytes: a list of some thousand pods. What is made of it takes several times that.
ANSWER_LIMIT = 64 << 20

#: The longest line of a watch, in bytes; etcd takes no object of 2 MiB.
LINE_LIMIT = 8 << 20

#: What no object lacks that an API server answers with; of other kinds, all that is looked at is a status.
_PARTS = dict.fromkeys(("V1Pod", "V1PersistentVolumeClaim"), ("metadata", "spec", "status"))


class ForeignAnswer(aiohttp.ClientError):
    """What came is no answer that an API server gives; an error of the transport, as a proxy may go away again."""


class Client(ApiClient):
    """A client that follows no redirect, and takes no answer that is too long or of another kind."""

    def __init__(self, configuration: Any) -> None:
        super().__init__(configuration)
        self.rest_client.pool_manager.trace_configs.append(_refusing_redirects())

    async def request(  # type: ignore[override]
        self, method: str, url: str, *, _preload_content: bool = True, **options: Any
    ) -> Any:
        """Return the answer to a request; unread unless it is to be preloaded, then with UTF-8 as its content."""
        answer = await super().request(method, url, _preload_content=False, **options)
        if not _preload_content:
            return answer
        async with answer:
            whole = _Whole(answer, await content(answer))
        if not 200 <= whole.status <= 299:
            raise ApiException(http_resp=whole)  # type: ignore[arg-type]
        return whole

    def deserialize(self, response: Any, response_type: str) -> Any:
        """Return the object of *response*; `ForeignAnswer` when that is none of *response_type*."""
        if response_type == "str":
            return response.data
        parsed(response.data, response.kind)  # the client takes what is no JSON for a text, and an empty object of it
        try:
            found = super().deserialize(response, response_type)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ForeignAnswer(f"JSON that is no {response_type} came: {error}") from None
        if response.aiohttp_response.method != "DELETE":  # which is answered with the object, or how it went
            _check(found, response_type)
        return found


class _Whole(RESTResponse):
    """An answer that was read; `kind` says of which content type it is."""

    def __init__(self, answer: aiohttp.ClientResponse, data: bytes) -> None:
        # What is no UTF-8 is none of JSON, either, and the client would raise at it.
        super().__init__(answer, data.decode("utf-8", "replace").encode())
        self.kind = answer.content_type

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """Return a header; of its encoding, which was seen to here, nothing is said."""
        return self.kind if name.lower() == "content-type" else super().getheader(name, default)


async def content(answer: aiohttp.ClientResponse) -> bytes:
    """Return all of *answer*; `ForeignAnswer` when it has more than `ANSWER_LIMIT` bytes."""
    return b"".join([piece async for piece in _pieces(answer)])


async def lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of *answer*, each when it is there; `ForeignAnswer` at one that is too long, or cut short.

    aiohttp's own reader of lines refuses those of large pods.
    """
    rest = b""
    async for piece in _pieces(answer):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > LINE_LIMIT:
            answer.close()
            raise ForeignAnswer(f"a line of more than {LINE_LIMIT >> 20} MiB came")
    if rest:
        raise ForeignAnswer("it broke in the middle of a line")


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    async for piece in answer.content.iter_any():
        size += len(piece)
        if size > ANSWER_LIMIT:
            answer.close()
            raise ForeignAnswer(f"an answer of more than {ANSWER_LIMIT >> 20} MiB came")
        yield piece


def parsed(document: str | bytes, kind: str = "something else") -> dict[str, Any]:
    """Return the JSON object that *document* of content type *kind* is; `ForeignAnswer` when it is none."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ForeignAnswer(f"{kind} came, where a JSON object was expected")
    return found


def _check(found: Any, expected: str) -> None:
    """Refuse what says itself that it is of another kind, or lacks a part that all have."""
    kind = getattr(found, "kind", None)
    if kind is not None and not expected.endswith(str(kind)):
        raise ForeignAnswer(f"a {kind} came, where a {expected} was expected")
    for each in getattr(found, "items", None) or [found]:
        parts = _PARTS.get(type(each).__name__, ("status",))
        lacking = [part for part in parts if getattr(each, part, "there") is None]
        if lacking:
            raise ForeignAnswer(f"a {type(each).__name__} without {' and '.join(lacking)} came")


def _refusing_redirects() -> aiohttp.TraceConfig:
    """Return what ends a request that is sent elsewhere: an API server sends none, and a log-in page is no answer."""

    async def refuse(_: aiohttp.ClientSession, __: SimpleNamespace, sent: aiohttp.TraceRequestRedirectParams) -> None:
        where = sent.response.headers.get("Location", "somewhere else")
        sent.response.close()
        raise ForeignAnswer(f"a redirect to {where} came")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(refuse)
    tracing.freeze()
    return tracing


#: What a client raises when the server is not there, goes away, or is something else.
TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
