"""What the chart renders to, kept beside the tests: ``python -m tests.chart.golden`` writes it anew.

Every byte but the custom resource definitions, which are compared with the files that they come from. With coverage off
nothing of this may change: the files were made before the chart knew of it. A new version of the chart is in every
label, and a reason to write them anew.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.chart.rendering import GOLDEN, Helm, overlays
from tests.cluster import helm


def main() -> None:
    """Write a file for each of the chart's own sets of values."""
    with tempfile.TemporaryDirectory() as home:
        program = Helm(helm.locate(lambda line: print(line, file=sys.stderr)), Path(home))  # noqa: T201 - a command
        for name in overlays():
            rendered = program.overlay(name).without_definitions()
            (GOLDEN / f"{name}.yaml").write_text(rendered, encoding="utf-8")


if __name__ == "__main__":
    main()
