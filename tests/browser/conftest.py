"""A collect worth looking at, and a browser to look with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.browser import chromium
from tests.browser.chromium import Tab
from tests.unit.collect.building import make_project, pod, record

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[31m\u202e ${alert(3)}"
EVIL_NAME = "shop/<script>\"'`alert \x1b[31m\u202e |.py"

SOURCES = {
    EVIL_NAME: "x = 1  # </script><script>alert(1)</script> \u202e <b>bold</b>\ny = 2\n",
    "shop/gaps.py": "\n\n".join(f"def gap_{n}():\n    x = {n}\n    # words\n    return x\n" for n in range(40)),
    "shop/skipped.py": "def debug():  # pragma: no cover\n    return 1\n",
    "shop/parts/a_very_long_name_that_no_narrow_screen_has_room_for_in_a_line_of_its_own.py": f"x = '{'a' * 450}'\n",
}

UNIT = "from shop.cart import clear, add\nclear([])\nadd([], 0)\nimport shop.gaps\nshop.gaps.gap_3()\n"
ARCS = {
    "shop/__init__.py": {(-1, 0), (0, -1)},
    "shop/cart.py": {(-1, 1), (1, 7), (7, -1), (-1, 2), (2, 3), (3, 4), (4, -1)},
    "shop/parts/till.py": {(-1, 1), (1, -1), (-1, 2), (2, -1)},
}


@dataclass(frozen=True)
class Collected:
    """What a collect wrote."""

    folder: Path

    @property
    def page(self) -> str:
        """The address of the page."""
        return (self.folder / "worlds.html").as_uri()

    @property
    def summary(self) -> dict[str, Any]:
        """The same as a document."""
        document: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return document


@pytest.fixture(scope="session")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """Unit data and two recordings, one of them damaged, too little for a threshold, and texts as evil as they come."""
    folder = tmp_path_factory.mktemp("collected")
    project, volume = make_project(folder / "checkout"), folder / "volume"
    project.write(
        {**SOURCES, ".coveragerc": "[run]\nsource = shop\nbranch = True\nomit = */unused.py\n", "unit.py": UNIT}
    )
    project.commit()
    record(volume, measured=ARCS, branch=True, run=EVIL, problems=[EVIL], pod=pod(EVIL), revision=EVIL)
    record(volume, measured=ARCS, branch=True, run=EVIL, host="spoilt").journal.write_bytes(b"")
    python = [sys.executable, "-m"]
    unit = ["--data-file=unit.data", "unit.py"]
    subprocess.run([*python, "coverage", "run", *unit], cwd=project.root, check=True)
    done = subprocess.run(
        [*python, "coverage_hooks", "collect", "--from", str(volume), "--unit", "unit.data", "--fail-under", "100"],
        cwd=project.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return Collected(project.root / "build/coverage")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running chromium."""
    with chromium.running(tmp_path_factory.mktemp("chromium") / "profile") as address:
        yield address


@pytest_asyncio.fixture
async def blank(browser: str) -> AsyncIterator[Tab]:
    """An empty tab of a desktop's size; whatever it complains about later is a failure."""
    async with chromium.tab(browser) as made:
        await made.resize(1280, 860)
        await made.prefer("light")
        yield made
        assert made.complaints == []


@pytest_asyncio.fixture
async def tab(blank: Tab, collected: Collected) -> Tab:
    """A tab with the page in it."""
    await blank.open(collected.page)
    return blank
