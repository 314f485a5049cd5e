"""Damage that nobody thought of: what a recording can be turned into at random, layer by layer."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import NAME, NAME_LIMIT, RECORD
from tests.unit.collect.building import Recording
from tests.unit.collect.spoiling import CHILD, child_of, entries, name_bytes

Mutation = Callable[[random.Random, Recording, Recording], None]

TEXTS = (
    "", "x", "0", "../../x", "/etc/passwd", "journal-0", "a" * 5000, "\0", "\x1b[31mred\x1b[0m", "\u202egnp",
    "\ud800",
    "é", "e\u0301", "<script>", "[bold]", "|", "\n", "😀" * 100, "*", "run-1", "{}", "shop/cart.py",
    "/app/shop/cart.py",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**400, -0.0, 1.5, 1e308,
    1e-308,
    float("nan"), float("inf"),
)  # fmt: skip
#: What may be in one of the four fields of a record.
FIELDS = (0, 1, 2, 3, 4, 7, 8, 9, 16, 4096, 2**24 - 1, 2**24, 2**31 - 1)


def _path(chance: random.Random, recording: Recording) -> Path:
    return chance.choice([recording.journal, recording.journal, child_of(recording), recording.manifest_path])


def _journal(chance: random.Random, recording: Recording) -> Path:
    return chance.choice([recording.journal, recording.journal, child_of(recording)])


def flip_bytes(chance: random.Random, bad: Recording, other: Recording) -> None:
    path = _path(chance, bad)
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 50])):
        if content:
            content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
    path.write_bytes(content)


def cut_or_grow(chance: random.Random, bad: Recording, other: Recording) -> None:
    path = _path(chance, bad)
    content = path.read_bytes()
    at = chance.randrange(len(content) + 1)
    more = chance.choice([b"", b"\0" * 4096, chance.randbytes(100), content])
    path.write_bytes(chance.choice([content[:at], content + more, content[at:], content[:at] + more + content[at:]]))


def zero_pages(chance: random.Random, bad: Recording, other: Recording) -> None:
    """What a file system leaves after a crash."""
    path = _journal(chance, bad)
    content = bytearray(path.read_bytes())
    size = chance.choice([1, 16, 64, 4096])
    at = chance.randrange(len(content) // size + 1) * size
    content[at : at + size] = bytes(chance.choice([size, len(content[at : at + size])]))
    path.write_bytes(content)


def move_records(chance: random.Random, bad: Recording, other: Recording) -> None:
    """Drop, double, swap and repeat what are records by their size."""
    path = _journal(chance, bad)
    content = path.read_bytes()
    found = [content[at : at + RECORD.size] for at in range(0, len(content), RECORD.size)] or [b""]
    for _ in range(chance.choice([1, 1, 2, 10])):
        here, there = chance.randrange(len(found)), chance.randrange(len(found))
        match chance.choice(["drop", "double", "swap", "repeat"]):
            case "drop":
                found[here : here + chance.choice([1, 1, 5])] = [b""]
            case "double":
                found[here:here] = found[here : there + 1]
            case "swap":
                found[here], found[there] = found[there], found[here]
            case _:
                found.append(found[here])
    path.write_bytes(b"".join(found))


def append_records(chance: random.Random, bad: Recording, other: Recording) -> None:
    """Append what was never hashed: sound records, and such as no recorder writes."""
    content = b"".join(_record(chance) for _ in range(chance.choice([1, 2, 5, 100])))
    with _journal(chance, bad).open("ab") as file:
        file.write(content[: len(content) - chance.choice([0, 0, 1, 9, 17])])


def swap_files(chance: random.Random, bad: Recording, other: Recording) -> None:
    one, two = _path(chance, bad), _path(chance, other)
    mine, theirs = one.read_bytes(), two.read_bytes()
    one.write_bytes(theirs)
    two.write_bytes(mine)


def honest_garbage(chance: random.Random, bad: Recording, other: Recording) -> None:
    """Journals that are not what they were, with a manifest that stands by them."""
    mutation = chance.choice([flip_bytes, cut_or_grow, zero_pages, move_records, append_records])
    mutation(chance, bad, other)
    _stand_by(chance, bad)


def honest_records(chance: random.Random, bad: Recording, other: Recording) -> None:
    """Change single fields, and what names say, as their own program could, with a manifest that stands by it."""
    path = _journal(chance, bad)
    content = path.read_bytes()
    with suppress(Exception):  # an earlier one has made it what cannot be taken apart
        found = list(entries(content))
        for _ in range(chance.choice([1, 1, 2, 5])):
            place = chance.randrange(len(found))
            found[place] = chance.choice([_changed(chance, found[place]), _record(chance)])
        content = b"".join(found)
    path.write_bytes(content)
    _stand_by(chance, bad)


def _stand_by(chance: random.Random, recording: Recording) -> None:
    for number, path in ((0, recording.journal), (CHILD, child_of(recording))):
        content = path.read_bytes()
        if number == 0 or chance.random() < 0.5:
            recording = recording.publish(content[: len(content) // RECORD.size * RECORD.size], number)
            path.write_bytes(content)


def _changed(chance: random.Random, entry: bytes) -> bytes:
    file, kind, left, right = RECORD.unpack_from(entry)
    if (file, kind) == (0, NAME) and chance.random() < 0.8:
        return name_bytes(_text(chance, entry[RECORD.size :].decode()).encode("utf-8", "surrogatepass"))
    fields = [file, kind, left, right]
    fields[chance.randrange(4)] = chance.choice(FIELDS)
    fields[2 + chance.randrange(2)] *= chance.choice([1, 1, 1, -1])
    return RECORD.pack(*fields) + entry[RECORD.size :]


def _record(chance: random.Random) -> bytes:
    """Return a record, mostly a sound one."""
    number = chance.choice([1, 1, 2, 2, 3, 4, 99])
    text = chance.choice([*TEXTS, "[" * 5000, '{"id": 1, "path": "/app/shop/cart.py"}']).encode(
        "utf-8", "surrogatepass"
    )
    name = json.dumps({"id": chance.choice([number, chance.choice(FIELDS)]), "path": chance.choice(TEXTS)}).encode()
    size = chance.choice([None, None, 0, 1, -1, 64, NAME_LIMIT, NAME_LIMIT + 1, 2**31 - 1])
    line = RECORD.pack(number, 0, chance.choice([1, 1, 2, 3, 7, 8, 0, 99, -1]), 0)
    return chance.choice(
        [
            line, line, line,
            RECORD.pack(number, 0, chance.choice([-1, 1, 2, 8]), chance.choice([-1, 1, 2, 8])),
            name_bytes(name), name_bytes(text, size=size), name_bytes(b"", size=4096),
            RECORD.pack(*(chance.choice(FIELDS) for _ in range(4))),
            bytes(RECORD.size * chance.choice([1, 4, 256])), chance.randbytes(RECORD.size),
        ]
    )  # fmt: skip


def _evil(chance: random.Random) -> Any:
    deep: Any = []
    for _ in range(chance.choice([1, 3, 20, 200])):
        deep = chance.choice([[deep], {"a": deep}])
    return chance.choice([None, True, False, [], {}, deep, chance.choice(TEXTS), chance.choice(NUMBERS), ["x"] * 60])


def _mutated(chance: random.Random, document: Any) -> Any:
    """Return *document* with something changed somewhere in it."""
    if not document or not isinstance(document, dict | list) or chance.random() < 0.1:
        return _evil(chance)
    if isinstance(document, list):
        place = chance.randrange(len(document))
        return [*document[:place], _mutated(chance, document[place]), *document[place + 1 :]]
    key = chance.choice(list(document))
    match chance.choice(["below", "below", "below", "delete", "rename", "more"]):
        case "below":
            return {**document, key: _mutated(chance, document[key])}
        case "delete":
            return {name: value for name, value in document.items() if name != key}
        case "rename":
            return {chance.choice(TEXTS) if name == key else name: value for name, value in document.items()}
        case _:
            return {**document, chance.choice(TEXTS): _evil(chance)}


def _text(chance: random.Random, content: str) -> str:
    """Return JSON *content* as parsers disagree about it."""
    with suppress(ValueError, RecursionError):
        content = json.dumps(_mutated(chance, json.loads(content)), ensure_ascii=chance.random() < 0.8)
    match chance.choice(["as it is", "twice", "number", "mark", "spaces", "comment"]):
        case "twice":  # of two equal keys the last one counts, for whom?
            return content.replace("{", '{"run": "run-2", "sha256": 1, "format": 1, ', 1)
        case "number":
            return content.replace("1", chance.choice(["1e400", "01", "1.", "-1", "1" * 5000, "0x1"]), 1)
        case "mark":
            return "\ufeff" + content
        case "spaces":
            return content.replace(" ", " " * chance.choice([2, 30_000]), 1)
        case "comment":
            return content + "// end"
    return content


def rewrite_manifest(chance: random.Random, bad: Recording, other: Recording) -> None:
    content = bad.manifest_path.read_bytes().decode("utf-8", "replace")
    bad.manifest_path.write_bytes(_text(chance, content).encode("utf-8", "surrogatepass"))


def replace_entry(chance: random.Random, bad: Recording, other: Recording) -> None:
    path = chance.choice([bad.journal, child_of(bad), child_of(bad), bad.complete, bad.manifest_path, bad.path])
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    match chance.choice(["link", "dangling", "self", "zero", "FIFO", "folder", "socket", "other's", "nothing"]):
        case "link":
            path.symlink_to(other.path / path.name)
        case "dangling":
            path.symlink_to("/nowhere")
        case "self":
            path.symlink_to(path.name)
        case "zero":
            path.symlink_to("/dev/zero")
        case "FIFO":
            os.mkfifo(path)
        case "folder":
            (path / "deeper").mkdir(parents=True)
        case "socket":
            _bind(path)
        case "other's" if (other.path / path.name).is_file():
            path.hardlink_to(other.path / path.name)


def _bind(path: Path) -> None:
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)  # the name of a socket may have 108 bytes only
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def add_entries(chance: random.Random, bad: Recording, other: Recording) -> None:
    """Lay something beside and into it; that is nobody's loss."""
    names = [
        b"\xff\xfe", b"\x1b[2J", b"a" * 255, "\u202e".encode(), b"journal-x", b"journal--1", b"journal-0.tmp",
        b".hidden",
        b"-rf", b"recording.json.tmp", layout.temporary_name(layout.MANIFEST, 1).encode(), b"lost+found", b"..data",
    ]  # fmt: skip
    for folder in (bad.path, bad.path.parent):
        place = os.path.join(os.fsencode(folder), chance.choice(names))  # noqa: PTH118 - bytes, which are no text
        if not os.path.lexists(place):
            makers: list[Callable[[bytes], None]] = [os.mkdir, os.mkfifo, _link_to_zeros]
            chance.choice(makers)(place)


def _link_to_zeros(name: bytes) -> None:
    os.symlink(b"/dev/zero", name)  # noqa: PTH211 - as above


#: Of these a recording knows nothing, so whatever they change of what it hashed has to be noticed.
SILENT = (flip_bytes, cut_or_grow, zero_pages, move_records, append_records, swap_files, replace_entry, add_entries)
HONEST = (honest_garbage, honest_records, honest_records, rewrite_manifest)
MUTATIONS: dict[str, Mutation] = {mutation.__name__: mutation for mutation in (*SILENT, *HONEST)}
