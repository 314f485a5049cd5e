"""What values.yaml says: its values, the comments above them, and what both mean for a schema.

A line ``## Title`` begins a section. Every value has a comment right above it, except the maps which are there to hold
others; its lines that start with ``@schema`` are keywords of JSON Schema, written as the inside of a YAML map. A map is
closed, and described by the values in it, unless its @schema says what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "keycloak-operator"

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


class CommentError(ValueError):
    """A value that its comment does not describe."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value, the `text` of its comment and the `keywords` in it; `parts` if it is a closed map of others."""

    path: str
    default: Any
    text: str
    keywords: dict[str, Any]
    parts: list[Value]

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rsplit(".", 1)[-1]

    def leaves(self) -> Iterator[Value]:
        """Yield the value itself, or those in it."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def schema(self) -> dict[str, Any]:
        """Return what is accepted as this value."""
        described = {"description": self.text} if self.text else {}
        made: dict[str, Any] = {**described, "type": _TYPES[type(self.default)], **self.keywords}
        if self.parts:
            made |= {"additionalProperties": False, "properties": {part.name: part.schema() for part in self.parts}}
        return made


@dataclass(frozen=True, slots=True)
class Section:
    """Values under one title."""

    title: str
    values: list[Value] = field(default_factory=list)

    def leaves(self) -> Iterator[Value]:
        """Yield the values that hold no others."""
        for value in self.values:
            yield from value.leaves()


def sections(text: str) -> list[Section]:
    """Return the sections of values.yaml, whose content is *text*; raise CommentError if a comment is missing."""
    titles = [(number, line[3:]) for number, line in enumerate(text.splitlines()) if line.startswith("## ")]
    found = [Section(title) for _, title in titles]
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(document, yaml.MappingNode)
    for value, line in _values(document, text.splitlines(), ""):
        found[sum(number < line for number, _ in titles) - 1].values.append(value)
    return found


def _values(mapping: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[tuple[Value, int]]:
    for key, node in mapping.value:
        yield _value(prefix + key.value, node, _comment(key, lines), lines), key.start_mark.line


def _value(path: str, node: yaml.Node, comment: list[str], lines: list[str]) -> Value:
    text = " ".join(line for line in comment if not line.startswith("@schema "))
    said = ", ".join(line.removeprefix("@schema ") for line in comment if line.startswith("@schema "))
    keywords = yaml.safe_load(f"{{{said}}}")
    default = yaml.safe_load(yaml.serialize(node))
    parts = []
    if isinstance(node, yaml.MappingNode) and not keywords:
        parts = [value for value, _ in _values(node, lines, f"{path}.")]
    if not text and not parts:
        raise CommentError(f"{path} has no comment")
    if (isinstance(default, list) and "items" not in keywords) or (default == {} and not keywords):
        raise CommentError(f"the comment of {path} does not say what it may hold")
    return Value(path, default, text, keywords, parts)


def _comment(key: yaml.Node, lines: list[str]) -> list[str]:
    """Return the lines of the comment right above *key*, at its indentation."""
    mark = re.compile(rf" {{{key.start_mark.column}}}# ?(?!#)(.*)")
    found: list[str] = []
    for line in reversed(lines[: key.start_mark.line]):
        if not (match := mark.fullmatch(line)):
            break
        found.insert(0, match[1])
    return found
