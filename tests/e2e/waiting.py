"""Waiting for what kubectl tells: each look starts a program, so there are fewer of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests import cluster

T = TypeVar("T")

_PAUSE = 0.4


def wait_until(condition: Callable[[], T | None], what: str, *, details: Callable[[], str] = lambda: "") -> T:
    """`tests.cluster.wait_until`, at a slower pace."""
    return cluster.wait_until(condition, what, details=details, pause=_PAUSE)
