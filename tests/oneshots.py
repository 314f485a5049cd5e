"""Work in which every function runs exactly once: a point that is lost once is lost for good."""

from __future__ import annotations

from pathlib import Path

_FUNCTION = """\
def function_{n}(number):
    total = 0
    for step in range(number % 4):
        if (number + step) % 3:
            total += step
        else:
            total -= step
    try:
        if number % 5 == 0:
            raise ValueError(number)
    except ValueError:
        total += 1
    return total
"""


def source(count: int) -> str:
    """Return a module with a list ``functions`` of *count* functions, each with branches that differ."""
    functions = "".join(_FUNCTION.format(n=n) for n in range(count))
    listing = ", ".join(f"function_{n}" for n in range(count))
    return f"{functions}\nfunctions = [{listing}]\n"


def first_lines(module: Path) -> list[int]:
    """Return the number of the first line inside each function of *module*."""
    lines = module.read_text().splitlines()
    return [number + 1 for number, line in enumerate(lines, 1) if line.startswith("def ")]
