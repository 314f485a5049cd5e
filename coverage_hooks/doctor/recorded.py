"""What would keep `collect` from reading recordings, and from mapping them to the checkout: asked without collecting.

Whatever is wrong is said in the words that `collect` would say it in, as it is asked of what `collect` asks.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from coverage_hooks.collect import runs
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.ledger import NOTHING_LOST, Row, lost_at_start, too_early, unrecorded
from coverage_hooks.collect.mapping.checkout import Checkout, read_checkout
from coverage_hooks.collect.mapping.versions import MEASURED_COVERAGE, MEASURED_PYTHON, minor, skews
from coverage_hooks.collect.retrieve.copies import Patience, await_beats
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.collect.runs import Choice, Chosen, Found
from coverage_hooks.collect.source import LET_READ, Limits
from coverage_hooks.collect.text import counted
from coverage_hooks.doctor.findings import UNREACHABLE, Finding, note, ok, wrong
from coverage_hooks.errors import CoverageHooksError, NotPermitted, VolumeError
from coverage_hooks.volume import access, layout, listing
from coverage_hooks.volume.manifest import Manifest

#: How many names are shown of those that a finding is about.
SHOWN = 5


def checkout(folder: Path, rcfile: Path | None) -> Iterator[Finding]:
    """Yield every finding about the checkout around *folder*, and about its coverage configuration."""
    yield _versions(platform.python_version(), metadata.version("coverage"))
    try:
        configuration = Configuration(rcfile, folder)
        selected = configuration.selected
    except CoverageHooksError as error:
        yield wrong(str(error))
        configuration, selected = None, []
    found = read_checkout(selected, folder)
    if found.note:
        yield note(found.note)
    else:
        yield ok(f"git checkout {found.root}, revision {found.revision or '(no commit yet)'}")
    if configuration is not None:
        branches = "lines and branches" if configuration.branch else "lines"
        yield ok(f"`run:source` selects {counted(len(selected), 'file')} to report, in {branches}")
        yield from (
            note(f"not counted, by {why}: {configuration.shown(path)}") for path, why in configuration.odd.items()
        )
        yield _naming(configuration, selected[0])
        yield from _differing(found)


def _versions(python: str, coverage: str) -> Finding:
    text = f"Python {python} with coverage.py {coverage}"
    if minor(python) in MEASURED_PYTHON and minor(coverage) in MEASURED_COVERAGE:
        return ok(text)
    return note(
        f"{text}: whether recordings of other versions come out the same here was not measured (docs/mapping.md); "
        "collect with the versions of the image"
    )


def _naming(configuration: Configuration, path: Path) -> Finding:
    """Return how data files of this configuration name files, shown for *path*."""
    name = configuration.name(path)
    if Path(name).is_absolute():
        return ok("data files name files by whole paths (relative_files is off); recordings are mapped in any case")
    return ok(
        f"data files name files as seen from {configuration.folder} (relative_files is on), so make unit data in that "
        "folder; recordings are mapped in any case"
    )


def _differing(found: Checkout) -> Iterator[Finding]:
    """Yield which selected files an image of this revision does not have as they are here."""
    changed = found.uncommitted()
    if changed:
        yield note(
            f"{counted(len(changed), 'selected file')} with uncommitted changes: recordings of an image of the "
            "revision would differ, and `collect` refuse them, unless it was built from here: "
            f"{_listed(map(found.shown, changed))}"
        )
    elif not found.note:
        yield ok("no selected file has uncommitted changes")


def directory(path: Path, patience: Patience) -> Iterator[Finding]:
    """Yield every finding about the recordings in folder *path*; `SourceError` when it cannot be read.

    Running ones are watched until their beats have moved, or for as long as *patience* says.
    """
    source = Directory(path)
    found = runs.look(source)
    if not found:
        yield wrong(
            f"{path} holds no recording: expected at least one; check that the operator runs with "
            "COVERAGE_HOOKS_ENABLED=1 and COVERAGE_HOOKS_DIR on this volume, and type `coverage-hooks doctor` there"
        )
        return
    chosen = runs.choose(found, Choice())
    if chosen.barred:
        yield wrong(chosen.barred, UNREACHABLE)
        return
    yield from _runs(path, found, chosen)
    if doubt := chosen.doubt(datetime.now(UTC)):
        yield note(doubt)
    mine = {each.recording for each in chosen.found}
    for each in found:
        yield from _unreadable(path, each, chosen=each.recording in mine)
    yield from _beating(source, found, mine, patience)
    manifests = [each.manifest for each in chosen.found if each.manifest]
    measured = {each.recording for each in manifests if _has_points(path, each)}
    for manifest in manifests:
        yield from _told(manifest, measured=manifest.recording in measured)
    processes = [each.process for each in manifests if each.recording in measured]
    yield from map(note, skews(processes, metadata.version("coverage")))


def _runs(path: Path, found: list[Found], chosen: Chosen) -> Iterator[Finding]:
    counts: dict[str, list[Found]] = {}
    for each in found:
        if each.manifest is not None:
            counts.setdefault(each.manifest.run, []).append(each)
    yield ok(f"{path} holds {counted(len(found), 'recording')} of {counted(len(counts), 'run')}")
    for run, members in sorted(counts.items(), key=lambda item: max(each.started for each in item[1])):
        first = min(members, key=lambda each: each.started).manifest
        assert first is not None
        is_chosen = run == chosen.run
        choice = "; `collect` chooses this one" if is_chosen else f"; earlier, so only with --run {run!r}"
        yield ok(f"run {run!r}: {counted(len(members), 'recording')}, the first of {first.started_at}{choice}")
        if is_chosen and not run:
            yield note(
                "the chosen recordings carry no run id, so all without one are taken for one run; set "
                "COVERAGE_HOOKS_RUN in the operator, or choose with --since"
            )


def _unreadable(path: Path, found: Found, *, chosen: bool) -> Iterator[Finding]:
    """Yield what of a recording cannot be opened: which `collect` would call a loss if it is *chosen*."""
    refusal = _refusal(path, found.manifest) if found.manifest else None
    if reason := found.reason or str(refusal or ""):
        text = f"{found.recording} cannot be read: {reason}"
        barred = found.barred or isinstance(refusal, NotPermitted)
        advice = LET_READ if barred else "`coverage-hooks prune` deletes it"
        yield wrong(f"{text}; {advice}") if chosen else note(f"{text}; it is not among the chosen ones")


def _refusal(path: Path, manifest: Manifest) -> VolumeError | None:
    """Open the journals of *manifest*, and read nothing; return why that cannot be done, or nothing."""
    try:
        with listing.open_recording(path, manifest.recording) as folder:
            for journal in manifest.journals:
                with access.open_file(journal.file, parent=folder, limit=Limits().journal):
                    pass
    except VolumeError as error:
        return error
    return None


def _beating(source: Directory, found: list[Found], chosen: set[str], patience: Patience) -> Iterator[Finding]:
    """Yield which recordings are being written now, and which of those that never finished are silent."""
    running = [each.manifest for each in found if each.manifest and each.manifest.state == "running"]
    silent = await_beats(source, running, patience)
    if alive := sorted({each.recording for each in running} - silent):
        yield ok(f"{counted(len(alive), 'recording')} running now: {_listed(alive)}")
    whole = {each.recording for each in running if each.recording in silent & chosen and _is_lossless(source, each)}
    if lost := sorted(silent & chosen - whole):
        yield wrong(
            f"{counted(len(lost), 'chosen recording')} silent: running, by its manifest, and its beat does not move: "
            f"{_listed(lost)}; its process was killed or hangs, which `collect` calls a loss unless a witness knows "
            "better; --allow-missing NAME waives it"
        )
    if whole:
        yield note(
            f"{counted(len(whole), 'chosen recording')} silent, of a process that was killed or hangs; {NOTHING_LOST}: "
            f"{_listed(sorted(whole))}"
        )
    if earlier := sorted(silent - chosen):
        yield note(f"{counted(len(earlier), 'earlier recording')} never finished: {_listed(earlier)}")


def _is_lossless(source: Directory, manifest: Manifest) -> bool:
    """Return whether nothing of *manifest* is lost in any case: each line was written, by this machine."""
    row = Row.of(manifest, "")
    with contextlib.suppress(VolumeError):
        row.complete = layout.COMPLETE in source.files(manifest.recording)
    return row.lossless and manifest.process.boot == source.boot() != ""


def _has_points(path: Path, manifest: Manifest) -> bool:
    """Return whether anything was recorded, be it that *manifest* does not name it yet."""
    if any(journal.size for journal in manifest.journals):
        return True
    with contextlib.suppress(VolumeError, OSError), listing.open_recording(path, manifest.recording) as folder:
        journals = [name for name in listing.files(folder) if name != layout.COMPLETE]
        return any(os.stat(name, dir_fd=folder, follow_symlinks=False).st_size for name in journals)
    return False


def _told(manifest: Manifest, *, measured: bool) -> Iterator[Finding]:
    """Yield what a chosen recording, in which something was *measured* or not, says of itself."""
    if not measured:
        said = f": {manifest.problems[-1]}" if manifest.problems else ", and names no problem; see the operator's log"
        yield wrong(f"{manifest.recording} announced itself and published nothing{said}")
    elif manifest.problems:
        yield note(
            f"{manifest.recording} names {counted(len(manifest.problems), 'problem')}: {_listed(manifest.problems)}"
        )
    if modules := lost_at_start(manifest):
        yield wrong(f"{manifest.recording}: {_listed(modules)} {too_early(modules)}")
    if manifest.unrecorded:
        yield wrong(f"{manifest.recording}: {_listed(map(unrecorded, manifest.unrecorded))}")


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return f"{', '.join(every[:SHOWN])}{more}"
