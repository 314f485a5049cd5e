"""Text that somebody else wrote, made fit for what is more than a terminal: for Markdown, and for names of folders.

A pipe would break a table, and a tag would be HTML in whatever renders the Markdown.
"""

from __future__ import annotations

import hashlib
import re

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
