"""The page that a CI system shows of a build: ``summary.md`` is appended to it."""

from __future__ import annotations

from pathlib import Path

from coverage_hooks.collect import outputs
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.reporting.summary import FILES

#: What GitHub shows of one step, in bytes; of anything longer it shows nothing at all.
LARGEST = 1 << 20


def show(output: Path, ledger: Ledger, page: Path | None) -> None:
    """Append the summary in folder *output* to file *page*; without its list of files if there is no room for that.

    A page that cannot be written is a note: the summary itself is where it belongs.
    """
    if page is None:
        return
    text = (output / outputs.SUMMARY_MARKDOWN).read_bytes()
    try:
        room = LARGEST - (page.stat().st_size if page.exists() else 0)
        if len(text) > room:
            head = text.partition(f"{FILES}\n".encode())[0]
            text = head + f"The list of files is too long for this page: see {outputs.SUMMARY_MARKDOWN}.\n".encode()
        if len(text) > room:
            ledger.note("report", f"the build's page {str(page)!r} has no room for the summary; it was left as it is")
            return
        with page.open("ab") as file:
            file.write(text)
    except OSError as error:
        ledger.note("report", f"the build's page {str(page)!r} cannot be written: {error.strerror or error}")
