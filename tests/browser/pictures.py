"""Take the pictures of the documentation: ``python -m tests.browser.pictures``, after ``make demo`` has recorded.

Whoever takes them looks at each of them.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from tests.browser import chromium, staging
from tests.browser.chromium import Tab

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
DEMO = ROOT / "build" / "demo"

#: The source file that is shown, and how many files of the terminal's table.
FILE = "keycloak_operator/handlers/resources.py"
_ROWS = 6

#: Characters in a line of the terminal.
COLUMNS = 156


async def take(page: str, file: str) -> dict[str, bytes]:
    """Return three pictures of the page at address *page*, by name; *file* is the source file to show."""
    with tempfile.TemporaryDirectory() as scratch, chromium.running(Path(scratch, "profile")) as address:
        async with chromium.tab(address) as tab:
            return {
                "worlds-light.png": await _light(tab, page),
                "worlds-dark.png": await _dark(tab, page, file),
                "worlds-phone.png": await _phone(tab, page),
            }


async def _light(tab: Tab, page: str) -> bytes:
    await tab.resize(1280, 1100)
    await tab.prefer("light")
    await tab.open(page)
    return await tab.picture()


async def _dark(tab: Tab, page: str, file: str) -> bytes:
    await tab.resize(1280, 860)
    await tab.prefer("dark")
    await tab.open(page, f"#file={quote(file)}")
    await tab.press("n")
    return await tab.picture()


async def _phone(tab: Tab, page: str) -> bytes:
    await tab.prefer("light")
    await tab.resize(390, 844, mobile=True, scale=2)
    await tab.open(page)
    return await tab.picture()


def terminal(printed: str) -> str:
    """Return as SVG what a collect *printed*, without most of its files; it asks nobody for a font."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    for line in _shortened(printed.replace("\r", "").splitlines()):
        console.print(Text.from_ansi(line))
    drawing = console.export_svg(title="coverage-hooks collect")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawing, flags=re.DOTALL)


def _shortened(lines: list[str]) -> list[str]:
    """Leave out all but the first few files, and where everything was written."""
    first = 1 + next(number for number, line in enumerate(lines) if "cluster only" in line)
    end = next(number for number, line in enumerate(lines) if "all lines" in line)
    more = sum(" % " in line for line in lines[first + _ROWS : end])
    kept = [*lines[: first + _ROWS], f"… and {more} more", *lines[end:]]
    return [line for line in kept if not re.match("worlds  |HTML  |note  ", line)]


def main() -> None:
    """Take all of them anew."""
    if not (DEMO / "unit.coverage").exists():
        sys.exit(f"nothing was recorded in {DEMO}: run `make demo` first")
    with tempfile.TemporaryDirectory() as scratch:
        staged = staging.collect(DEMO / "recordings", DEMO / "unit.coverage", Path(scratch), columns=COLUMNS)
        taken = asyncio.run(take((staged.output / "worlds.html").as_uri(), FILE))
    for name, picture in taken.items():
        (PICTURES / name).write_bytes(picture)
    (PICTURES / "collect.svg").write_text(terminal(staged.printed))


if __name__ == "__main__":
    main()
