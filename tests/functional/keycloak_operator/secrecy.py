"""No password, token or secret of a client in any log line, event, status or annotation: what is scanned, and for what.

What an operator wrote to the Kubernetes API is in the audit log of the API server: each event, each status and each
annotation, also those that were there for a moment only. The same log has every Secret that was written meanwhile.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from tests.cluster import Proxy

#: Entries of Secrets that everybody may know.
PUBLIC = frozenset({"ca.crt", "client-id", "issuer", "tls.crt", "username"})

#: Characters; what is shorter is looked for as a word, as it may well be a part of one.
_SHORT = 8
# A token that no test has noted, as it may go past the proxies: JSON in base64, as each of the three parts begins.
_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{16,}")


@dataclass(frozen=True, slots=True)
class Place:
    """Something that people or programs may read, and its text."""

    name: str
    text: str = field(repr=False)


@dataclass(slots=True)
class Produced:
    """What the operators of one test produced, and the secrets that they knew."""

    audit: Path
    logs: Path
    _proxies: list[Proxy] = field(default_factory=list)
    _from: int = field(init=False)
    _lines: dict[Path, int] = field(default_factory=dict)
    _secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._from = self.audit.stat().st_size if self.audit.exists() else 0

    def watch(self, proxy: Proxy) -> None:
        """Count what comes by *proxy* among the secrets."""
        self._proxies.append(proxy)

    def leaks(self) -> list[str]:
        """Return where a secret is shown, and which one it is; what was found is not found again."""
        requests = list(self._requests())
        self._secrets |= dict(secrets_in(requests))
        for proxy in self._proxies:
            self._secrets |= proxy.credentials
        places = [*places_in(requests), *self._log_lines()]
        return [f"{place.name}: {what}" for place in places for what in shown_in(place.text, self._secrets)]

    def _requests(self) -> Iterator[dict[str, Any]]:
        """Yield the requests that were written down since the last time."""
        with self.audit.open("rb") as file:
            file.seek(self._from)
            for line in file:
                if not line.endswith(b"\n"):  # it is being written
                    break
                self._from += len(line)
                yield json.loads(line)

    def _log_lines(self) -> Iterator[Place]:
        for path in sorted(self.logs.rglob("operator-*.log")):
            lines = path.read_text(errors="replace").splitlines()
            known = self._lines.get(path, 0)
            self._lines[path] = len(lines)
            for number, line in enumerate(lines[known:], start=known + 1):
                yield Place(f"{path.name}, line {number}", line)


def secrets_in(requests: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what was written to Secrets, each with where it is."""
    for request in requests:
        target, body = request["objectRef"], request.get("requestObject") or {}
        if target["resource"] != "secrets":
            continue
        for key, value in {**(body.get("data") or {}), **(body.get("stringData") or {})}.items():
            if key not in PUBLIC and value:
                text = (
                    value if key in (body.get("stringData") or {}) else base64.b64decode(value).decode(errors="replace")
                )
                yield text, f"key {key} of Secret {target['namespace']}/{_name(request)}"


def places_in(requests: Iterable[Mapping[str, Any]]) -> Iterator[Place]:
    """Yield what was written to events, and to resources of ours beside their specs, which are for users to write."""
    for request in requests:
        resource, body = request["objectRef"]["resource"], request.get("requestObject")
        where = f"{resource} {request['objectRef'].get('namespace')}/{_name(request)}"
        if resource == "secrets" or body is None:
            continue
        if resource == "events":
            yield Place(f"event {body.get('reason')} in {where}", json.dumps(body))
        elif isinstance(body, list):  # a patch of single fields
            yield Place(f"a patch of {where}", json.dumps(body))
        else:
            yield Place(f"metadata of {where}", json.dumps(body.get("metadata")))
            yield Place(f"status of {where}", json.dumps(body.get("status")))


def _name(request: Mapping[str, Any]) -> str:
    body = request.get("requestObject")
    metadata = body.get("metadata") or {} if isinstance(body, dict) else {}
    return str(request["objectRef"].get("name") or metadata.get("name") or metadata.get("generateName"))


def shown_in(text: str, secrets: Mapping[str, str]) -> Iterator[str]:
    """Yield which of *secrets* are in *text*, and in which form; never the values."""
    if _TOKEN.search(text):
        yield "a token"
    for secret, origin in secrets.items():
        for form, spellings in forms(secret).items():
            if any(_is_in(spelling, text, whole=len(secret) < _SHORT) for spelling in spellings):
                yield f"{origin}, {form}"


def forms(secret: str) -> dict[str, set[str]]:
    """Return how *secret* may be written, by the name of the form."""
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {
        "as it is": {
            secret,
            repr(secret)[1:-1],
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
        },
        "URL-encoded": quoted - {secret},
        "in base64": {part for each in {secret, *quoted} for part in _base64(each)},
    }


def _base64(secret: str) -> Iterator[str]:
    """Yield what of *secret* there is in base64, alone or at any place in something longer."""
    data = secret.encode()
    if len(secret) < _SHORT:
        yield base64.b64encode(data).decode().rstrip("=")
        return
    for before, first in ((0, 0), (1, 2), (2, 3)):
        # The first and the last character also say something of what stands beside.
        last = (before + len(data)) * 8 // 6
        part = base64.b64encode(b"\0" * before + data).decode()[first:last]
        yield part
        yield part.translate(str.maketrans("+/", "-_"))


def _is_in(spelling: str, text: str, *, whole: bool) -> bool:
    if not whole:
        return spelling in text
    return re.search(rf"(?<!\w){re.escape(spelling)}(?!\w)", text) is not None
