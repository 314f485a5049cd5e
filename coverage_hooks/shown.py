"""The door to the terminal: whatever is shown, here, in the log of an operator or in that of a reader, passes `plain`.

Names, problems, run ids and messages come from volumes, files, settings and servers that are not trusted: a control
character would drive the terminal, a line feed would forge a line, and a letter that turns the direction of text hides
what stands there.
"""

from __future__ import annotations

import sys

#: Of longer texts the middle is left out: a terminal is no place for a megabyte, and at the end stands what to do.
SHOWN, END = 1000, 300


def plain(text: str) -> str:
    """Return *text* in one line without anything that a terminal would obey, such as escape codes or text direction."""
    cut = text if len(text) <= SHOWN else f"{text[: SHOWN - END]}…{text[-END:]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def line(text: str, *, err: bool = False) -> None:
    """Print *text* in one line, to standard error if it is an error."""
    stream = sys.stderr if err else sys.stdout
    lacking = getattr(stream, "encoding", None) or "utf-8"
    # A letter that the terminal's encoding lacks is shown as its escape, and does not end the command.
    print(plain(text).encode(lacking, "backslashreplace").decode(lacking), file=stream)


def yaml(document: str) -> None:
    """Print *document*, which PyYAML made: it writes whatever is not of ASCII as escapes."""
    print(document, end="")  # noqa: T201 - the door
