"""Options that several commands share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from coverage_hooks import shown
from coverage_hooks.collect import outputs
from coverage_hooks.commands import places
from coverage_hooks.commands.places import Place

#: A folder; one that may not be read is no wrong use: reading it tells so, with its owner.
_FOLDER = click.Path(path_type=Path, readable=False)

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
        "--from", "directory", type=_FOLDER, required=True, metavar="DIR",
        help="The folder that COVERAGE_HOOKS_DIR named in the operator, or where its volume is mounted here.",
    )(command)  # fmt: skip


_IN_CLUSTER = (
    click.option("--namespace", "-n", metavar="NAME", help="The operator's namespace."),
    click.option("--release", metavar="NAME", help="The Helm release whose claim holds the recordings."),
    click.option("--claim", metavar="NAME", help="The claim that holds the recordings."),
    click.option("--kubeconfig", type=click.Path(path_type=Path), metavar="FILE",
                 help="The kubeconfig; default: KUBECONFIG, then ~/.kube/config."),
    click.option("--context", metavar="NAME", help="The context in the kubeconfig; default: the current one."),
)  # fmt: skip

#: Which folder, or which claim in which cluster.
WHERE = (
    click.option("--from", "directory", type=_FOLDER, metavar="DIR",
                 help="The folder that COVERAGE_HOOKS_DIR named in the operator, or where its volume is mounted here."),
    *_IN_CLUSTER,
)  # fmt: skip

#: Where to read, and through which pod; for a command that is `reading`.
READING = (
    *WHERE,
    click.option("--reader", metavar="NAME", help="Read through this pod, which somebody applied, and make none."),
    click.option("--reader-image", metavar="IMAGE",
                 help="The image that reads the claim; default: the one that the claim is annotated with."),
    click.option("--reader-manifest", is_flag=True,
                 help="Print the reader, for somebody else to apply, and do no more."),
)  # fmt: skip


def in_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Add which claim is meant, in which cluster."""
    return added(command, _IN_CLUSTER)


def where(command: Callable[..., None]) -> Callable[..., None]:
    """Add which folder, or which claim in which cluster, is meant."""
    return added(command, WHERE)


def source(command: Callable[..., None]) -> Callable[..., None]:
    """Add where to read: *command* is given that as `source`, and `progress` to tell what it is doing."""
    return added(reading(command), READING)


def reading(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command*, of what the options of `READING` say, `source` and `progress`; whoever calls this adds them."""

    @functools.wraps(command)
    def wrapped(
        *,
        directory: Path | None,
        namespace: str | None,
        release: str | None,
        claim: str | None,
        kubeconfig: Path | None,
        context: str | None,
        reader: str | None,
        reader_image: str | None,
        reader_manifest: bool,
        **rest: object,
    ) -> None:
        place = Place(
            directory=directory,
            namespace=namespace,
            release=release,
            claim=claim,
            kubeconfig=kubeconfig,
            context=context,
            reader=reader,
            reader_image=reader_image,
        )
        if reader_manifest:
            shown.yaml(places.reader_manifest(place))
            return
        # Imported here: it needs a package of the test machine, and `doctor` has these options in a pod, too.
        from coverage_hooks.commands.progress import Progress  # noqa: PLC0415

        progress = Progress()
        with places.opened(place, progress) as source:
            command(source=source, progress=progress, **rest)

    return wrapped


def added(
    command: Callable[..., None], decorators: Iterable[Callable[[Callable[..., None]], Callable[..., None]]]
) -> Callable[..., None]:
    """Return *command* with the options that *decorators* add; in its help they stand in this order."""
    for decorator in reversed(list(decorators)):
        command = decorator(command)
    return command


def configuration(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--rcfile``."""
    return click.option(
        "--rcfile", type=click.Path(path_type=Path), metavar="FILE",
        help="The coverage configuration; default: coverage.py's own search.",
    )(command)  # fmt: skip


def output(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--output``."""
    return click.option(
        "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("build/coverage"),
        show_default=True, metavar="DIR", help="Where everything is written; nothing is written elsewhere.",
    )(command)  # fmt: skip


def writing(command: Callable[..., None]) -> Callable[..., None]:
    """Have *command* write its `output` alone. Outermost: no reader is started for a folder that is in use."""

    @functools.wraps(command)
    def wrapped(*, output: Path, **rest: object) -> None:
        with nullcontext() if rest.get("reader_manifest") else outputs.writing(output):
            command(output=output, **rest)

    return wrapped


def patience(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--silent-after``."""
    return click.option(
        "--silent-after", type=click.FloatRange(min=0.1), default=10.0, show_default=True, metavar="SECONDS",
        help="How long a running recording's beat may stand still; at least three of its intervals.",
    )(command)  # fmt: skip
