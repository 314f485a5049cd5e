"""What a program says that it is: the name of its folder proves nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path


def called(program: Path, environ: Mapping[str, str]) -> str:
    """Return the version that *program* prints, such as ``1.35.4``, or nothing if it cannot be run."""
    try:
        asked = subprocess.run(
            [program, "--version"],
            env=dict(environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # a program for another kind of machine, or half of one
        return ""
    found = re.search(r"\bv?(\d+\.\d+\.\d+\S*)", asked.stdout)
    return found[1] if found and not asked.returncode else ""
