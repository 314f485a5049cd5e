"""Logging from inside somebody else's process."""

from __future__ import annotations

import contextlib
import logging

from coverage_hooks.shown import plain

_logger = logging.getLogger("coverage_hooks")


def say(level: int, text: str) -> None:
    """Log *text*; a logging configuration that fails is the operator's, and must not fail it through us.

    A handler that exits means to end the process for what the operator logs; here it would end the recording.
    """
    with contextlib.suppress(Exception, SystemExit):
        _logger.log(level, "%s", plain(text))
