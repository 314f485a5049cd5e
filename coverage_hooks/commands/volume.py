"""``coverage-hooks status`` and ``prune``: what lies on a volume, and how it leaves."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from coverage_hooks.collect import runs
from coverage_hooks.collect.pods import expected, watchlog
from coverage_hooks.collect.pods.containers import Known, gather
from coverage_hooks.collect.pods.terminations import ending_of
from coverage_hooks.collect.pods.watchlog import Testimony
from coverage_hooks.collect.reporting import terminal
from coverage_hooks.collect.retrieve.copies import Patience, await_beats
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.collect.runs import Found
from coverage_hooks.collect.source import Source
from coverage_hooks.collect.text import counted
from coverage_hooks.commands import options, places, signals
from coverage_hooks.commands.places import Place
from coverage_hooks.commands.progress import Progress
from coverage_hooks.commands.signals import Ended
from coverage_hooks.errors import UsageError, VolumeError
from coverage_hooks.volume import prune as pruning

#: How many recordings are listed: a volume may have any number of them.
LISTED = 100

_TITLES = ("recording", "run", "state", "journal", "beat", "age", "saved", "ending", "problems")

#: What changes all the time, and is no news.
_MOVING = {"beat", "age", "saved"}


def _reading(command: Callable[..., None]) -> Callable[..., None]:
    return options.added(command, options.READING)


@click.command()
@_reading
@click.option("--watch", is_flag=True, help="Show the list every second until interrupted; in a cluster, see how pods "
              "end, too, and write that to witness.jsonl below the output folder. It may be started before the "
              "operator is installed: the claim is waited for.")  # fmt: skip
@options.output
def status(*, watch: bool, output: Path, reader_manifest: bool, **where: Any) -> None:
    """List what lies on a volume: recording, run, state, journal, beat and its age, bytes saved, ending, last problem.

    The journal is `immediate` where each line is written before it runs, `interval` where what ran is appended once per
    interval, and `final` where everything is written at the end.
    """
    if not watch or reader_manifest:
        options.reading(_list)(reader_manifest=reader_manifest, **where)
        return
    place = Place(**where)
    # The witness first: the first pods are there before the claim has its volume, and may be gone by then. What was
    # seen until the interrupt is on disk when this returns.
    with _until_told(), _witness(place, output / watchlog.NAME) as testimony:
        if place.namespace and not place.reader:
            _await_claim(place)
        options.reading(_watch)(reader_manifest=False, testimony=testimony, **where)


def _list(source: Source, progress: Progress) -> None:  # noqa: ARG001 - as any that reads
    out = terminal.console()
    if rows := list(_rows(source, None)):
        if len(rows) > LISTED:
            terminal.show_line(out, f"{counted(len(rows), 'recording')}; the newest {LISTED} are:")
        terminal.show_table(out, _TITLES, rows[-LISTED:])
    else:
        terminal.show_line(out, f"no recording in {_place()}")


def _watch(source: Source, progress: Progress, testimony: Testimony | None) -> None:
    progress.say(f"watching {_place()} until interrupted")
    # Once more: what goes wrong when the reader is left is an error then.
    with _until_told(), terminal.live(terminal.console(), _TITLES, _MOVING) as show:
        while True:
            show(list(_rows(source, testimony))[-LISTED:])
            time.sleep(1)


@contextmanager
def _until_told() -> Iterator[None]:
    """Leave the block, without an error, when this process is interrupted or terminated.

    A script that leaves a command in the background ends it with `kill`; its shell has it ignore interrupts.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        with signals.ending(*numbers, ignored=True):
            yield
    except Ended as ended:
        if ended.number not in numbers:
            raise


def _place() -> str:
    options = click.get_current_context().params
    return str(options["directory"] or options["claim"] or options["release"] or options["reader"])


def _witness(place: Place, path: Path) -> AbstractContextManager[Testimony | None]:
    """Return a witness of the namespace of *place*, if it has one."""
    if not place.namespace:
        return nullcontext()
    # Imported here: the client takes a second to load, which whoever reads a folder need not wait for.
    from coverage_hooks.collect.cluster.watch import watching  # noqa: PLC0415

    return watching(places.target(place), path, resume=True)


def _await_claim(place: Place) -> None:
    from coverage_hooks.collect.cluster import claims  # noqa: PLC0415 - as above

    progress = Progress()
    with progress.busy(f"watching namespace {place.namespace}"):
        claims.awaited(places.target(place), progress.say)


def _rows(source: Source, testimony: Testimony | None) -> Iterator[tuple[str, ...]]:
    recordings = sorted(runs.look(source), key=lambda each: each.started)
    known = gather(testimony) if testimony is not None else Known()
    matched = expected.match(recordings, known)
    for found in recordings:
        instance = matched.get(found.recording)
        ending = ending_of(instance, known).text if instance else ""
        manifest = found.manifest
        if manifest is None:
            yield found.recording, "", "damaged", "", "", "", "", ending, found.reason
            continue
        state, mode, age = str(manifest.state), str(manifest.process.journal), ""
        with contextlib.suppress(VolumeError):
            seconds = source.announcement(found.recording).age
            age = f"{seconds:.1f} s" if seconds >= 0 else "unknown"
            # Only `collect` waits for two beats, and knows; the age is by the clock of whoever has the volume.
            if state == "running" and seconds > Patience().seconds(manifest.interval):
                state = "silent?"
        saved = f"{size} B" if (size := sum(each.size for each in manifest.journals)) else "none yet"
        problems = f"{len(manifest.problems)}: {manifest.problems[-1]}" if manifest.problems else ""
        yield found.recording, manifest.run, state, mode, str(manifest.beat), age, saved, ending, problems
    for instance in expected.unannounced(matched.values(), known):
        name = f"(none) {instance.pod.last.name}, {instance.container}, restart {instance.restart}"
        yield name, instance.run or "", "missing", "", "", "", "", ending_of(instance, known).text, ""


@click.command()
@options.directory
@click.option("--run", metavar="ID", help="Delete the recordings of this run.")
@click.option(
    "--older-than",
    type=options.moment,
    metavar="TIME",
    help="Delete what started before a time, or longer ago than an age.",
)
@click.option("--all", "everything", is_flag=True, help="Delete every recording, readable or not.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Delete recordings that are being written, too.")
@options.patience
def prune(
    *,
    directory: Path,
    run: str | None,
    older_than: datetime | None,
    everything: bool,
    yes: bool,
    force: bool,
    silent_after: float,
) -> None:
    """Delete recordings from a volume; whatever else lies there is left alone.

    A recording whose beat moves is being written, and is refused unless forced.
    """
    if [run is not None, older_than is not None, everything].count(True) != 1:
        raise UsageError("say what to delete: exactly one of --run, --older-than, --all")
    source = Directory(directory)
    chosen = [each for each in runs.look(source) if _is_meant(each, run, older_than)]
    out = terminal.console()
    if not chosen:
        terminal.show_line(out, "nothing to delete")
        return
    for each in chosen[:LISTED]:
        terminal.show_line(out, f"{each.recording}  {each.manifest.run if each.manifest else each.reason}")
    if len(chosen) > LISTED:
        terminal.show_line(out, f"and {len(chosen) - LISTED} more")
    if not yes:
        click.confirm(f"Delete {counted(len(chosen), 'recording')}?", abort=True)
    live = set() if force else _live(source, chosen, Patience(minimum=silent_after))
    refused = 0
    for each in chosen:
        if reason := _refusal(directory, each, live):
            refused += 1
            if refused <= LISTED:
                terminal.show_line(out, f"refused  {each.recording}: {reason}")
    terminal.show_line(out, f"deleted {len(chosen) - refused} of {len(chosen)} recordings")
    click.get_current_context().exit(1 if refused else 0)


def _is_meant(found: Found, run: str | None, older_than: datetime | None) -> bool:
    if run is not None:
        return found.manifest is not None and found.manifest.run == run
    return older_than is None or found.started < older_than.timestamp()


def _live(source: Directory, chosen: list[Found], patience: Patience) -> set[str]:
    running = [each.manifest for each in chosen if each.manifest and each.manifest.state == "running"]
    return {manifest.recording for manifest in running} - await_beats(source, running, patience, say=Progress().waiting)


def _refusal(directory: Path, found: Found, live: set[str]) -> str:
    """Delete recording *found*, or return why not."""
    if found.recording in live:
        return "it is being written: stop its process first, or use --force"
    try:
        pruning.remove(directory, found.recording)
    except VolumeError as error:
        return str(error)
    return ""
