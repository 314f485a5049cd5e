"""The chart's schema and tables, made from the comments in its values.yaml: ``make chart``.

They are files because Helm and readers take them from the chart; a test fails when they differ from what is made here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.chart.values import CHART, Section, sections

_BEGIN, _END = "<!-- values: ", "<!-- end of values -->\n"


def files() -> dict[str, str]:
    """Return name and text of every file."""
    found = sections((CHART / "values.yaml").read_text(encoding="utf-8"))
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    return {"values.schema.json": schema(found), "README.md": with_tables(readme, found)}


def schema(found: list[Section]) -> str:
    """Return a schema that refuses every value that *found* does not hold."""
    properties = {value.name: value.schema() for section in found for value in section.values}
    # A chart that has this one as a part passes it on to all of its parts.
    properties["global"] = {
        "description": "What a parent chart shares with its parts; not used here.",
        "type": "object",
    }
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return json.dumps(document, indent=2) + "\n"


def with_tables(readme: str, found: list[Section]) -> str:
    """Return *readme* with a table for each section between its two marks."""
    before, rest = readme.split(_BEGIN)
    mark, after = rest.split("\n", 1)[0], rest.split(_END)[1]
    return "".join([before, _BEGIN, mark, "\n", *_tables(found), "\n", _END, after])


def _tables(found: list[Section]) -> Iterator[str]:
    for section in found:
        yield f"\n### {section.title}\n\n| value | default | meaning |\n|---|---|---|\n"
        for value in section.leaves():
            yield f"| `{value.path}` | {_code(value.default)} | {_cell(value.text)} |\n"


def _code(default: Any) -> str:
    return f"`{_cell(default if isinstance(default, str) and default else json.dumps(default))}`"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def main() -> None:
    """Write the files."""
    for name, text in files().items():
        (CHART / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
