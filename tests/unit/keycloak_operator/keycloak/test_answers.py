"""What an answer means, as a table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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


NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        (" 120 ", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 400, 3600),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:50:37 -0000", 60),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30),
        ("Sun Nov  6 08:49:47 1994", 10),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 3600),
        ("", None),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("1e3", None),
        ("\u0661", None),
        ("soon", None),
        (NOW, None),
        ("Sun, 06 Nov 1994 08:49:36 GMT", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_for_how_long_a_server_asks_to_be_left_alone(status: int, text: str, seconds: float | None) -> None:
    headers = [(b"Retry-After", text.encode()), (b"Date", NOW.encode())]
    assert answers.retry_after(httpx.Response(status, headers=headers)) == seconds


@pytest.mark.parametrize("now", [{}, {"Date": "now"}])
def test_a_server_without_a_clock_is_measured_by_ours(now: dict[str, str]) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)
    seconds = answers.retry_after(httpx.Response(503, headers={"Retry-After": later, **now}))
    assert seconds is not None
    assert 0 < seconds <= 30 * 60


@pytest.mark.parametrize("status", [200, 301, 404, 500, 502])
def test_only_what_says_that_it_is_too_much_can_ask_for_it(status: int) -> None:
    assert answers.retry_after(httpx.Response(status, headers={"Retry-After": "5"})) is None


@given(text=st.text(), date=st.text())
@example(text="Sun, 06 Nov 1994 08:49:37 +9999", date="")
@example(text="6", date="Sun, 06 Nov 0000 08:49:37 GMT")
def test_whatever_a_server_says_it_is_seconds_or_nothing(text: str, date: str) -> None:
    headers = [(b"Retry-After", text.encode()), (b"Date", date.encode())]
    seconds = answers.retry_after(httpx.Response(503, headers=headers))
    assert seconds is None or 0 < seconds <= answers.LONGEST_REST


def test_until_when_is_said_and_kept() -> None:
    busy = httpx.Response(503, headers={"Retry-After": "60"}, request=REQUEST)
    before, error, after = answers.moment(60), answers.unavailable(busy), answers.moment(60)
    assert error.retry_after == 60
    said, _, until = str(error).rpartition(" ")
    assert said == "Keycloak at kc answered 503 to PUT /admin/realms/r and asks to be left alone until"
    assert before <= until <= after


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
        (answers.count, 3, [PAGE, "", [], {}, {"count": "3"}, True]),
    ],
    ids=["document", "documents", "count"],
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
