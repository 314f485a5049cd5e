"""What Keycloak's answers mean, in the words of `keycloak_operator.errors`."""

from __future__ import annotations

from typing import Any

import httpx

from keycloak_operator.errors import (
    AuthenticationFailedError,
    ForbiddenError,
    KeycloakUnavailableError,
    RejectedByKeycloakError,
)

_LONGEST = 500


def check(response: httpx.Response) -> None:
    """Raise what an unsuccessful *response* means; 404 and 409 are for the caller, who knows what they mean."""
    status, request = response.status_code, response.request
    if response.is_success or status in {404, 409}:
        return
    what = f"{request.method} {request.url.path}"
    if status == httpx.codes.UNAUTHORIZED:
        raise AuthenticationFailedError(f"Keycloak refused a fresh token for {what}")
    if status == httpx.codes.FORBIDDEN:
        raise ForbiddenError(f"the operator's account may not {what}; give it the realm role admin in realm master")
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
    what = f"{request.method} {request.url.path}"
    return KeycloakUnavailableError(f"Keycloak at {request.url.host} answered {response.status_code} to {what}")


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


def message(response: httpx.Response) -> str:
    """Return Keycloak's own words for what is wrong, if it has any."""
    content = _json(response)
    if not isinstance(content, dict):
        return ""
    words = (content.get(key) for key in ("errorMessage", "error_description", "error"))
    return next((str(each)[:_LONGEST] for each in words if each), "")


def _json(response: httpx.Response) -> Any:
    """Return what *response* says, None if that is no JSON."""
    try:
        return response.json()
    except ValueError:
        return None
