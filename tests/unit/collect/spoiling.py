"""Every way in which a recording can be other than it should be, by name, with what is to be said about it.

Done to what the tests make and to what a recorder has left alike: whatever is changed is looked for in the journal.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage_hooks.collect.data.journals import LAST_LINE
from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import NAME, NAME_LIMIT, RECORD, Name, padded
from tests.unit.collect.building import Recording, point

PREFIX = "/app/"

#: The journal of a forked child, and four gigabytes that take no room.
CHILD, GIGABYTES = 77, 4 << 30

Spoil = Callable[[Recording], object]


@dataclass(frozen=True)
class Damage:
    """How to spoil a recording, and the file and the words that its loss has to name."""

    spoil: Spoil
    file: str
    reason: str


def entries(content: bytes) -> Iterator[bytes]:
    """Yield each point and each name in sound journal *content*, a name with its text."""
    at = 0
    while at < len(content):
        file, kind, size, _ = RECORD.unpack_from(content, at)
        end = at + RECORD.size + (padded(size) if (file, kind) == (0, NAME) else 0)
        yield content[at:end]
        at = end


def name_in(entry: bytes) -> Name | None:
    """Return the name that *entry* gives; None where it is a point."""
    _, kind, size, _ = RECORD.unpack_from(entry)
    return Name.parse(entry[RECORD.size :][:size]) if kind == NAME else None


def cart_of(recording: Recording) -> Name:
    """Return the name of the one file of which several lines ran."""
    found = filter(None, map(name_in, entries(recording.journal.read_bytes())))
    return next(name for name in found if name.path.endswith("/cart.py"))


def name_bytes(text: bytes, *, size: int | None = None) -> bytes:
    """Return a name of *text*, whatever that is; by default its record tells the true *size*."""
    size = len(text) if size is None else size
    return RECORD.pack(0, NAME, size, 0) + text.ljust(padded(len(text)))


def _document(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Change the manifest's JSON."""

    def spoil(recording: Recording) -> None:
        document = json.loads(recording.manifest_path.read_bytes())
        change(document)
        recording.manifest_path.write_text(json.dumps(document))

    return spoil


def _field(*path: str | int, value: object) -> Spoil:
    def change(document: Any) -> None:
        *above, last = path
        for name in above:
            document = document[name]
        document[last] = value

    return _document(change)


def _bytes(content: bytes) -> Spoil:
    return lambda recording: recording.manifest_path.write_bytes(content)


def fifo(path: Callable[[Recording], Path]) -> Spoil:
    """Put a FIFO in place of the entry, if there is one."""

    def spoil(recording: Recording) -> None:
        path(recording).unlink(missing_ok=True)
        os.mkfifo(path(recording))

    return spoil


def folder(path: Callable[[Recording], Path]) -> Spoil:
    """Put a folder in place of the entry, if there is one."""

    def spoil(recording: Recording) -> None:
        path(recording).unlink(missing_ok=True)
        path(recording).mkdir()

    return spoil


def _link(path: Callable[[Recording], Path]) -> Spoil:
    """Put a link in place of the entry, to the very same content."""

    def spoil(recording: Recording) -> None:
        place = path(recording)
        elsewhere = recording.path.parent / f"elsewhere-of-{recording.name}-{place.name}"
        place.rename(elsewhere)
        place.symlink_to(elsewhere)

    return spoil


def _file_as_folder(recording: Recording) -> None:
    shutil.rmtree(recording.path)
    recording.path.write_text("not a folder")


def _many(recording: Recording) -> None:
    # 40,000 lists in one: no bracket is deep, and there is a megabyte of them.
    _field("problems", value=[[]] * 40_000)(recording)


# -- the bytes of a journal, of which its manifest knows nothing -------------------------------------------------------


def _changed(change: Callable[[bytes, Recording], bytes]) -> Spoil:
    """Change what the manifest has hashed."""

    def spoil(recording: Recording) -> None:
        recording.journal.write_bytes(change(recording.journal.read_bytes(), recording))

    return spoil


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _another_line(content: bytes, recording: Recording) -> bytes:
    """Let a line that was run be its neighbour: no reader could tell."""
    number = cart_of(recording).number
    return content.replace(point(number, 4), point(number, 5))


def _doubled(content: bytes, recording: Recording) -> bytes:
    """Say the same in other bytes."""
    return b"".join(each if name_in(each) else each * 2 for each in entries(content))


def _holed(content: bytes, recording: Recording) -> bytes:
    at = content.index(point(cart_of(recording).number, 7))
    return content[:at] + bytes(RECORD.size) + content[at + RECORD.size :]


# -- the records of a journal, by a manifest that is honest about them -------------------------------------------------


def honest(change: Callable[[list[bytes], Name], list[bytes]]) -> Spoil:
    """Let *change* do something to the entries of the journal, of which one file has that name."""

    def spoil(recording: Recording) -> None:
        cart = cart_of(recording)
        recording.publish(b"".join(change(list(entries(recording.journal.read_bytes())), cart)))

    return spoil


def more(make: Callable[[Name], bytes]) -> Spoil:
    """Put an entry behind the others."""
    return honest(lambda found, cart: [*found, make(cart)])


def renamed(make: Callable[[Name], bytes]) -> Spoil:
    """Put what *make* makes of the file's name in the place of that."""
    return honest(lambda found, cart: [make(cart) if name_in(each) == cart else each for each in found])


def _replaced(**changes: Any) -> Spoil:
    return renamed(lambda cart: dataclasses.replace(cart, **changes).to_bytes())


def _text(change: Callable[[dict[str, Any]], object]) -> Callable[[Name], bytes]:
    """Change the JSON of a name."""

    def make(cart: Name) -> bytes:
        document = json.loads(cart.to_bytes()[RECORD.size :])
        change(document)
        return name_bytes(json.dumps(document).encode())

    return make


def another_import(cart: Name) -> bytes:
    """Return a name for the file again, with another fingerprint."""
    assert cart.fingerprint is not None
    return dataclasses.replace(cart, fingerprint=dataclasses.replace(cart.fingerprint, sha256="0" * 64)).to_bytes()


def _far_lines(found: list[bytes], cart: Name) -> list[bytes]:
    """Name 40 files more, each with a line so high that all lines before it take megabytes."""
    numbers = range(1000, 1040)
    names = (dataclasses.replace(cart, number=number, path=f"{cart.path}{number}") for number in numbers)
    return [*found, *(name.to_bytes() + point(name.number, 9_999_999) for name in names)]


def _million_arcs(recording: Recording) -> None:
    """Claim two million arcs of one file."""
    recording = recording.change_process(branch=True)
    number = cart_of(recording).number
    arcs = array("q", (part for line in range(2_000_001) for part in (number, line)))
    recording.publish(recording.journal.read_bytes() + arcs.tobytes())


# -- what was appended since the manifest was written ------------------------------------------------------------------


def behind(make: Callable[[Name], bytes], number: int = 0) -> Spoil:
    """Append to a journal."""
    return lambda recording: recording.append(make(cart_of(recording)), number)


def hole(number: int) -> bytes:
    """Return a line, what a file system may leave of what was not on the disk yet, and another sound line behind it."""
    return point(number, 8) + bytes(4096) + point(number, 2)


# -- the journal of a forked child, which no manifest has to name ------------------------------------------------------


def child_of(recording: Recording) -> Path:
    """Return where a forked child's journal is."""
    return recording.path / layout.journal_name(CHILD)


def born(recording: Recording) -> None:
    """Let a forked child have run a line more."""
    cart = cart_of(recording)
    child_of(recording).write_bytes(dataclasses.replace(cart, number=1).to_bytes() + point(1, 8))


def _child(then: Spoil) -> Spoil:
    def spoil(recording: Recording) -> None:
        born(recording)
        then(recording)

    return spoil


def _named_child(recording: Recording) -> None:
    born(recording)
    recording.publish(child_of(recording).read_bytes(), CHILD)
    child_of(recording).unlink()


def _beyond_file(recording: Recording) -> None:
    """Claim line 33 of a file with eight, of a process of one known Python."""
    more(lambda cart: point(cart.number, 33))(recording)
    document = json.loads(recording.manifest_path.read_bytes())
    document["process"]["python"] = "3.13.0"
    recording.manifest_path.write_text(json.dumps(document))


journal, child, manifest = layout.journal_name(0), layout.journal_name(CHILD), layout.MANIFEST
cart = f"{PREFIX}shop/cart.py"

_DIFFERS = "damaged: the SHA-256 of its first "
_BEHIND = "what came after it is lost"

DAMAGES = {
    # What a broken disk or a broken copy does to a journal.
    "journal cut short": Damage(lambda r: os.truncate(r.journal, 40), journal, "truncated: 40 of "),
    "journal cut by a record": Damage(
        lambda r: os.truncate(r.journal, r.journal.stat().st_size - RECORD.size), journal, "truncated: "
    ),
    "journal of no bytes": Damage(lambda r: r.journal.write_bytes(b""), journal, "truncated: 0 of "),
    "journal gone": Damage(lambda r: r.journal.unlink(), journal, "No such file"),
    "journal with one bit flipped in a path": Damage(
        _changed(lambda content, _: _flipped(content, content.index(b"shop/cart.py"))), journal, _DIFFERS
    ),
    "journal with another line": Damage(_changed(_another_line), journal, _DIFFERS),
    "journal with a hole": Damage(_changed(_holed), journal, _DIFFERS),
    "journal with noise in it": Damage(
        _changed(lambda content, _: content[:16] + bytes(range(256)) + content[272:]), journal, _DIFFERS
    ),
    "journal of another moment": Damage(_changed(_doubled), journal, _DIFFERS),
    "a link as journal": Damage(_link(lambda r: r.journal), journal, "'journal-0' is a link"),
    "a FIFO as journal": Damage(fifo(lambda r: r.journal), journal, "'journal-0' is a FIFO"),
    "a folder as journal": Damage(folder(lambda r: r.journal), journal, "'journal-0' is a folder"),
    "a journal of gigabytes": Damage(
        lambda r: os.truncate(r.journal, GIGABYTES), journal, "has 4294967296 bytes, more than the 1073741824 allowed"
    ),
    # What a confused or hostile writer publishes with an honest hash.
    "no journal": Damage(
        lambda r: r.publish(b"\x7fELF" * 4096), journal, "damaged behind byte 0: a record of an unknown kind"
    ),
    "a hole with an honest hash": Damage(more(lambda _: bytes(RECORD.size)), journal, "a hole, or what is no record"),
    "a file without a name": Damage(more(lambda _: point(99, 1)), journal, "a point of file 99, which has no name"),
    "a name less": Damage(
        honest(lambda found, cart: [each for each in found if name_in(each) != cart]), journal, "which has no name"
    ),
    "a context": Damage(more(lambda cart: RECORD.pack(cart.number, 1, 1, 0)), journal, "a record of an unknown kind"),
    "a name of another kind": Damage(more(lambda _: RECORD.pack(0, 2, 16, 0)), journal, "a record of an unknown kind"),
    "a line beyond any program": Damage(
        more(lambda cart: point(cart.number, LAST_LINE + 1)), journal, "has no line (16777216, 0)"
    ),
    "a negative line": Damage(more(lambda cart: point(cart.number, -1)), journal, "has no line (-1, 0)"),
    "arcs among lines": Damage(more(lambda cart: point(cart.number, (1, 2))), journal, "has no line (1, 2)"),
    "more arcs than any program has": Damage(_million_arcs, journal, "damaged: it holds more than any"),
    "more lines than any program has": Damage(honest(_far_lines), journal, "damaged: it holds more than any"),
    "no lines": Damage(
        honest(lambda found, _: [each for each in found if name_in(each)]), journal, "empty: it holds no line"
    ),
    # The same of names.
    "a name of another file": Damage(
        more(lambda cart: dataclasses.replace(cart, path=f"{cart.path}x").to_bytes()), journal, "a second name for file"
    ),
    "a name by another plug-in": Damage(
        more(lambda cart: dataclasses.replace(cart, tracer="x.y").to_bytes()), journal, "a second name for file"
    ),
    "a name of no bytes": Damage(more(lambda _: name_bytes(b"")), journal, "a name of no possible length"),
    "a name of less than no bytes": Damage(
        more(lambda _: name_bytes(b"", size=-16)), journal, "a name of no possible length"
    ),
    "a name that is too long": Damage(
        more(lambda _: name_bytes(b" " * (NAME_LIMIT + 1))), journal, "a name of no possible length"
    ),
    "a name that is cut short": Damage(more(lambda _: name_bytes(b"{}", size=64)), journal, "it ends within a record"),
    "a name that is no JSON": Damage(more(lambda _: name_bytes(b"{")), journal, "a name that cannot be read: not JSON"),
    "a name that is no text": Damage(more(lambda _: name_bytes(b"\xff")), journal, "cannot be read: not UTF-8 text"),
    "a name with brackets": Damage(
        more(lambda _: name_bytes(b"[" * NAME_LIMIT)), journal, "brackets nested deeper than 1"
    ),
    "a name that is a list": Damage(more(lambda _: name_bytes(b"[]")), journal, "a name that is no JSON object"),
    "a name without a number": Damage(renamed(_text(lambda d: d.pop("id"))), journal, "a name with number None"),
    "a name with number 0": Damage(_replaced(number=0), journal, "a name with number 0: expected 1 to"),
    "a name with an endless number": Damage(
        renamed(_text(lambda d: d.update(id=10**4000))), journal, "number 100000000000000000...0"
    ),
    "a name without a path": Damage(renamed(_text(lambda d: d.pop("path"))), journal, "is no path of at most 4096"),
    "a path without end": Damage(
        renamed(_text(lambda d: d.update(path="/x" * 2049))), journal, "is no path of at most 4096 characters"
    ),
    "a fingerprint that is none": Damage(
        renamed(_text(lambda d: d.update(sha256=7))), journal, "or its other fields are no text"
    ),
    "a fingerprint of other digits": Damage(
        renamed(_text(lambda d: d.update(sha256="x" * 64))), journal, "has a fingerprint that is not 64 and 40 hex"
    ),
    "half a fingerprint": Damage(renamed(_text(lambda d: d.pop("git"))), journal, "has a fingerprint that is not 64"),
    # What is refused of one file, and of no other.
    "no fingerprint": Damage(_replaced(fingerprint=None), cart, "has no fingerprint, so nobody knows"),
    "no fingerprint, and why": Damage(
        _replaced(fingerprint=None, problem="it was changed after it was imported"), cart, "after it was imported"
    ),
    "two fingerprints": Damage(more(another_import), cart, "it was imported in two versions"),
    "a plug-in": Damage(
        _replaced(tracer="x.y"), cart, "was measured through the coverage plugin 'x.y', which is not loaded here"
    ),
    "a line beyond the file": Damage(_beyond_file, cart, "damaged: line 33 of a file with 8 lines"),
    # What follows what the manifest names: it counts as far as it is sound.
    "a hole behind it": Damage(
        behind(lambda cart: hole(cart.number)), journal, f"a hole, or what is no record; {_BEHIND}"
    ),
    "noise behind it": Damage(behind(lambda _: bytes(range(255, -1, -1))), journal, f"an unknown kind; {_BEHIND}"),
    "a file without a name behind it": Damage(behind(lambda _: point(99, 1)), journal, "which has no name; what came"),
    "a negative line behind it": Damage(behind(lambda cart: point(cart.number, -1)), journal, "has no line (-1, 0)"),
    "a line beyond any program behind it": Damage(
        behind(lambda cart: point(cart.number, LAST_LINE + 1)), journal, "has no line (16777216, 0)"
    ),
    "an arc behind it": Damage(behind(lambda cart: point(cart.number, (1, 2))), journal, "has no line (1, 2)"),
    "another name behind it": Damage(
        behind(lambda cart: dataclasses.replace(cart, path=f"{cart.path}x").to_bytes()), journal, "a second name for"
    ),
    "a broken name behind it": Damage(behind(lambda _: name_bytes(b"{")), journal, "a name that cannot be read"),
    "a name without end behind it": Damage(
        behind(lambda cart: RECORD.pack(0, NAME, 4096, 0) + point(cart.number, 8)),
        journal,
        "a name of no possible text",
    ),
    # What a forked child wrote, which no manifest has to name.
    "a child's journal with a hole": Damage(
        _child(behind(lambda _: hole(1), CHILD)), child, f"what is no record; {_BEHIND}"
    ),
    "a child's journal of noise": Damage(lambda r: child_of(r).write_bytes(bytes(range(256))), child, "damaged behind"),
    "a link as a child's journal": Damage(_child(_link(child_of)), child, "'journal-77' is a link"),
    "a FIFO as a child's journal": Damage(fifo(child_of), child, "'journal-77' is a FIFO"),
    "a folder as a child's journal": Damage(folder(child_of), child, "'journal-77' is a folder"),
    "a child's journal of gigabytes": Damage(
        _child(lambda r: os.truncate(child_of(r), GIGABYTES)), child, "has 4294967296 bytes, more than the"
    ),
    "a child's journal gone that is named": Damage(_named_child, child, "No such file"),
    # What the manifest says and is not so.
    "a size too large": Damage(_field("journals", 0, "size", value=10**12), journal, "of 1000000000000 bytes"),
    "a size too small": Damage(_field("journals", 0, "size", value=16), journal, f"{_DIFFERS}16 bytes differs"),
    "another hash": Damage(_field("journals", 0, "sha256", value="0" * 64), journal, _DIFFERS),
    "branches": Damage(_field("process", "branch", value=True), manifest, "they cannot be combined"),
    # What the manifest may not say.
    "half a record": Damage(_field("journals", 0, "size", value=24), manifest, "size is 24, expected whole records"),
    "a hash that is none": Damage(_field("journals", 0, "sha256", value="x"), manifest, "expected 64 hex digits"),
    "a journal twice": Damage(
        _document(lambda d: d.update(journals=d["journals"] * 2)), manifest, "expected each once, found one twice"
    ),
    "a name that leaves": Damage(_field("journals", 0, "file", value="../x"), manifest, "journals.file is '../x'"),
    "a name from the root": Damage(
        _field("journals", 0, "file", value="/etc/passwd"), manifest, "journals.file is '/etc/passwd'"
    ),
    "a mode that is none": Damage(
        _field("process", "journal", value="hourly"), manifest, "'hourly', expected nothing or immediate or"
    ),
    "a parent that leaves": Damage(_field("process", "parent", value="../x"), manifest, "process.parent is '../x'"),
    "a negative size": Damage(_field("journals", 0, "size", value=-16), manifest, "size is -16"),
    "a number as text": Damage(_field("beat", value="7"), manifest, "beat is '7', expected int"),
    "a truth as number": Damage(_field("beat", value=True), manifest, "beat is True, expected int"),
    "not a number": Damage(_field("interval", value=float("nan")), manifest, "NaN is not JSON"),
    "an endless interval": Damage(_field("interval", value=10**400), manifest, "interval is 1000"),
    "an endless number": Damage(_document(lambda d: d.update(beat=10**4000)), manifest, "beat is 1000"),
    "too many problems": Damage(_field("problems", value=["x"] * 51), manifest, "problems is 51"),
    "problems that are none": Damage(_many, manifest, "problems is "),
    "an older format": Damage(_field("format", value=1), manifest, "format 1 is not format 2; use the coverage-hooks"),
    "a newer format": Damage(_field("format", value=3), manifest, "format 3 is not format 2; use the coverage-hooks"),
    "a list": Damage(_bytes(b"[]"), manifest, "the manifest is [], expected an object"),
    "nothing": Damage(_bytes(b""), manifest, "the manifest is empty"),
    "half a manifest": Damage(lambda r: os.truncate(r.manifest_path, 700), manifest, "not JSON"),
    "brackets": Damage(_bytes(b"[" * 100_000), manifest, "brackets nested deeper than 16"),
    "quotes": Damage(_bytes(b'{"a": "' + b'\\"' * 500_000), manifest, "not JSON: Unterminated string"),
    "two megabytes": Damage(_bytes(b" " * (2 << 20)), manifest, "more than the 1048576 allowed"),
    "no text": Damage(_bytes(b"\xff\xfe{\0}\0"), manifest, "not UTF-8"),
    "another recording": Damage(
        _field("recording", value="other-20260131T235959Z-00000000"), manifest, "the manifest is that of 'other-"
    ),
    "no manifest": Damage(lambda r: r.manifest_path.unlink(), manifest, "No such file"),
    # What lies there instead of a file.
    "a link as manifest": Damage(_link(lambda r: r.manifest_path), manifest, "'recording.json' is a link"),
    "a link as recording": Damage(_link(lambda r: r.path), manifest, "links are not followed"),
    "a FIFO as manifest": Damage(fifo(lambda r: r.manifest_path), manifest, "'recording.json' is a FIFO"),
    "a file as recording": Damage(_file_as_folder, manifest, "is not a folder"),
}
