"""Take the pictures of the documentation: ``python -m tests.browser.pictures WORLDS_HTML FOLDER FILE``.

FILE is the source file to show; the list is shown without one.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from tests.browser import chromium


async def take(page: str, file: str) -> dict[str, bytes]:
    """Return three pictures of the page at address *page*, by name."""
    pictures = {}
    with tempfile.TemporaryDirectory() as scratch, chromium.running(Path(scratch, "profile")) as address:
        async with chromium.tab(address) as tab:
            await tab.resize(1280, 860)
            await tab.prefer("light")
            await tab.open(page)
            pictures["worlds-light.png"] = await tab.picture()
            await tab.prefer("dark")
            await tab.open(page, f"#file={quote(file)}")
            await tab.press("n")
            pictures["worlds-dark.png"] = await tab.picture()
            await tab.prefer("light")
            await tab.resize(360, 740, mobile=True, scale=2)
            await tab.open(page)
            pictures["worlds-phone.png"] = await tab.picture()
    return pictures


if __name__ == "__main__":
    for name, picture in asyncio.run(take(Path(sys.argv[1]).absolute().as_uri(), sys.argv[3])).items():
        Path(sys.argv[2], name).write_bytes(picture)
