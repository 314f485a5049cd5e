"""Placeholder, replaced by measured defaults."""

from typing import Any, Final

MISSING: Final = object()


def realm_default(path: tuple[str, ...]) -> Any:
    return MISSING


def client_default(path: tuple[str, ...], protocol: str) -> Any:
    return MISSING
