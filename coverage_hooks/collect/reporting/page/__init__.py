"""``worlds.html``: the report as one page to look at, which needs no server, no network and no other file.

::

    worlds.html   the frame; `worlds.css` and `worlds.js` are put into it
    overview      what is in the page as HTML: totals, ledger, changes
    data          what the script draws when it is asked for: files and their sources

The page forbids itself every request: its policy admits the one style and the one script that it has, by their hashes.
Whatever came from a volume or a source file is in it as escaped text, and the script makes text of it, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from coverage_hooks.collect import outputs
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.reporting.analysis import Report
from coverage_hooks.collect.reporting.compare import Comparison
from coverage_hooks.collect.reporting.page import data, overview


def write(output: Path, ledger: Ledger, report: Report, changes: Comparison | None = None) -> None:
    """Write the page into folder *output*."""
    outputs.write(output / outputs.WORLDS, render(ledger, report, changes))


def render(ledger: Ledger, report: Report, changes: Comparison | None = None) -> str:
    """Return the page."""
    style, script = _part("worlds.css"), _part("worlds.js")
    return Template(_part("worlds.html")).substitute(
        overview.fields(ledger, report, changes),
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; "
        "form-action 'none'",
        style=style,
        script=script,
        data=_embedded(data.document(report)),
    )


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _embedded(document: Any) -> str:
    """Return *document* as JSON that no parser of HTML can take for the end of its element, or for a comment."""
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
