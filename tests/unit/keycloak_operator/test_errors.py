"""The table of errors says of each one what the operator does."""

from __future__ import annotations

import re

import pytest

from keycloak_operator import errors
from keycloak_operator.errors import OperatorError

AGAIN = {
    "soon": "soon",
    "with growing delays": "backoff",
    "no faster than once a minute": "minute",
    "at the next resync": "resync",
    "when the spec changes": "never",
}
TABLE = {
    name: (reason, AGAIN[again])
    for name, reason, again in re.findall(
        rf"(\w+Error) +(\w+) +(?:not before .*?, )?({'|'.join(AGAIN)})", errors.__doc__ or ""
    )
}


@pytest.mark.parametrize(
    "kind",
    [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, OperatorError)],
    ids=lambda kind: kind.__name__,
)
def test_an_error_is_tried_again_as_the_table_says(kind: type[OperatorError]) -> None:
    if kind is not OperatorError:
        assert TABLE[kind.__name__] == (kind.reason, kind.retry)
