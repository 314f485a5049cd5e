"""Logging from inside somebody else's process."""

from __future__ import annotations

import contextlib
import logging

from coverage_hooks.shown import plain

_logger = logging.getLogger("coverage_hooks")


def say(level: int, text: str) -> None:
    """Log *text*; a logging configuration that fails is the operator's, and must not fail it through us."""
    with contextlib.suppress(Exception):
        _logger.log(level, "%s", plain(text))
