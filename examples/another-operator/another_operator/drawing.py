"""How a banner is read from its spec and drawn: pure functions, no Kubernetes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GREETINGS = {"de": "Guten Tag", "en": "Hello", "fr": "Bonjour", "nl": "Goedendag", "sv": "God dag"}
ALIGNMENTS = {"left": str.ljust, "centre": str.center, "right": str.rjust}
# Corner, horizontal and vertical edge.
FRAMES = {"none": None, "box": ("+", "-", "|"), "double": ("#", "=", "#"), "stars": ("*", "*", "*")}


class SpecError(ValueError):
    """The spec asks for a banner that cannot be drawn."""


@dataclass(frozen=True)
class Banner:
    """A banner that can be drawn."""

    text: str
    frame: str = "none"
    align: str = "left"
    width: int = 40
    copies: int = 1
    loud: bool = False
    languages: tuple[str, ...] = ("en",)


def read(spec: Mapping[str, Any]) -> Banner:
    """Return the banner that *spec* asks for; raise SpecError that says what is wrong with it."""
    known = {name: spec[name] for name in Banner.__dataclass_fields__ if name in spec}
    known["text"] = " ".join(str(spec.get("text", "")).split())
    if "languages" in known:
        known["languages"] = tuple(known["languages"])
    banner = Banner(**known)
    if problems := "; ".join(_problems(banner)):
        raise SpecError(problems)
    return banner


def readable(spec: Mapping[str, Any]) -> Banner | None:
    """Return the banner that *spec* asks for, or None if it cannot be drawn."""
    try:
        return read(spec)
    except SpecError:
        return None


def _problems(banner: Banner) -> Iterator[str]:
    if not banner.text:
        yield "there is no text"
    if banner.frame not in FRAMES:
        yield f"frame {banner.frame!r} is none of {', '.join(FRAMES)}"
    if banner.align not in ALIGNMENTS:
        yield f"align {banner.align!r} is none of {', '.join(ALIGNMENTS)}"
    if not 10 <= banner.width <= 120:
        yield f"a width of {banner.width} is not between 10 and 120"
    if banner.copies > 9:
        yield f"{banner.copies} copies are more than anybody reads"
    if not banner.languages:
        yield "it greets in no language"
    if unknown := [language for language in banner.languages if language not in GREETINGS]:
        yield f"nobody here speaks {' or '.join(unknown)}"


def draw(banner: Banner, language: str) -> str:
    """Return the lines of *banner* with a greeting in *language*."""
    frame = FRAMES[banner.frame]
    inner = banner.width - (4 if frame else 0)
    text = f"{GREETINGS[language]}! {banner.text}"
    if banner.loud:
        text = text.upper().replace(".", "!")
    lines = textwrap.wrap(text, inner)
    if frame or banner.align != "left":
        lines = [ALIGNMENTS[banner.align](line, inner) for line in lines]
    if frame is None:
        return "\n".join(line.rstrip() for line in lines)
    corner, horizontal, vertical = frame
    edge = corner + horizontal * (inner + 2) + corner
    return "\n".join([edge, *(f"{vertical} {line} {vertical}" for line in lines), edge])
