"""What an answer means, as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from keycloak_operator import errors
from keycloak_operator.keycloak import answers
from tests.unit.keycloak_operator.keycloak.answering import PAGE, answered

REQUEST = httpx.Request("PUT", "http://kc:8080/admin/realms/r")


def response(status: int, content: Any = None) -> httpx.Response:
    made = answered(status, content)(REQUEST)
    made.request = REQUEST
    return made


@pytest.mark.parametrize("status", [200, 201, 204, 404, 409])
def test_success_and_what_the_caller_understands_pass(status: int) -> None:
    answers.check(response(status))


@pytest.mark.parametrize(
    ("status", "content", "error", "said"),
    [
        (401, None, errors.AuthenticationFailedError, "Keycloak refused a fresh token for PUT /admin/realms/r"),
        (403, None, errors.ForbiddenError, "may not PUT /admin/realms/r; give it the realm role admin"),
        (429, None, errors.KeycloakUnavailableError, "Keycloak at kc answered 429 to PUT /admin/realms/r"),
        (500, None, errors.KeycloakUnavailableError, "Keycloak at kc answered 500 to PUT /admin/realms/r"),
        (500, {"error": "unknown_error"}, errors.RejectedByKeycloakError, "PUT /admin/realms/r: unknown_error"),
        (503, PAGE, errors.KeycloakUnavailableError, "Keycloak at kc answered 503"),
        (400, {"errorMessage": "no such theme"}, errors.RejectedByKeycloakError, "PUT /admin/realms/r: no such theme"),
        (400, {"error": "a", "error_description": "b"}, errors.RejectedByKeycloakError, "PUT /admin/realms/r: b"),
        (400, {"error": "a", "error_description": ""}, errors.RejectedByKeycloakError, "PUT /admin/realms/r: a"),
        (400, PAGE, errors.RejectedByKeycloakError, "PUT /admin/realms/r: HTTP 400"),
        (415, ["odd"], errors.RejectedByKeycloakError, "PUT /admin/realms/r: HTTP 415"),
    ],
)
def test_everything_else_is_an_error(status: int, content: Any, error: type[errors.OperatorError], said: str) -> None:
    with pytest.raises(error) as raised:
        answers.check(response(status, content))
    assert said in str(raised.value)
    assert type(raised.value) is error


def test_a_redirect_is_not_keycloaks() -> None:
    redirect = httpx.Response(308, headers={"Location": "https://kc/"}, request=REQUEST)
    with pytest.raises(errors.KeycloakUnavailableError, match=r"kc did not answer .* as Keycloak does; check the URL"):
        answers.check(redirect)


def test_keycloak_may_not_talk_without_end() -> None:
    assert len(answers.message(response(400, {"error": 5000 * "a"}))) == 500


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (answers.document, {"id": "1"}, [PAGE, "", [], "null", 3]),
        (answers.documents, [{"id": "1"}], [PAGE, "", {}, ["text"], [[]]]),
    ],
    ids=["document", "documents"],
)
def test_what_is_not_of_the_expected_shape_is_not_keycloaks(
    read: Callable[[httpx.Response], object], good: Any, bad: list[Any]
) -> None:
    assert read(response(200, good)) == good
    for each in bad:
        with pytest.raises(errors.KeycloakUnavailableError, match="check the URL"):
            read(response(200, each))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("refused"), "refused"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (httpx.RemoteProtocolError("gone"), "gone"),
    ],
)
def test_no_answer_at_all(error: httpx.HTTPError, reason: str) -> None:
    said = str(answers.unreachable(error, "http://kc:8080"))
    assert said == f"Keycloak at http://kc:8080 does not answer: {reason}"
