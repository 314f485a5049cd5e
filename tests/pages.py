"""What the pages of the documentation show: files and commands, which tests then use as they are."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks in *language* of *page*, a path from the top of the repository, also of lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for _, text in found]


def shown_commands(page: str) -> list[str]:
    """Return the commands which *page* shows with a prompt, each on one line and without a remark behind it."""
    text = "".join(blocks(page, "console")).replace("\\\n", " ")
    return [re.sub(r"\s+# .*", "", " ".join(line[2:].split())) for line in text.splitlines() if line.startswith("$ ")]
