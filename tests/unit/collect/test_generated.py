"""Whatever one recording is turned into, the others are reported completely, and it is named or it is sound.

`HYPOTHESIS_EFFORT=100` tries a hundred times as much.
"""

from __future__ import annotations

import hashlib
import random
import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_hooks.cli import commands
from coverage_hooks.collect import pipeline
from coverage_hooks.collect.combine import Inputs
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.data.journals import FIRST_END, LAST_LINE
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.mapping.remap import common_tail
from coverage_hooks.collect.pipeline import Request
from coverage_hooks.collect.retrieve.copies import Patience
from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.collect.runs import Choice
from coverage_hooks.errors import VolumeError
from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import NAME, NAME_LIMIT, RECORD, Name, padded
from coverage_hooks.volume.machine import boot_id
from coverage_hooks.volume.manifest import Manifest
from tests.processor import is_cheap
from tests.unit.collect.building import SOURCES, Project, Recording, examples, make_project, point, record
from tests.unit.collect.mutating import HONEST, MUTATIONS, SILENT
from tests.unit.collect.spoiling import born

#: What the sound ones ran: some of it nobody else did.
SOUND = ({"shop/cart.py": {1, 2, 7}}, {"shop/cart.py": {1, 3}, "shop/parts/till.py": {1, 2}}, {"shop/unused.py": {1}})
BAD = {"shop/cart.py": {1, 8}, "shop/unused.py": {1, 2}, "shop/__init__.py": {0}}
ARCS = {name: {(-1, line) for line in lines if line} for name, lines in BAD.items() if lines != {0}}

NAMES: st.SearchStrategy[list[str]] = st.sampled_from([SILENT, HONEST, HONEST, (*SILENT, *HONEST)]).flatmap(
    lambda kind: st.lists(st.sampled_from([each.__name__ for each in kind]), min_size=1, max_size=3)
)

#: How many times the work of collecting the sound ones alone, and how many bytes, it may take with any others beside.
TIMES, BYTES = 20, 300 << 20


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("generated") / "checkout")


@pytest.fixture(scope="module")
def alone(checkout: Project, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], object]:
    """What collects the sound ones alone."""
    base = tmp_path_factory.mktemp("alone")
    for number, each in enumerate(SOUND):
        record(base / "volume", host=f"sound-{number}", measured=each)
    return lambda: collected(checkout, base)


def collected(checkout: Project, base: Path, *, realign: bool = True) -> Ledger:
    """Collect from the volume in *base*."""
    # By name: the newest run is whichever a manifest claims to be newer.
    request = Request(choice=Choice(run="run-1"), patience=Patience(minimum=0.05, intervals=0, poll=0.01))
    pipeline.retrieve(Directory(base / "volume"), base / "out", request)
    return pipeline.combine(
        base / "out", Configuration(checkout.root / ".coveragerc", checkout.root), Inputs(realign=realign)
    )


def lines_of(path: Path) -> dict[str, set[int]]:
    """Return the lines in a data file by file name, without those that have none."""
    data = coverage.CoverageData(str(path))
    data.read()
    found = {name: set(data.lines(name) or ()) for name in data.measured_files()}
    data.close(force=True)
    return {name: lines for name, lines in found.items() if lines}


def spoil(volume: Path, chance: random.Random, names: list[str], *, branch: bool) -> dict[str, Told]:
    """Write two recordings onto *volume* and let what *names* says happen to them.

    Each has a line that its manifest does not know, and a child. Return what is told of them by then.
    """
    spoilt = [
        record(
            volume, host=host, branch=branch, measured=ARCS if branch else BAD, tail=point(1, (-1, 2) if branch else 2)
        )
        for host in ("bad", "other-bad")
    ]
    for each in spoilt:
        born(each)
        if chance.random() < 0.7:
            each.complete.touch()
            state = chance.choice(["finished", "finished", "running"])
            each.change(state=state).change_process(journal="immediate", boot=boot_id())
    bad, other = (Recording(each.path, Manifest.parse(each.manifest_path.read_bytes())) for each in spoilt)
    for name in sorted(names, key="replace_entry".__eq__):  # last of all, as reading a FIFO would take forever
        with suppress(OSError):  # an earlier one took away what this one wanted to spoil
            MUTATIONS[name](chance, bad, other)
    return {each.name: told(each.path) for each in (bad, other)}


@dataclass
class Told:
    """What a recording says: lines by path, as far as they are sound, and whether there is more that is not.

    `manifest` is None where there is none that can be read.
    """

    manifest: Manifest | None
    lines: dict[str, set[int]]
    sound: bool


def told(folder: Path) -> Told:
    """Return what the recording in *folder* says; read record by record, and by nothing but the description."""
    try:
        manifest = Manifest.parse((folder / layout.MANIFEST).read_bytes() if is_file(folder / layout.MANIFEST) else b"")
    except VolumeError:
        return Told(None, {}, sound=False)
    found = Told(manifest, {}, sound=True)
    listed = {each.file: each for each in manifest.journals}
    there = {path.name for path in folder.iterdir() if layout.JOURNAL.fullmatch(path.name)}
    for name in sorted(there | set(listed)):
        if not is_file(folder / name):
            found.sound = False
            continue
        content = (folder / name).read_bytes()
        end = read(content, found.lines, branch=manifest.process.branch)
        if len(content) - end >= RECORD.size and content[end:] != cut_name(content[end:]):
            found.sound = False
        if (prefix := listed.get(name)) is not None and (
            end < prefix.size or hashlib.sha256(content[: prefix.size]).hexdigest() != prefix.sha256
        ):
            return Told(manifest, {}, sound=False)
    return found


def is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


def read(content: bytes, lines: dict[str, set[int]], *, branch: bool) -> int:
    """Add the sound points in *content* to *lines*; return where they end."""
    names: dict[int, Name] = {}
    at = 0
    while at + RECORD.size <= len(content):
        file, context, start, end = RECORD.unpack_from(content, at)
        after = at + RECORD.size
        if (file, context, end) == (0, NAME, 0) and 0 < start <= NAME_LIMIT and after + padded(start) <= len(content):
            after += padded(start)
            try:
                name = Name.parse(content[at + RECORD.size : after])
            except VolumeError:
                return at
            first = names.setdefault(name.number, name)
            if (name.path, name.tracer) != (first.path, first.tracer):
                return at
        elif context or file not in names or not (is_arc(start, end) if branch else 0 == end <= start <= LAST_LINE):
            return at
        else:
            lines.setdefault(names[file].path, set()).update({start, end} - {0} if branch else {start})
        at = after
    return at


def is_arc(start: int, end: int) -> bool:
    return all(FIRST_END <= each <= LAST_LINE for each in (start, end))


def cut_name(content: bytes) -> bytes:
    """Return *content* if it may be the beginning of a name, whose end was not written any more."""
    file, kind, size, last = RECORD.unpack_from(content)
    is_one = (file, kind, last) == (0, NAME, 0) and len(content) - RECORD.size < padded(size) <= padded(NAME_LIMIT)
    return content if is_one and 0 not in content[RECORD.size :] else b""


def merged(*parts: dict[str, set[int]]) -> dict[str, set[int]]:
    """Return the union of *parts*."""
    return {name: set().union(*(part.get(name, set()) for part in parts)) for part in parts for name in part}


def in_checkout(checkout: Project, measured: dict[str, set[int]]) -> dict[str, set[int]]:
    """Return *measured* by the files of the checkout: to each path belongs the one with the longest common tail."""
    found: dict[str, set[int]] = {}
    for path, lines in measured.items():
        place = max(SOURCES, key=lambda name: common_tail(path, f"/app/{name}"))
        found.setdefault(str(checkout.root / place), set()).update(lines)
    return {name: lines for name, lines in found.items() if lines}


def check(checkout: Project, output: Path, ledger: Ledger, sound: list[Recording], spoilt: dict[str, Told]) -> None:
    """Compare what was combined with what is sound, and what was lost with what is not."""
    blamed = {loss.recording for loss in ledger.losses}
    assert not blamed & {each.name for each in sound}
    for each, measured in zip(sound, SOUND, strict=True):
        assert lines_of(output / f"data/.coverage.{each.name}") == in_checkout(checkout, measured)
    claims = [in_checkout(checkout, measured) for measured in SOUND]
    for row in ledger.rows:
        if (found := spoilt.get(row.recording)) is None:
            continue
        said = in_checkout(checkout, found.lines)
        kept = output / f"data/.coverage.{row.recording}"
        lines = lines_of(kept) if kept.exists() else {}
        assert row.recording in blamed or found.sound
        assert all(lines[name] <= said.get(name, set()) for name in lines), "no line that was not recorded"
        if row.recording not in blamed and not row.note.startswith("the same data as"):
            assert lines == said
        claims.append(lines)
    combined = lines_of(output / "cluster.coverage")
    assert combined == merged(*claims)
    for name, found_there in combined.items():
        assert max(found_there) <= Path(name).read_text().count("\n") + 1


@settings(max_examples=examples(30))
@given(
    seed=st.integers(0, 2**64),
    names=NAMES,
    branch=st.sampled_from([False, False, False, True]),
)
def test_the_sound_ones_stay_exact(
    checkout: Project,
    alone: Callable[[], object],
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    names: list[str],
    *,
    branch: bool,
) -> None:
    base = tmp_path_factory.mktemp("generated")
    sound = [record(base / "volume", host=f"sound-{n}", measured=each) for n, each in enumerate(SOUND)]
    spoilt = spoil(base / "volume", random.Random(seed), names, branch=branch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ledgers: list[Ledger] = []
    assert is_cheap(lambda: ledgers.append(collected(checkout, base, realign=seed % 2 == 0)), TIMES, alone)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < BYTES
    check(checkout, base / "out", ledgers[0], sound, spoilt)


@settings(max_examples=examples(3))
@given(seed=st.integers(0, 2**64), names=NAMES)
def test_every_output_copes_with_it(
    checkout: Project, tmp_path_factory: pytest.TempPathFactory, seed: int, names: list[str]
) -> None:
    base = tmp_path_factory.mktemp("outputs")
    sound = [record(base / "volume", host=f"sound-{n}", measured=each) for n, each in enumerate(SOUND)]
    spoilt = spoil(base / "volume", random.Random(seed), names, branch=False)
    arguments = [
        "collect",
        "--from",
        str(base / "volume"),
        "--run",
        "run-1",
        "--silent-after",
        "0.1",
        "--output",
        str(base / "out"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coverage_hooks.collect.retrieve.copies.LONGEST_INTERVAL", 0.1)
        patch.chdir(checkout.root)
        result = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    ledger = Ledger.load(base / "out")
    assert result.exit_code == (1 if ledger.open_losses else 0)
    assert "Traceback" not in result.output
    assert not {"\x1b", "\u202e", "\0"} & set(result.output)
    for loss in ledger.losses:
        assert loss.recording in result.output
    for name in ("summary.json", "summary.md", "html/index.html", "coverage.xml"):
        assert (base / "out" / name).stat().st_size
    assert {str(checkout.root / name) for name in SOURCES} >= set(lines_of(base / "out/.coverage"))
    check(checkout, base / "out", ledger, sound, spoilt)
