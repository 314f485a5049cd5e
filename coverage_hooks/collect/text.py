"""Text that somebody else wrote, made fit for what is more than a terminal: for Markdown, and for names of folders.

A pipe would break a table, and a tag would be HTML in whatever renders the Markdown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from coverage_hooks.shown import plain

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MARKDOWN = re.compile(r"""[\\`*_{}\[\]()<>#+!|~&@:$"'=]""")


def shortened(text: str, most: int) -> str:
    """Return *text*, or as much of its beginning as *most* characters are."""
    return text if len(text) <= most else f"{text[:most]}…"


def counted(count: int, name: str) -> str:
    """Return *count* things, each called *name*."""
    return f"{count} {name}{'s' * (count != 1)}"


def markdown(text: str) -> str:
    """Return *text* so that Markdown, also inside a table, shows it and does nothing else with it."""
    return _MARKDOWN.sub(r"\\\g<0>", plain(text))


def folder_name(text: str) -> str:
    """Return a folder name for *text*: itself if that is a plain name, else one that no other text gets.

    A tilde sets the made names apart from the plain ones, which have none.
    """
    if _SAFE_NAME.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{_UNSAFE.sub('-', text)[:60].strip('.-_') or 'unnamed'}~{digest}"


def ranges(numbers: Iterable[int], within: Iterable[int]) -> list[str]:
    """Return sorted *numbers* as ranges such as 3-7; numbers are neighbours when nothing of *within* is between them.

    So lines that are missed on both sides of a comment are one range, as coverage.py's own report has it.
    """
    wanted = set(numbers)
    found: list[list[int]] = []
    open_ = False
    for number in sorted({*within, *wanted}):
        if number not in wanted:
            open_ = False
        elif open_:
            found[-1][1] = number
        else:
            found.append([number, number])
            open_ = True
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]
