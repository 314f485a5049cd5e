"""Access tokens for the Admin API, one login at a time.

A token is thrown away shortly before it expires, after the server refused it, and after a realm was created: a token
knows only the realms that existed when it was issued. There is always a new login and never a refresh: a refresh token
does not outlive the server's session, and telling why it was refused is harder than logging in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from urllib.parse import quote

import httpx

from keycloak_operator.errors import AuthenticationFailedError, NotFoundError
from keycloak_operator.keycloak import answers
from keycloak_operator.reconcile.ports import Access
from keycloak_operator.resources import MASTER

#: Seconds before its end at which a token is no longer used: a request may take as long to arrive.
MARGIN = 10.0


class TokenAuth(httpx.Auth):
    """Puts a valid token on each request, and logs in anew once when the server refuses it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._token = ""
        self._good_until = 0.0
        self._lock = asyncio.Lock()  # many requests at once must not make many logins

    def forget(self) -> None:
        """Log in anew before the next request."""
        self._good_until = 0.0

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield *request* with a token, preceded by a login where there is none."""
        for attempt in (1, 2):
            async with self._lock:
                if time.monotonic() >= self._good_until:
                    response = yield self._login(request)
                    await response.aread()
                    self._take(response)
                token = self._token
            request.headers["Authorization"] = f"Bearer {token}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED or attempt == 2:
                return
            if token == self._token:  # else another request that was refused has logged in meanwhile
                self.forget()

    def _login(self, request: httpx.Request) -> httpx.Request:
        """Return the login before *request*: with its timeout, which httpx gives to none that an auth flow makes."""
        access = self._access
        if access.client_id:
            form = {
                "grant_type": "client_credentials",
                "client_id": access.client_id,
                "client_secret": access.client_secret,
            }
        else:
            form = {
                "grant_type": "password",
                "client_id": "admin-cli",
                "username": access.username,
                "password": access.password,
            }
        timeout = {"timeout": request.extensions["timeout"]}
        endpoint = f"{access.url}/realms/{quote(access.realm, safe='')}/protocol/openid-connect/token"
        return httpx.Request("POST", endpoint, data=form, extensions=timeout)

    def _take(self, response: httpx.Response) -> None:
        if response.status_code in {400, 401}:
            reason = answers.message(response) or f"HTTP {response.status_code}"
            who = f"client {self._access.client_id!r}" if self._access.client_id else f"user {self._access.username!r}"
            raise AuthenticationFailedError(
                f"Keycloak at {self._access.url} refused {who} ({reason}); correct {self._access.origin}"
            )
        if response.is_server_error:  # whatever it says about it: a login is not what is wrong then
            raise answers.unavailable(response)
        if response.status_code == httpx.codes.NOT_FOUND and self._access.realm != MASTER:  # which is always there
            raise NotFoundError(
                f"Keycloak at {self._access.url} has no realm {self._access.realm} to log in to; create it, or correct "
                f"spec.admin.loginRealm"
            )
        answers.check(response, self._access.realm)
        document = answers.document(response)
        token, seconds = document.get("access_token"), document.get("expires_in")
        if not isinstance(token, str) or not isinstance(seconds, int | float):
            raise answers.foreign(response)
        self._token = token
        self._good_until = time.monotonic() + seconds - MARGIN
