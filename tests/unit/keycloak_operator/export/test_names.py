"""Names of resources: valid, different for what is different, and the same tomorrow."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keycloak_operator.export.names import LONGEST, resource_name

VALID = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
IDENTIFIERS = st.text(min_size=1, max_size=255) | st.from_regex(r"[A-Za-z0-9_.:/-]{1,40}", fullmatch=True)


@pytest.mark.parametrize(
    ("identifier", "pattern"),
    [
        ("shop", "shop"),
        ("shop-2", "shop-2"),
        ("My_App", "my-app-[0-9a-f]{10}"),
        ("https://shop.example.com/saml?a=b", "https-shop-example-com-saml-a-b-[0-9a-f]{10}"),
        ("shop.web", "shop-web-[0-9a-f]{10}"),
        ("ü", "[0-9a-f]{10}"),
    ],
)
def test_a_name_is_kept_or_can_be_recognised(identifier: str, pattern: str) -> None:
    assert re.fullmatch(pattern, resource_name(identifier))


@given(identifier=IDENTIFIERS, prefix=st.sampled_from(["", "shop-", 63 * "p"]))
@example(identifier=255 * "a", prefix="")
@example(identifier=255 * "-", prefix="")
@example(identifier=240 * "A" + "_b", prefix="p-")
def test_a_name_is_valid_and_leaves_room_for_that_of_the_secret(identifier: str, prefix: str) -> None:
    name = resource_name(identifier, prefix)
    assert VALID.fullmatch(name), name
    assert len(name) <= LONGEST
    assert name.startswith(prefix)
    assert name == resource_name(identifier, prefix)


@given(identifiers=st.sets(IDENTIFIERS, max_size=20))
@example(identifiers={"My_App", "my-app", "my_app", "MY-APP", "my--app", "-my-app"})
def test_different_clients_have_different_names(identifiers: set[str]) -> None:
    assert len({resource_name(each) for each in identifiers}) == len(identifiers)


@given(identifier=IDENTIFIERS)
def test_no_client_can_take_the_name_of_another(identifier: str) -> None:
    name = resource_name(identifier)
    assert resource_name(name) != name or name == identifier
