"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

_AGE = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime:
    """Return the UTC time that *text* stands for: an ISO time (without a zone: local), or an age such as 15m."""
    try:
        if age := _AGE.fullmatch(text.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        wanted = "a time such as 2026-01-31T23:59:59Z, or an age such as 90s, 15m, 2h, 3d"
        raise click.BadParameter(f"{text!r} is not {wanted}") from None


def directory(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--from``."""
    return click.option(
        "--from", "directory", type=click.Path(path_type=Path), required=True, metavar="DIR",
        help="The folder that COVERAGE_HOOKS_DIR named in the operator, or where its volume is mounted here.",
    )(command)  # fmt: skip


def output(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--output``."""
    return click.option(
        "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("build/coverage"),
        show_default=True, metavar="DIR", help="Where everything is written; nothing is written elsewhere.",
    )(command)  # fmt: skip


def patience(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--silent-after``."""
    return click.option(
        "--silent-after", type=click.FloatRange(min=0.1), default=10.0, show_default=True, metavar="SECONDS",
        help="How long a running recording's beat may stand still; at least three of its intervals.",
    )(command)  # fmt: skip
