"""``coverage-hooks status`` and ``prune``: what lies on a volume, and how it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from coverage_hooks.collect import prune as pruning
from coverage_hooks.collect import runs, terminal
from coverage_hooks.collect.retrieve import Patience, await_beats
from coverage_hooks.collect.runs import Found
from coverage_hooks.collect.sources.directory import Directory
from coverage_hooks.commands import options
from coverage_hooks.errors import UsageError, VolumeError

_TITLES = ("recording", "run", "state", "beat", "age", "lines", "problems")


@click.command()
@options.directory
@click.option("--watch", is_flag=True, help="Print the list again every second, until interrupted.")
def status(directory: Path, watch: bool) -> None:
    """List what lies on a volume: recording, run, state, beat and its age, lines, and the last problem."""
    source, out = Directory(directory), terminal.console()
    while True:
        rows = list(_rows(source))
        if watch and out.is_terminal:
            out.clear()
        if rows:
            terminal.show_table(out, _TITLES, rows)
        else:
            terminal.show_line(out, f"no recording in {directory}")
        if not watch:
            return
        try:
            time.sleep(1)
        except KeyboardInterrupt:  # the way to stop watching
            return


def _rows(source: Directory) -> Iterator[tuple[str, ...]]:
    for found in sorted(runs.look(source), key=lambda each: each.started):
        manifest = found.manifest
        if manifest is None:
            yield found.recording, "", "damaged", "", "", "", found.reason
            continue
        try:
            age = f"{source.announcement(found.recording).age:.1f} s"
        except VolumeError:
            age = ""
        lines = str(manifest.data.lines) if manifest.data else "none yet"
        problems = f"{len(manifest.problems)}: {manifest.problems[-1]}" if manifest.problems else ""
        yield found.recording, manifest.run, manifest.state, str(manifest.beat), age, lines, problems


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
    for each in chosen:
        terminal.show_line(out, f"{each.recording}  {each.manifest.run if each.manifest else each.reason}")
    if not yes:
        click.confirm(f"Delete {len(chosen)} recordings?", abort=True)
    live = set() if force else _live(source, chosen, Patience(minimum=silent_after))
    refused = 0
    for each in chosen:
        if reason := _refusal(directory, each, live):
            terminal.show_line(out, f"refused  {each.recording}: {reason}")
            refused += 1
    terminal.show_line(out, f"deleted {len(chosen) - refused} of {len(chosen)} recordings")
    click.get_current_context().exit(1 if refused else 0)


def _is_meant(found: Found, run: str | None, older_than: datetime | None) -> bool:
    if run is not None:
        return found.manifest is not None and found.manifest.run == run
    return older_than is None or found.started < older_than.timestamp()


def _live(source: Directory, chosen: list[Found], patience: Patience) -> set[str]:
    running = [each.manifest for each in chosen if each.manifest and each.manifest.state == "running"]
    return {manifest.recording for manifest in running} - await_beats(source, running, patience)


def _refusal(directory: Path, found: Found, live: set[str]) -> str:
    """Delete recording *found*, or return why not."""
    if found.recording in live:
        return "it is being written: stop its process first, or use --force"
    try:
        pruning.remove(directory, found.recording)
    except VolumeError as error:
        return str(error)
    return ""
