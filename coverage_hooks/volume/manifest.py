"""The manifest of a recording: what one process says about itself and about the files beside it.

The recorder writes it, a collector parses it; a manifest is replaced atomically and never edited. `Manifest.parse`
trusts nothing: a manifest that says anything unexpected is refused as a whole, with the reason.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import types
import typing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from coverage_hooks.errors import ManifestError
from coverage_hooks.volume import access, layout
from coverage_hooks.volume.journal import RECORD

FORMAT = 2

#: What a reader takes, so what is written: bytes of a manifest, entries of a list and of two of them, characters.
MANIFEST_LIMIT = 1 << 20
LIST_LIMIT = 10_000
PROBLEMS_LIMIT = 50
GAPS_LIMIT = 50
TEXT_LIMIT = 4096

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z", re.ASCII)


def timestamp(moment: datetime) -> str:
    """Return aware *moment* as RFC 3339 in UTC with microseconds, as every time in a manifest is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> datetime:
    """Return the aware UTC time that *text*, written by `timestamp`, stands for; `ValueError` if it is not one."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not a UTC time such as 2026-01-31T23:59:59.000000Z")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


#: How points get to a journal: before their line runs; with each beat; at the end of the process. Empty: not measured.
Mode = Literal["", "immediate", "interval", "final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFile:
    """The first `size` bytes of a journal, which are on the disk, and their hash; what follows was appended later."""

    file: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The recording process: versions, `core` of coverage.py, and the number of `forks` it made.

    `journal` is how points get to its journal. `boot` is the boot id of the
    machine, and `parent` the recording of the process that started this one, if that is recorded.
    """

    pid: int
    python: str
    coverage: str
    core: str
    branch: bool
    config_sha256: str
    forks: int
    journal: Mode
    boot: str
    parent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A measured file, by its path in the data, whose module had begun before recording started.

    `lines` are those at which code of it stood, when recording started or later; none where the module had ended.
    """

    path: str
    lines: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecorded:
    """From when until when not all that ran was recorded, and why; `until` is empty where that did not end."""

    reason: str
    since: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The pod, as the downward API told it; any of these may be empty."""

    name: str
    namespace: str
    uid: str
    node: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """``recording.json``; times are RFC 3339 in UTC, durations in seconds. docs/reference.md names every field.

    `start_modules` are the modules that were running when recording started (the entrypoint and who imported it):
    what they executed before is listed in `imported_before_start` but is no loss, as somebody has to start.
    """

    recording: str
    run: str
    state: Literal["running", "finished"]
    beat: int
    started_at: str
    snapshot_at: str
    published_at: str
    publish_seconds: float
    interval: float
    journals: list[JournalFile]
    process: Process
    pod: Pod | None
    revision: str
    imported_before_start: list[str]
    start_modules: list[str]
    begun: list[Begun]
    unrecorded: list[Unrecorded]
    problems: list[str]
    format: int = FORMAT

    def brief(self) -> Manifest:
        """Return it without its lists, which may be long, but for the last of its problems."""
        last = self.problems[-1:]
        return dataclasses.replace(
            self, journals=[], imported_before_start=[], start_modules=[], begun=[], problems=last
        )

    def to_bytes(self) -> bytes:
        """Return the manifest as the text that lies on the volume; what no reader takes is left out, and says so."""
        most = LIST_LIMIT
        while len(content := _text(self._cut(most))) > MANIFEST_LIMIT and most > 1:
            most //= 2
        return content

    def _cut(self, most: int) -> Manifest:
        """Return the manifest with at most so many entries in each list that grows with the program."""
        begun = [each for each in self.begun if len(each.path) <= TEXT_LIMIT]
        if len(begun) > most:
            begun = sorted(begun, key=lambda each: not each.lines)[:most]  # nothing else tells where code stood
        problems = self.problems
        if left_out := len(self.begun) - len(begun):
            problems = [*problems, f"of {left_out} files that had begun before recording did, nothing is proven"]
        return dataclasses.replace(
            self,
            imported_before_start=_first(self.imported_before_start, most),
            start_modules=_first(self.start_modules, most),
            begun=[Begun(path=each.path, lines=each.lines[:most]) for each in begun],
            unrecorded=[
                dataclasses.replace(gap, reason=gap.reason[:TEXT_LIMIT])
                for gap in self.unrecorded[: min(most, GAPS_LIMIT)]
            ],
            problems=[problem[:TEXT_LIMIT] for problem in problems[-min(most, PROBLEMS_LIMIT) :]],
        )

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """Return the manifest that *content* holds.

        Raises `ManifestError` naming the field, what was expected and what was found.
        """
        if not content.strip():
            raise ManifestError("the manifest is empty; it was cut short or never written")
        try:
            document = access.parse_json(content)
        except ValueError as error:
            raise ManifestError(f"the manifest cannot be read: {error}") from None
        if not isinstance(document, dict):
            raise ManifestError(f"the manifest is {_described(document)}, expected an object")
        if document.get("format") != FORMAT or isinstance(document.get("format"), bool):
            found = _described(document.get("format"))
            raise ManifestError(f"format {found} is not format {FORMAT}; use the coverage-hooks that wrote it")
        manifest = _build(cls, document, "")
        assert isinstance(manifest, cls)
        manifest._check()  # noqa: SLF001 - our own
        return manifest

    def _check(self) -> None:
        _expect(layout.RECORDING.fullmatch(self.recording), "recording", self.recording, "a recording's name")
        for name in ("started_at", "snapshot_at", "published_at"):
            try:
                parse_timestamp(getattr(self, name))
            except ValueError as error:
                raise ManifestError(f"{name}: {error}") from None
        _expect(0.05 <= self.interval <= 3600, "interval", self.interval, "0.05 to 3600 seconds")
        _expect(0 <= self.publish_seconds < 1e9, "publish_seconds", self.publish_seconds, "a duration in seconds")
        _expect(len(self.problems) <= PROBLEMS_LIMIT, "problems", len(self.problems), f"at most {PROBLEMS_LIMIT}")
        _expect(len(self.unrecorded) <= GAPS_LIMIT, "unrecorded", len(self.unrecorded), f"at most {GAPS_LIMIT}")
        for gap in self.unrecorded:
            for moment in filter(None, (gap.since, gap.until)):
                _expect(_TIME.fullmatch(moment), "unrecorded", moment, "times, of which the last may be empty")
        for journal in self.journals:
            _expect(layout.JOURNAL.fullmatch(journal.file), "journals.file", journal.file, "journal-<number>")
            _expect(_SHA256.fullmatch(journal.sha256), f"{journal.file}: sha256", journal.sha256, "64 hex digits")
            _expect(journal.size % RECORD.size == 0, f"{journal.file}: size", journal.size, "whole records")
        if len({journal.file for journal in self.journals}) < len(self.journals):
            raise ManifestError("journals: expected each once, found one twice")
        if len({each.path for each in self.begun}) < len(self.begun):
            raise ManifestError("begun: expected each path once, found one twice")
        _expect(
            not self.process.parent or layout.RECORDING.fullmatch(self.process.parent),
            "process.parent",
            self.process.parent,
            "a recording's name, or nothing",
        )


def _text(manifest: Manifest) -> bytes:
    return (json.dumps(dataclasses.asdict(manifest), indent=1, ensure_ascii=True) + "\n").encode()


def _first(names: list[str], most: int) -> list[str]:
    """Return at most so many of *names*, of which the last says how many more there are."""
    if len(names) > most:
        names = [*names[: most - 1], f"and {len(names) - most + 1} more"]
    return [name[:TEXT_LIMIT] for name in names]


def _build(kind: Any, value: Any, where: str) -> Any:
    """Return *value* as the annotated type *kind*, or refuse it; *where* is the path to it, for the message."""
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ManifestError(f"{where or 'manifest'} is {_described(value)}, expected an object")
        hints = _fields(typing.cast("Any", kind))
        missing = [name for name in hints if name not in value]
        if missing:
            raise ManifestError(f"{_join(where, missing[0])} is missing; the manifest was cut short or is not ours")
        # Unknown fields are left alone: a newer recorder of the same format may say more.
        built: Any = typing.cast("type[Any]", kind)(
            **{name: _build(hint, value[name], _join(where, name)) for name, hint in hints.items()}
        )
        return built
    if origin is types.UnionType:
        return None if value is None else _build(next(k for k in choices if k is not types.NoneType), value, where)
    if origin is list:
        if not isinstance(value, list) or len(value) > LIST_LIMIT:
            raise ManifestError(f"{where} is {_described(value)}, expected a list")
        return [_build(choices[0], item, f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is Literal:
        _expect(
            isinstance(value, str) and value in choices,
            where,
            value,
            " or ".join(choice or "nothing" for choice in choices),
        )
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        _expect(abs(value) < 1 << 63, where, value, "a number")  # above that float() may refuse
        value = float(value)
    if type(value) is not kind:
        raise ManifestError(f"{where} is {_described(value)}, expected {kind.__name__}")
    if kind is int:
        _expect(0 <= value < 1 << 63, where, value, "0 or more")
    if kind is str:
        _expect(len(value) <= TEXT_LIMIT, where, f"{len(value)} characters", f"at most {TEXT_LIMIT}")
    return value


@functools.cache  # the fingerprints of a large project ask thousands of times
def _fields(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _expect(condition: object, where: str, found: object, expected: str) -> None:
    if not condition:
        raise ManifestError(f"{where} is {_described(found)}, expected {expected}")


def _described(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
