"""Has what Python itself would print logged instead: a reader of lines in JSON must find no other ones."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any

_logger = logging.getLogger(__name__)


def take_over() -> None:
    """Log warnings, what nothing catches, in whatever thread, and what cannot be raised, as in a destructor."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _logger.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))


def _uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        _uncaught(given.exc_type, given.exc_value, given.exc_traceback)


# Any: the type of what it is given has a name in the type checker only.
def _unraisable(given: Any) -> None:
    error = given.exc_value or given.exc_type()
    _logger.error("%s: %s", given.err_msg or "ignored", error, exc_info=(given.exc_type, error, given.exc_traceback))
