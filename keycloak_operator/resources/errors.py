"""The one error of this package: a document that does not fit its kind.

What the message may show is decided here. It ends up in a condition, which more people can read than a Secret, so a
value appears only where the value itself is what is wrong: a choice, a pattern, a number out of range.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_VALUE_LENGTH = 60

_TYPES = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_LIMITS = {
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "too_long": "at most {max_length} entries",
}
_VALUES = {
    "literal_error": "{expected}",
    "string_pattern_mismatch": "text that matches {pattern}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it is, what belongs there, and what is there; `found` is empty for a rule."""

    path: str
    expected: str
    found: str = ""

    @property
    def reason(self) -> str:
        """What is wrong, without where."""
        return f"expected {self.expected}, found {self.found}" if self.found else self.expected

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class InvalidSpec(Exception):
    """A document does not fit its kind; nothing but a change of the document can help.

    The message names every path, so that one correction is enough: it ends up in a condition, which cuts it where it is
    too long for one. What is wrong with several of them in the same way is said once.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        paths: dict[str, list[str]] = {}
        for problem in self.problems:
            paths.setdefault(problem.reason, []).append(problem.path)
        super().__init__("; ".join(f"{', '.join(where)}: {reason}" for reason, where in paths.items()))

    @classmethod
    def from_validation(cls, error: ValidationError) -> InvalidSpec:
        """Say in our own words what pydantic found."""
        return cls(_problem(detail) for detail in error.errors(include_url=False))


def _problem(detail: ErrorDetails) -> Problem:
    path, kind, value, context = _path(detail["loc"]), detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return Problem(path, "a value", "nothing")
    if kind == "extra_forbidden":
        return Problem(path, "a field that this version knows", "an unknown one")
    if kind in _TYPES:
        return Problem(path, _TYPES[kind], _type(value))
    if kind in _LIMITS:
        return Problem(path, _LIMITS[kind].format(**context), str(len(value)))
    if kind in _VALUES:
        return Problem(path, _VALUES[kind].format(**context), _short(value))
    return Problem((path + context.get("field", "")).removeprefix("."), detail["msg"])


def _path(location: Iterable[int | str]) -> str:
    """Return ``spec.client.redirectUris[0]`` for what pydantic tells as a tuple."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isidentifier():
            path += f".{step}" if path else step
        else:
            path += f"[{step!r}]"
    return path


def _type(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "something else")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _VALUE_LENGTH else f"{shown[:_VALUE_LENGTH]}…"
