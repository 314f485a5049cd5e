"""What is done to a recording, in words and in code; `DAMAGES` of the unit tests are most of it."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import Name
from tests.unit.collect.building import Recording, point
from tests.unit.collect.spoiling import DAMAGES, Spoil, behind, born, child_of, folder, hole, honest, more, name_in

#: Lines by file.
Lines = dict[str, set[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One damage to the recording of `who`, and what has to come of it, with the lines that it ran `more`, by file.

    `reason` is in what is printed, or nothing is printed when it is empty; `options` are those of `collect`. `sound` is
    false where the volume as a whole is not what was asked for, so that nothing of it is reported. `unit` is the name
    that the unit tests have for it.
    """

    done: str
    spoil: Spoil
    reason: str
    who: str = "bad"
    exit_code: int = 1
    options: tuple[str, ...] = ()
    sound: bool = True
    unit: str = ""
    more: Lines = field(default_factory=dict)


_EIGHT: Lines = {"shop/cart.py": {8}}


def _unit(name: str, done: str, spoil: Spoil | None = None, more: Lines | None = None) -> Case:
    """Return what the unit tests do as *name*, in the words *done*; by *spoil* where theirs wants another recording.

    *more* is as in `Case`.
    """
    return Case(done=done, spoil=spoil or DAMAGES[name].spoil, reason=DAMAGES[name].reason, unit=name, more=more or {})


def _nothing(recording: Recording) -> None:
    """Leave it as it was recorded."""


def _grow(recording: Recording) -> None:
    os.truncate(recording.journal, 2 << 20)


def _behind(make: Callable[[Name], bytes]) -> Spoil:
    """Let the process have been killed while it wrote that."""
    return lambda recording: behind(make)(_immediate(recording))


def _immediate(recording: Recording, *, marker: bool = True, **changes: Any) -> Recording:
    """Make it what mode `immediate` would have left, which not every Python has; when it was written stays the same."""
    if marker:
        recording.complete.touch()
    written = recording.manifest_path.stat().st_mtime_ns
    changed = recording.change_process(journal="immediate", **changes)
    os.utime(changed.manifest_path, ns=(written, written))
    return changed


def _hole_in_prefix(recording: Recording) -> None:
    _immediate(recording)
    DAMAGES["journal with a hole"].spoil(recording)


def _later(found: list[bytes], cart: Name) -> list[bytes]:
    """Name the file without its fingerprint first."""
    early = dataclasses.replace(cart, fingerprint=None).to_bytes()
    return [*(early if name_in(each) == cart else each for each in found), cart.to_bytes()]


def _half(entry: bytes) -> bytes:
    return entry[: len(entry) // 2 - 3]


def _twin(recording: Recording) -> None:
    """Put what another process would have recorded that ran the very same beside it."""
    name = recording.name.replace("bad", "twin")
    shutil.copytree(recording.path, recording.path.parent / name)
    Recording(recording.path.parent / name, recording.manifest).change(recording=name)


def _half_manifest(recording: Recording) -> None:
    """Cut the manifest off in the middle of a name, wherever that is by the length of what it says before."""
    content = recording.manifest_path.read_bytes()
    recording.manifest_path.write_bytes(content[: content.index(b'"process"') + 4])


def _linked_folder(recording: Recording) -> None:
    elsewhere = recording.path.rename(recording.path.with_name("elsewhere"))
    recording.path.symlink_to(elsewhere)


def _unfinished_publish(recording: Recording) -> None:
    (recording.path / layout.temporary_name(layout.MANIFEST, 1)).write_bytes(b"half")


def _long_ago(recording: Recording) -> None:
    recording.manifest_path.write_bytes(b"")
    recording.path.rename(recording.path.with_name("bad-20200101T000000Z-00000000"))


def _everything(volume: Path) -> None:
    for each in volume.iterdir():
        shutil.rmtree(each)


def _lone(change: Callable[[Path], object]) -> Spoil:
    """Change the volume as a whole."""
    return lambda recording: change(recording.path.parent)


def _file_as_volume(volume: Path) -> None:
    shutil.rmtree(volume)
    volume.write_bytes(b"")


CATALOGUE: dict[str, list[Case]] = {
    "No damage": [
        Case(done="nothing at all", spoil=_nothing, reason="", exit_code=0),
        Case(done="a manifest that was never finished lies beside it", spoil=_unfinished_publish, reason="",
             exit_code=0),
        Case(done="something else lies on the volume", spoil=_lone(lambda v: (v / "lost+found").mkdir()), reason="",
             exit_code=0),
        Case(done="a forked child ran a line more, and the manifest does not name its journal", spoil=born, reason="",
             exit_code=0, more=_EIGHT),
        Case(done="a forked child had begun a journal, and nothing is in it", spoil=lambda r: child_of(r).touch(),
             reason="", exit_code=0),
        Case(done="each line is in the journal twice",
             spoil=honest(lambda found, _: [*found, *(each for each in found if not name_in(each))]), reason="",
             exit_code=0),
        Case(done="a file is named twice", spoil=more(Name.to_bytes), reason="", exit_code=0),
        Case(done="a file is named twice, and only then its fingerprint is known", spoil=honest(_later), reason="",
             exit_code=0),
        Case(done="more was written since the manifest was", spoil=behind(lambda cart: point(cart.number, 8)),
             reason="", exit_code=0, more=_EIGHT),
        Case(done="another process ran the very same", spoil=_twin, reason="combined once", exit_code=0),
        Case(done="it belongs to another run", spoil=_nothing, who="earlier", reason="earlier, not combined",
             exit_code=0),
        Case(done="it is older than the run, and its manifest is empty", spoil=_long_ago,
             reason="the manifest is empty", exit_code=0),
        Case(done="its configuration would have made coverage.py lose data", spoil=_nothing, who="stubborn",
             reason="sigterm = True is ignored", exit_code=0),
        Case(done="one of its problems would clear the screen and turn the text around",
             spoil=lambda r: r.change(problems=["\x1b[2J\u202egone"]), reason="\\x1b[2J\\u202egone", exit_code=0),
    ],
    "The process": [
        Case(done="SIGKILL in mode `interval`, and nobody watched the cluster", spoil=_nothing, who="killed",
             reason="does not move"),
        Case(done="the same, and its loss is waived: `--allow-missing killed`", spoil=_nothing, who="killed",
             reason="waived", exit_code=0, options=("--allow-missing", "killed")),
        Case(done="SIGKILL in mode `interval`, and the marker `complete` lies there all the same",
             spoil=lambda r: r.complete.touch(), who="killed", reason="does not move"),
        Case(done="SIGKILL in mode `final`", spoil=lambda r: r.change_process(journal="final"), who="announced",
             reason="in mode final all is saved then, so all is lost"),
        Case(done="SIGKILL before the first snapshot", spoil=_nothing, who="announced", reason="published nothing"),
        Case(done="nothing of its `run:source` was imported", spoil=_nothing, who="idle", reason="published nothing"),
        Case(done="a module was imported before recording started", spoil=_nothing, who="late",
             reason="imported before recording started", more={"shop/cart.py": {1, 7}, "shop/__init__.py": {1}}),
        Case(done="it measured branches, the others lines", spoil=_nothing, who="branches",
             reason="they cannot be combined"),
        Case(done="it never recorded: the folder is gone, and three are expected: `--expect 3`",
             spoil=lambda r: shutil.rmtree(r.path), reason="3 recordings were expected", options=("--expect", "3")),
        Case(done="its folder was given a name that is no recording's, and three are expected: `--expect 3`",
             spoil=lambda r: r.path.rename(r.path.with_name("saved")), reason="3 recordings were expected",
             options=("--expect", "3")),
    ],
    "The process, killed in mode immediate": [
        Case(done="nothing else", spoil=_immediate, who="killed", reason="nothing is lost", exit_code=0),
        Case(done="its last record is half written", spoil=_behind(lambda cart: _half(point(cart.number, 8))),
             who="killed", reason="nothing is lost", exit_code=0),
        Case(done="a name is half written", spoil=_behind(lambda cart: _half(cart.to_bytes())), who="killed",
             reason="nothing is lost", exit_code=0),
        Case(done="it wrote more than the manifest knows", spoil=_behind(lambda cart: point(cart.number, 8)),
             who="killed", reason="nothing is lost", exit_code=0, more=_EIGHT),
        Case(done="the marker `complete` is missing: a point could not be written",
             spoil=lambda r: _immediate(r, marker=False), who="killed", reason="does not move"),
        Case(done="its machine has restarted since", spoil=lambda r: _immediate(r, boot="0" * 32), who="killed",
             reason="restarted"),
        Case(done="a hole of zeros behind what the manifest names", who="killed",
             spoil=_behind(lambda cart: hole(cart.number)), reason="a hole, or what is no record",
             more=_EIGHT),
        Case(done="a hole of zeros in what the manifest names", spoil=_hole_in_prefix, who="killed",
             reason="SHA-256 of its first"),
    ],
    "The source files": [
        Case(done="it ran another version of a file", spoil=_nothing, who="other", reason="differs from shop/cart.py"),
        Case(done="the same, and this file may differ: `--allow-mismatch shop/cart.py`", spoil=_nothing, who="other",
             reason="left out as allowed", exit_code=0, options=("--allow-mismatch", "shop/cart.py")),
        Case(done="it ran a file that the checkout does not have", spoil=_nothing, who="renamed",
             reason="no source file of that name"),
        _unit("no fingerprint", "the journal names a file without its fingerprint"),
        _unit("no fingerprint, and why", "the recorder could not tell what was imported"),
        _unit("two fingerprints", "a file is named twice, with two fingerprints"),
        _unit("a plug-in", "a file was measured through a plug-in of coverage.py that is not loaded here"),
        _unit("a line beyond the file", "the journal has a line beyond the end of the file"),
    ],
    "The journal": [
        _unit("journal cut short", "all but its first 40 bytes are missing"),
        _unit("journal cut by a record", "its last record is missing"),
        _unit("journal of no bytes", "it is empty"),
        _unit("journal gone", "it is gone"),
        _unit("journal with one bit flipped in a path", "one bit of a path flipped"),
        _unit("journal with another line", "one byte changed, so that it has another line"),
        _unit("journal with a hole", "a record was overwritten with zeros"),
        _unit("journal with noise in it", "256 bytes were overwritten"),
        _unit("journal of another moment", "another sound journal is in its place"),
        _unit("a link as journal", "a link to the very same content is in its place"),
        _unit("a FIFO as journal", "a FIFO is in its place"),
        _unit("a folder as journal", "a folder is in its place"),
        _unit("a journal of gigabytes", "it has four gigabytes, most of them a hole"),
        Case(done="it is larger than allowed: `--journal-limit 1`", spoil=_grow,
             reason="more than the 1048576 allowed", options=("--journal-limit", "1")),
    ],
    "What is in the journal, with an honest hash": [
        _unit("no journal", "it is none"),
        _unit("a hole with an honest hash", "a record of zeros"),
        _unit("a file without a name", "a line of a file with an unknown number"),
        _unit("a name less", "the name of a file is missing"),
        _unit("a context", "a line with a context"),
        _unit("a name of another kind", "a record of another kind"),
        _unit("a line beyond any program", "a line with the number 16,777,216"),
        _unit("a negative line", "a negative line"),
        _unit("arcs among lines", "an arc, and lines were measured"),
        _unit("more arcs than any program has", "two million arcs of one file"),
        _unit("more lines than any program has", "line 9,999,999 of forty files"),
        _unit("no lines", "files without a single line"),
        _unit("a name of another file", "a second path for a file"),
        _unit("a name by another plug-in", "a second plug-in for a file"),
        _unit("a name of no bytes", "a name of no bytes"),
        _unit("a name of less than no bytes", "a name of -16 bytes"),
        _unit("a name that is too long", "a name of 16,385 bytes"),
        _unit("a name that is cut short", "the end of a name is missing"),
        _unit("a name that is no JSON", "a name is no JSON"),
        _unit("a name that is no text", "a name is no text"),
        _unit("a name with brackets", "a name of 16,384 brackets"),
        _unit("a name that is a list", "a name is a list"),
        _unit("a name without a number", "a name has no number"),
        _unit("a name with number 0", "a name has the number 0"),
        _unit("a name with an endless number", "a name has a number of 4,000 digits"),
        _unit("a name without a path", "a name has no path"),
        _unit("a path without end", "a path of 4,098 characters"),
        _unit("a fingerprint that is none", "a fingerprint is a number"),
        _unit("a fingerprint of other digits", "a fingerprint is no hexadecimal number"),
        _unit("half a fingerprint", "a fingerprint has one of its two parts"),
    ],
    "What follows in the journal since the manifest was written": [
        _unit("a hole behind it", "a line, a page of zeros, another line", more=_EIGHT),
        _unit("noise behind it", "noise"),
        _unit("a file without a name behind it", "a line of a file with an unknown number"),
        _unit("a negative line behind it", "a negative line"),
        _unit("a line beyond any program behind it", "a line with the number 16,777,216"),
        _unit("an arc behind it", "an arc, and lines were measured"),
        _unit("another name behind it", "a second path for a file"),
        _unit("a broken name behind it", "a name is no JSON"),
        _unit("a name without end behind it", "a name that claims more bytes than there are, and lines in them"),
    ],
    "The journal of a forked child": [
        _unit("a child's journal with a hole", "a line, a page of zeros, another line", more=_EIGHT),
        _unit("a child's journal of noise", "it is none"),
        _unit("a link as a child's journal", "a link to the very same content is in its place"),
        _unit("a FIFO as a child's journal", "a FIFO is in its place"),
        _unit("a folder as a child's journal", "a folder is in its place"),
        _unit("a child's journal of gigabytes", "it has four gigabytes, most of them a hole"),
        _unit("a child's journal gone that is named", "the manifest names it, and it is gone"),
    ],
    "What the manifest claims of the journal": [
        _unit("a size too large", "a terabyte"),
        _unit("a size too small", "16 bytes"),
        _unit("another hash", "another hash"),
        _unit("branches", "that branches were measured"),
    ],
    "The manifest": [
        _unit("no manifest", "it is gone"),
        _unit("nothing", "it is empty"),
        _unit("half a manifest", "it was cut off in the middle", _half_manifest),
        _unit("no text", "it is no text"),
        _unit("a list", "it is a list"),
        _unit("brackets", "a hundred thousand brackets"),
        _unit("quotes", "half a million escaped quotes"),
        _unit("two megabytes", "two megabytes of spaces"),
        _unit("an older format", "an older format: data files and fingerprints, and no journal"),
        _unit("a newer format", "a newer format"),
        _unit("another recording", "it is that of another recording"),
        Case(done="the folder was copied by hand, under another name of the same kind",
             spoil=lambda r: shutil.copytree(r.path, r.path.with_name(r.name.replace("bad", "copy"))),
             reason="copied by hand?"),
        _unit("a number as text", "a number is text"),
        _unit("a truth as number", "a number is `true`"),
        _unit("not a number", "a number is `NaN`"),
        _unit("a negative size", "a size is negative"),
        _unit("half a record", "a size is half a record too large"),
        _unit("an endless number", "a number of 4,000 digits"),
        _unit("an endless interval", "an interval of 400 digits"),
        _unit("a hash that is none", "a hash is none"),
        _unit("a journal twice", "it names a journal twice"),
        _unit("a name that leaves", "the journal's name leads out of the folder"),
        _unit("a name from the root", "the journal's name is a path from the root"),
        _unit("a parent that leaves", "the parent's name leads out of the folder"),
        _unit("a mode that is none", "an unknown mode"),
        _unit("too many problems", "51 problems"),
        _unit("problems that are none", "40,000 lists in one"),
        _unit("a link as manifest", "a link to the very same content is in its place"),
        _unit("a FIFO as manifest", "a FIFO is in its place"),
        Case(done="a folder is in its place", spoil=folder(lambda r: r.manifest_path), reason="is a folder"),
        _unit("a link as recording", "the recording's folder is a link to the very same", _linked_folder),
        _unit("a file as recording", "a file is in the place of the recording's folder"),
    ],
    "The volume": [
        Case(done="it is gone", spoil=_lone(shutil.rmtree), reason="no recordings can be read", exit_code=3,
             sound=False),
        Case(done="a file is in its place", spoil=_lone(_file_as_volume), reason="no recordings can be read",
             exit_code=3, sound=False),
        Case(done="it is empty", spoil=_lone(_everything), reason="nothing was recorded", sound=False),
        Case(done="it holds other runs only: `--run run-2`", spoil=_nothing, reason="nothing was recorded for run",
             options=("--run", "run-2"), sound=False),
    ],
}  # fmt: skip
