"""What is done to a recording, in words and in code; `DAMAGES` of the unit tests are most of it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from coverage_hooks.volume import layout
from tests.unit.collect.building import Recording
from tests.unit.collect.spoiling import DAMAGES

Spoil = Callable[[Recording], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One damage to the recording of `who`, and what has to come of it.

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


def _unit(name: str, done: str, spoil: Spoil | None = None) -> Case:
    """Return what the unit tests do as *name*, in the words *done*; by *spoil* where theirs wants another recording."""
    return Case(done=done, spoil=spoil or DAMAGES[name].spoil, reason=DAMAGES[name].reason, unit=name)


def _nothing(recording: Recording) -> None:
    """Leave it as it was recorded."""


def _folder(path: Callable[[Recording], Path]) -> Spoil:
    def spoil(recording: Recording) -> None:
        path(recording).unlink()
        path(recording).mkdir()

    return spoil


def _grow(path: Callable[[Recording], Path]) -> Spoil:
    return lambda recording: os.truncate(path(recording), 2 << 20)


def _stale(recording: Recording) -> None:
    shutil.copyfile(recording.path / layout.data_name(2), recording.data)


def _beyond(recording: Recording) -> None:
    """Let the data claim line 33 of a file with eight, of a process of one known Python."""
    with closing(sqlite3.connect(recording.data)) as connection, connection:
        connection.execute(
            "UPDATE line_bits SET numbits = x'0000000002' "
            "WHERE file_id = (SELECT id FROM file WHERE path LIKE '%cart.py')"
        )
    process = dataclasses.replace(recording.manifest.process, python="3.13.0")
    recording.publish_data(recording.data.read_bytes(), lines=4).change(process=process)


def _without_fingerprint(recording: Recording) -> None:
    document = json.loads(recording.sources.read_bytes())
    recording.publish_sources(
        json.dumps({path: value for path, value in document.items() if not path.endswith("cart.py")}).encode()
    )


def _twin(recording: Recording) -> None:
    """Put what another process would have recorded that ran the very same beside it."""
    name = recording.name.replace("bad", "twin")
    shutil.copytree(recording.path, recording.path.parent / name)
    Recording(recording.path.parent / name, recording.manifest).change(recording=name)


def _half(recording: Recording) -> None:
    """Cut the manifest off in the middle of a name, wherever that is by the length of what it says before."""
    content = recording.manifest_path.read_bytes()
    recording.manifest_path.write_bytes(content[: content.index(b'"process"') + 4])


def _linked_folder(recording: Recording) -> None:
    elsewhere = recording.path.rename(recording.path.with_name("elsewhere"))
    recording.path.symlink_to(elsewhere)


def _unfinished_publish(recording: Recording) -> None:
    for name in (layout.data_name(4), layout.MANIFEST):
        (recording.path / layout.temporary_name(name, 1)).write_bytes(b"half")


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
        Case(done="files of a publish that never ended lie beside it", spoil=_unfinished_publish, reason="",
             exit_code=0),
        Case(done="something else lies on the volume", spoil=_lone(lambda v: (v / "lost+found").mkdir()), reason="",
             exit_code=0),
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
        Case(done="SIGKILL, and nobody watched the cluster", spoil=_nothing, who="killed", reason="does not move"),
        Case(done="the same, and its loss is waived: `--allow-missing killed`", spoil=_nothing, who="killed",
             reason="waived", exit_code=0, options=("--allow-missing", "killed")),
        Case(done="SIGKILL before the first snapshot", spoil=_nothing, who="announced", reason="published nothing"),
        Case(done="nothing of its `run:source` was imported", spoil=_nothing, who="idle", reason="published nothing"),
        Case(done="a module was imported before recording started", spoil=_nothing, who="late",
             reason="imported before recording started"),
        Case(done="it measured branches, the others lines", spoil=_nothing, who="branches",
             reason="they cannot be combined"),
        Case(done="it never recorded: the folder is gone, and three are expected: `--expect 3`",
             spoil=lambda r: shutil.rmtree(r.path), reason="3 recordings were expected", options=("--expect", "3")),
        Case(done="its folder was given a name that is no recording's, and three are expected: `--expect 3`",
             spoil=lambda r: r.path.rename(r.path.with_name("saved")), reason="3 recordings were expected",
             options=("--expect", "3")),
    ],
    "The source files": [
        Case(done="it ran another version of a file", spoil=_nothing, who="other", reason="differs from shop/cart.py"),
        Case(done="the same, and this file may differ: `--allow-mismatch shop/cart.py`", spoil=_nothing, who="other",
             reason="left out as allowed", exit_code=0, options=("--allow-mismatch", "shop/cart.py")),
        Case(done="it ran a file that the checkout does not have", spoil=_nothing, who="renamed",
             reason="no source file of that name"),
        Case(done="the fingerprint of a file is not among the others", spoil=_without_fingerprint,
             reason="has no fingerprint"),
        _unit("a line beyond the file", "the data claims a line beyond the end of the file", _beyond),
    ],
    "The data file": [
        _unit("data cut short", "its last 5,000 bytes are missing"),
        _unit("data of no bytes", "it is empty"),
        _unit("data gone", "it is gone"),
        _unit("data with one bit flipped in a path", "one bit of it flipped"),
        _unit("data with a page overwritten", "the beginning of a page was overwritten"),
        _unit("data with a header overwritten", "its header was overwritten with zeros"),
        _unit("data of an older sequence", "an older snapshot of the same recording came back", _stale),
        _unit("data of another moment", "another sound data file is in its place"),
        _unit("a link as data", "a link to the very same content is in its place"),
        _unit("a FIFO as data", "a FIFO is in its place"),
        Case(done="a folder is in its place", spoil=_folder(lambda r: r.data), reason="is a folder"),
        Case(done="it is larger than allowed: `--data-limit 1`", spoil=_grow(lambda r: r.data),
             reason="more than the 1048576 allowed", options=("--data-limit", "1")),
    ],
    "What is in the data file, with an honest hash": [
        _unit("no SQLite", "it is no SQLite"),
        _unit("another program's tables", "a table of coverage.py was replaced by another program's"),
        _unit("a table less", "a table is missing"),
        _unit("a column more", "a table has one more column"),
        _unit("a table that is no text", "the definition of a table is no text"),
        _unit("a view", "a view more"),
        _unit("a view in place of a table", "a view is in the place of a table"),
        _unit("a trigger", "a trigger more"),
        _unit("an index", "an index more"),
        _unit("a virtual table", "a virtual table more"),
        _unit("another schema", "another version of the schema"),
        _unit("two schemas", "two versions of the schema"),
        _unit("a plug-in", "a file was measured through a plug-in of coverage.py that is not loaded here"),
        _unit("a plug-in that is no text", "the name of a plug-in is no text"),
        _unit("a plug-in of a file that is not there", "a plug-in for a file that it does not name"),
        _unit("garbage with an honest hash", "a page of it is noise"),
        _unit("lines and branches", "lines and branches in one file"),
        _unit("neither lines nor branches", "it does not say which of both it holds"),
        _unit("a kind that is no number", "what it says about that is no number"),
        _unit("no lines", "files without a single line"),
        _unit("lines as text", "text where the lines of a file should be"),
        _unit("lines of nobody", "lines of a file that it does not name"),
        _unit("a path as a number", "bytes where a path should be"),
        _unit("a path that is no text", "a path that is not UTF-8"),
        _unit("a line beyond any program", "a line with the number 10,400,000"),
        _unit("more lines than fit", "nine megabytes of lines for each file"),
    ],
    "What the manifest claims of the data": [
        _unit("a size too large", "a terabyte"),
        _unit("a size too small", "one byte"),
        _unit("more files", "one file more than there are"),
        _unit("more lines", "one line more than there are"),
        _unit("arcs", "an arc, of which there are none"),
        _unit("branches", "that branches were measured"),
    ],
    "The manifest": [
        _unit("no manifest", "it is gone"),
        _unit("nothing", "it is empty"),
        _unit("half a manifest", "it was cut off in the middle", _half),
        _unit("no text", "it is no text"),
        _unit("a list", "it is a list"),
        _unit("brackets", "a hundred thousand brackets"),
        _unit("quotes", "half a million escaped quotes"),
        _unit("two megabytes", "two megabytes of spaces"),
        _unit("another format", "a newer format"),
        _unit("another recording", "it is that of another recording"),
        Case(done="the folder was copied by hand, under another name of the same kind",
             spoil=lambda r: shutil.copytree(r.path, r.path.with_name(r.name.replace("bad", "copy"))),
             reason="copied by hand?"),
        _unit("a number as text", "a number is text"),
        _unit("a truth as number", "a number is `true`"),
        _unit("not a number", "a number is `NaN`"),
        _unit("a negative size", "a size is negative"),
        _unit("an endless number", "a number of 4,000 digits"),
        _unit("an endless interval", "an interval of 400 digits"),
        _unit("a name that leaves", "the data's name leads out of the folder"),
        _unit("a name from the root", "the data's name is a path from the root"),
        _unit("sources that leave", "the fingerprints' name leads out of the folder"),
        _unit("too many problems", "51 problems"),
        _unit("problems that are none", "40,000 lists in one"),
        _unit("a link as manifest", "a link to the very same content is in its place"),
        _unit("a FIFO as manifest", "a FIFO is in its place"),
        Case(done="a folder is in its place", spoil=_folder(lambda r: r.manifest_path), reason="is a folder"),
        _unit("a link as recording", "the recording's folder is a link to the very same", _linked_folder),
        _unit("a file as recording", "a file is in the place of the recording's folder"),
    ],
    "The fingerprints": [
        _unit("sources gone", "they are gone"),
        _unit("sources changed", "they are others"),
        _unit("sources that are none", "with an honest hash, a fingerprint is no text"),
        _unit("a link as sources", "a link to the very same content is in their place"),
        _unit("a FIFO as sources", "a FIFO is in their place"),
        Case(done="a folder is in their place", spoil=_folder(lambda r: r.sources), reason="is a folder"),
        Case(done="they are larger than allowed: `--sources-limit 1`", spoil=_grow(lambda r: r.sources),
             reason="more than the 1048576 allowed", options=("--sources-limit", "1")),
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
