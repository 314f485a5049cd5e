"""A banner as its author imagines it; the rest is left to the operator's users."""

from __future__ import annotations

import pytest
from another_operator import drawing, pages


def test_reads_a_spec_with_defaults() -> None:
    assert drawing.read({"text": " Good \n news "}) == drawing.Banner("Good news")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"text": " "}, "no text"),
        ({"text": "x", "frame": "oval"}, "'oval' is none of none, box"),
        ({"text": "x", "align": "up"}, "'up' is none of left"),
        ({"text": "x", "width": 9}, "not between 10 and 120"),
        ({"text": "", "languages": []}, "no text; it greets in no language"),
    ],
)
def test_refuses_what_cannot_be_drawn(spec: dict[str, object], problem: str) -> None:
    with pytest.raises(drawing.SpecError, match=problem):
        drawing.read(spec)


def test_wraps_a_plain_banner() -> None:
    assert drawing.draw(drawing.Banner("Good news", width=10), "en") == "Hello!\nGood news"


def test_shouts() -> None:
    assert drawing.draw(drawing.Banner("Good news.", loud=True), "nl") == "GOEDENDAG! GOOD NEWS!"


def test_draws_a_frame() -> None:
    banner = drawing.Banner("you", frame="box", align="right", width=18)
    assert drawing.draw(banner, "en") == "+----------------+\n|     Hello! you |\n+----------------+"


def test_makes_one_page_per_copy() -> None:
    assert list(pages.wanted("news", drawing.Banner("x", copies=2))) == ["news-banner-1", "news-banner-2"]


def test_changes_only_what_differs() -> None:
    assert pages.differences({"a": {}, "b": {"en": "x"}}, {"a": {}, "c": {}}) == (["b"], ["c"])


def test_a_page_is_found_again_by_its_owner() -> None:
    page = pages.config_map("news-banner", {"en": "x"}, {"name": "news", "namespace": "default"})
    assert page["metadata"]["labels"] == {"example.com/banner": "news"}


def test_a_single_page_has_no_number() -> None:
    assert list(pages.wanted("news", drawing.Banner("x"))) == ["news-banner"]
