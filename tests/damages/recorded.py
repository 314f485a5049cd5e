"""Recordings to be damaged, made by the recorder itself: small operators, one process each.

Every process measures files of its own folder, which look like those of a pod once that folder is left out of what is
shown.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Manifest
from tests.cluster.waiting import WITHIN
from tests.unit.collect.building import SOURCES, Project, Recording, make_project

RUN = "run-1"

#: What the checkout has; without an empty file, whose one line Python versions count differently.
_SOURCES = {name: source or f'"""Package {Path(name).parent.name}."""\n' for name, source in SOURCES.items()}

_START = "import coverage_hooks\ncoverage_hooks.start()\n"
_KILL = "import os\nos.kill(os.getpid(), 9)\n"
_ADD = "from shop import cart\ncart.add([], 1)\n"
#: Saved thrice, so that the files are named in this order.
_BAD = (
    f"{_START}from shop import cart\ncoverage_hooks.save()\n"
    "cart.add([], 1)\ncoverage_hooks.save()\nfrom shop.parts import till\n"
)


#: A core of any Python, and with it mode `interval`.
_RCFILE = "source = shop\ncore = ctrace\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    """An operator: what it runs, and what is unusual about it."""

    main: str
    rcfile: str = _RCFILE
    changes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


#: The sound ones, by name before and after every other: what each of them runs no other sound one does.
GOOD = ("alpha", "zulu")

_PROGRAMS = {
    "alpha": _Program(main=f"{_START}from shop import cart\ncart.add([], 0)\n"),
    "zulu": _Program(main=f"{_START}from shop.parts import till\ntill.pay(1)\n"),
    "bad": _Program(main=_BAD),
    "killed": _Program(
        main=f"{_START}from shop import cart\ncoverage_hooks.save()\n{_KILL}", settings={"INTERVAL": "0.1"}
    ),
    "announced": _Program(main=_START + _KILL, settings={"INTERVAL": "0.1"}),
    "idle": _Program(main=f"{_START}import shop\n", rcfile="source = elsewhere\ncore = ctrace\n"),
    "branches": _Program(main=_START + _ADD, rcfile=f"{_RCFILE}branch = true\n"),
    "late": _Program(main=f"from shop import cart\n{_START}cart.add([], 1)\n"),
    "other": _Program(main=_START + _ADD, changes={"shop/cart.py": f"# changed since\n{_SOURCES['shop/cart.py']}"}),
    "renamed": _Program(
        main=f"{_START}from shop import basket\n", changes={"shop/basket.py": _SOURCES["shop/cart.py"]}
    ),
    "stubborn": _Program(main=_START + _ADD, rcfile=f"{_RCFILE}sigterm = true\n"),
    "earlier": _Program(main=_START + _ADD, settings={"RUN": "run-0"}),
}


@dataclass(frozen=True)
class Recorded:
    """A checkout, and below *base* who recorded what, each on a volume of its own."""

    base: Path
    checkout: Project

    def copy(self, who: str, volume: Path) -> Recording:
        """Copy the recording of *who* onto *volume*, made now if nobody has asked for it before."""
        made = self.base / who / "volume"
        if not made.exists():
            _run(self.base / who, who)
        [source] = made.iterdir()
        path = Path(shutil.copytree(source, volume / source.name))
        return Recording(path, Manifest.parse((path / layout.MANIFEST).read_bytes()))

    def shown(self, text: str) -> str:
        """Return *text* without the folders that only this machine has: files of a process are those of a pod."""
        for folder in (*(self.base / who for who in _PROGRAMS), self.base):
            text = text.replace(str(folder), "")
        return text


def record(base: Path) -> Recorded:
    """Let the sound ones record below folder *base*: they start no later than any other, as those of one run do."""
    checkout = make_project(base / "checkout")
    checkout.write(_SOURCES)
    checkout.commit()
    with ThreadPoolExecutor(max_workers=len(GOOD)) as pool:
        list(pool.map(lambda who: _run(base / who, who), GOOD))
    return Recorded(base, checkout)


def _run(folder: Path, who: str) -> None:
    program = _PROGRAMS[who]
    app = Project(folder / "app")
    # Kopf is hidden, as importing it takes longer than everything else that such a process does.
    app.write({**_SOURCES, **program.changes, "kopf.py": "raise ImportError('not here')\n", "main.py": program.main})
    app.write({".coveragerc": f"[run]\n{program.rcfile}"})
    given = {"ENABLED": "1", "DIR": str(folder / "volume"), "RUN": RUN, "INTERVAL": "60", "POD_NAME": who}
    # Of the rest of the environment nothing of coverage's: a test run that is measured itself would be a rival.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment |= {f"COVERAGE_HOOKS_{name}": value for name, value in {**given, **program.settings}.items()}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=app.root, env=environment, capture_output=True, text=True, check=False,
        timeout=WITHIN,
    )  # fmt: skip
    expected = -signal.SIGKILL if program.main.endswith(_KILL) else 0
    assert done.returncode == expected, done.stderr
