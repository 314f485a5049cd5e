"""What Keycloak's answers mean, in the words of `keycloak_operator.errors`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from keycloak_operator.errors import (
    AuthenticationFailedError,
    ForbiddenError,
    KeycloakUnavailableError,
    RejectedByKeycloakError,
)
from keycloak_operator.resources import MASTER

_LONGEST = 500
#: Seconds that a server may ask to be left alone for: more is taken for a mistake.
LONGEST_REST = 3600.0


def check(response: httpx.Response, realm: str = MASTER) -> None:
    """Raise what an unsuccessful *response* means to an account in *realm*.

    404 and 409 are for the caller, who knows what they mean.
    """
    status, request = response.status_code, response.request
    if response.is_success or status in {404, 409}:
        return
    what = f"{request.method} {request.url.path}"
    if status == httpx.codes.UNAUTHORIZED:
        raise AuthenticationFailedError(f"Keycloak refused a fresh token for {what}")
    if status == httpx.codes.FORBIDDEN:
        raise ForbiddenError(f"the operator's account may not {what}; {missing(realm)}")
    words = message(response)
    if status == httpx.codes.INTERNAL_SERVER_ERROR and words and request.method in {"POST", "PUT"}:
        # How Keycloak refuses a flow that does not exist or a word it does not know: not being there is another matter.
        raise RejectedByKeycloakError(f"{what}: {words}; Keycloak's log says why")
    if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS:
        raise unavailable(response)
    if response.is_redirect:  # Keycloak's API never does that; what stands before it wants https, or a login
        raise foreign(response)
    raise RejectedByKeycloakError(f"{what}: {words or f'HTTP {status}'}")


def unreachable(error: httpx.HTTPError, url: str) -> KeycloakUnavailableError:
    """Return what it means that there was no answer from *url*."""
    reason = str(error) or type(error).__name__
    return KeycloakUnavailableError(f"Keycloak at {url} does not answer: {reason}")


def unavailable(response: httpx.Response) -> KeycloakUnavailableError:
    """Return what it means that Keycloak answers, and cannot do what it is for."""
    request = response.request
    said = f"Keycloak at {request.url.host} answered {response.status_code} to {request.method} {request.url.path}"
    seconds = retry_after(response)
    if seconds is not None:
        said += f" and asks to be left alone until {moment(seconds)}"
    return KeycloakUnavailableError(said, retry_after=seconds)


def retry_after(response: httpx.Response) -> float | None:
    """Return for how many seconds the server asks to be left alone, None if it does not or cannot be understood."""
    if response.status_code not in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}:
        return None
    text = response.headers.get("Retry-After", "").strip()
    seconds = float(text) if re.fullmatch("[0-9]+", text) else _seconds_until(text, response.headers.get("Date", ""))
    return min(seconds, LONGEST_REST) if seconds > 0 else None


def moment(seconds: float) -> str:
    """Return when *seconds* from now are over, for people."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def missing(realm: str) -> str:
    """Return what an account in *realm* lacks that may not do something."""
    if realm == MASTER:
        return "give it the realm role admin in realm master"
    return (
        f"it is in realm {realm} and can manage that realm only, with the client role realm-admin of realm-management; "
        f"for other realms use an account in realm master"
    )


def foreign(response: httpx.Response) -> KeycloakUnavailableError:
    """Return what it means that *response* is none of Keycloak: something in between has answered, or else."""
    url = response.request.url
    return KeycloakUnavailableError(f"{url.host} did not answer {url.path} as Keycloak does; check the URL")


def document(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object in *response*."""
    content = _json(response)
    if not isinstance(content, dict):
        raise foreign(response)
    return content


def documents(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the JSON objects that are listed in *response*."""
    content = _json(response)
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise foreign(response)
    return content


def count(response: httpx.Response) -> int:
    """Return the number in *response*, by itself or in an object."""
    content = _json(response)
    number = content.get("count") if isinstance(content, dict) else content
    if not isinstance(number, int) or isinstance(number, bool):
        raise foreign(response)
    return number


def message(response: httpx.Response) -> str:
    """Return Keycloak's own words for what is wrong, if it has any."""
    content = _json(response)
    if not isinstance(content, dict):
        return ""
    words = (content.get(key) for key in ("errorMessage", "error_description", "error"))
    return next((str(each)[:_LONGEST] for each in words if each), "")


def _seconds_until(date: str, now: str) -> float:
    """Return the seconds from *now* to *date*, 0 if the latter is no date: the server's clock may not be ours."""
    then = _date(date)
    return (then - (_date(now) or datetime.now(UTC))).total_seconds() if then else 0.0


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _json(response: httpx.Response) -> Any:
    """Return what *response* says, None if that is no JSON."""
    try:
        return response.json()
    except ValueError:
        return None
