"""The step `coverage-hooks report` against coverage.py's own four reports of the same combined data.

::

    python -m tests.benchmarks.reporting 300
    python -m tests.benchmarks.reporting 2000 --pairs 7

Ours is one process: the table, the page, HTML, XML, LCOV and JSON, of unit, cluster and both. coverage.py's are four,
one after the other: ``coverage json``, ``html``, ``xml`` and ``lcov``, of both alone. They take turns, and neither
finds pages that it could leave as they are. The LCOV reports of both are compared.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from coverage_hooks.collect import outputs
from coverage_hooks.collect.ledger import Ledger
from tests.benchmarks.timing import Figures, in_turn, measure

_OUTPUT = Path("build/coverage")

#: One module, of a hundred lines and in most of the shapes that source has; its number makes it another one.
_MODULE = '''\
"""Module {number}: orders."""

from contextlib import suppress
from dataclasses import dataclass, field

LIMITS = {{
    "small": {number},
    "large": {number} * 10,
}}


@dataclass
class Order:
    """Items, under a name."""

    name: str
    items: list = field(default_factory=list)

    def add(self, item, times=1):
        if times < 1 or item is None:
            raise ValueError(
                f"{{item!r}} cannot be had {{times}} times: "
                "ask for one at least",
            )
        for _ in range(times):
            self.items.append(item)
        return self

    @property
    def total(self):
        found = 0
        for item in self.items:
            if isinstance(item, str):
                found += len(item)
            elif item > LIMITS["large"]:
                continue
            else:
                found += item
        return found

    def sorted(self, *, backwards=False):
        return sorted(
            (item for item in self.items if item),
            key=str,
            reverse=backwards,
        )


class Shelf:
    def __init__(self, orders):
        self.orders = {{order.name: order for order in orders}}
        self.log = []

    def take(self, name, default=None):
        try:
            order = self.orders.pop(name)
        except KeyError:
            if default is None:
                raise
            return default
        else:
            self.log.append(name)
        finally:
            self.log.append(len(self.orders))
        return order

    def empty(self):
        while self.orders:
            name = min(self.orders)
            with suppress(KeyError):
                self.take(name)
        return not self.log  # pragma: no cover


def kind_of(order):
    match order.items:
        case []:
            return "empty"
        case [one]:
            return f"only {{one}}"
        case _ if order.total > LIMITS["small"]:
            return "large"
    return "small"


async def every(orders, wanted):
    async for order in orders:
        if wanted(order):
            yield order


def run(flag):
    shelf = Shelf([Order("a").add(1), Order("b").add("x", 2), Order("c")])
    kinds = [kind_of(order) for order in shelf.orders.values()]
    if flag:
        return shelf.take("b").total, kinds
    shelf.empty()
    return Order("d").sorted(), kinds
'''

_PROGRAM = "import importlib\nfor n in range({count}):\n    importlib.import_module(f'shop.m{{n}}').run({flag})\n"


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> None:
    """Make a project that was measured twice, run the pairs, and print a line for each and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="source files, of a hundred lines each")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is run, in turn (default: 5)")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="reporting-") as folder:
        root = Path(folder).resolve()
        make(root, asked.count)
        for line in _compared(root, asked.count, asked.pairs):
            out.write(f"{line}\n")
            out.flush()


def make(root: Path, count: int) -> None:
    """Write a project of *count* files into *root*, and what was combined of two runs of it."""
    (root / "shop").mkdir()
    (root / "shop/__init__.py").touch()
    for number in range(count):
        (root / f"shop/m{number}.py").write_text(_MODULE.format(number=number))
    (root / ".coveragerc").write_text("[run]\nsource = shop\nbranch = True\n")
    output = root / _OUTPUT
    output.mkdir(parents=True)
    parts = {outputs.UNIT: True, outputs.CLUSTER: False}
    for name, flag in parts.items():
        (root / "program.py").write_text(_PROGRAM.format(count=count, flag=flag))
        _coverage(root, "run", f"--data-file={_OUTPUT / name}", "program.py")
    _coverage(
        root, "combine", "-q", "--keep", f"--data-file={_OUTPUT / outputs.COMBINED}", *(output / n for n in parts)
    )
    Ledger().save(output)


def _compared(root: Path, count: int, pairs: int) -> Iterator[str]:
    ours, theirs = partial(_ours, root), partial(_theirs, root)
    ours()  # warm, both
    theirs()
    if (root / _OUTPUT / outputs.LCOV).read_bytes() != (root / "theirs/lcov").read_bytes():
        raise SystemExit("the LCOV reports of both differ")
    yield f"{count} files: the same LCOV report from both"
    yield from in_turn(ours, theirs, pairs)


def _ours(root: Path) -> Figures:
    shutil.rmtree(root / _OUTPUT / outputs.HTML, ignore_errors=True)
    return measure([sys.executable, "-m", "coverage_hooks", "report"], root)


def _theirs(root: Path) -> Figures:
    shutil.rmtree(root / "theirs", ignore_errors=True)
    asked = {"json": "-o", "html": "-d", "xml": "-o", "lcov": "-o"}
    data_file = f"--data-file={_OUTPUT / outputs.COMBINED}"
    commands = ([name, "-q", data_file, option, f"theirs/{name}"] for name, option in asked.items())
    every = (measure([sys.executable, "-m", "coverage", *command], root) for command in commands)
    return sum(every, start=Figures())


def _coverage(root: Path, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "coverage", *map(str, arguments)], cwd=root, check=True)


if __name__ == "__main__":
    main()
