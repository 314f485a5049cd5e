"""What a witness has seen, as a file of JSON lines, and what is to be believed of it.

::

    {"format": 1, "namespace": …, "server": …, "namespace_uid": …, "started_at": …}
    {"at": …, "change": "LISTED", "pod": {…}, "version": "17"}     or "event"; see `observations` for what is kept
    {"at": …, "confirmed": "pods", "version": "21"}                everything until here has been told
    {"at": …, "gap": "pods", "since": …, "reason": …}              what happened between is not known
    {"at": …, "stopped": "…"}                                      the witness went, and why, if it was not told to
    {"at": …, "resumed": true}                                     one went on from the last version above

Every line is in the file before the next thing is looked at, so a killed witness leaves all it saw, and at most one
torn line. `at` is the clock of the test machine; the times in pods and events are those of the cluster.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from coverage_hooks.collect import locks, outputs
from coverage_hooks.collect.pods.objects import Change, Document, Event, Pod
from coverage_hooks.errors import UsageError
from coverage_hooks.volume import access
from coverage_hooks.volume.manifest import parse_timestamp, timestamp

NAME = "witness.jsonl"
FORMAT = 1

#: The longest line that is read, in bytes; a pod's has some thousand.
LINE_LIMIT = 1 << 20

#: How many bytes of a file are read: a test run of a day has a tenth of it.
FILE_LIMIT = 64 << 20

#: Seconds after which a witness has been told everything again, even when nothing happened.
CONFIRMED_EVERY = 5

#: How often a file that another process writes is looked at again, in seconds.
_POLL = 0.1

Kind = Literal["pods", "events"]
KINDS: tuple[Kind, ...] = ("pods", "events")
_CHANGES = {"LISTED", "ADDED", "MODIFIED", "DELETED", "GONE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Who was watched, and since when. `namespace_uid` is empty where the witness may not read its namespace."""

    namespace: str
    server: str
    namespace_uid: str
    started_at: datetime

    def is_of(self, other: Header) -> bool:
        """Return whether both are about the same namespace of the same cluster."""
        same_uid = self.namespace_uid == other.namespace_uid or not (self.namespace_uid and other.namespace_uid)
        return (self.namespace, self.server) == (other.namespace, other.server) and same_uid

    def to_line(self) -> Document:
        """Return it as the first line of a file."""
        return {
            "format": FORMAT,
            "namespace": self.namespace,
            "server": self.server,
            "namespace_uid": self.namespace_uid,
            "started_at": timestamp(self.started_at),
        }

    @classmethod
    def of(cls, line: Document) -> Header:
        """Return what `to_line` made; `ValueError` when it did not."""
        if line.get("format") != FORMAT:
            raise ValueError(f"format {line.get('format')!r} is not format {FORMAT}")
        try:
            return cls(
                namespace=str(line["namespace"]),
                server=str(line["server"]),
                namespace_uid=str(line["namespace_uid"]),
                started_at=parse_timestamp(line["started_at"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no header: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A pod or an event, when and how it was observed; `at_once` if the witness had missed no time before that."""

    at: datetime
    change: Change
    what: Pod | Event
    at_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time of which it is not known what happened to pods, or which events there were; both ends are known."""

    kind: Kind
    since: datetime
    until: datetime
    reason: str


@dataclass(slots=True, kw_only=True)
class Testimony:
    """All that was seen, in order; `asked` when nobody watched and it was only asked for afterwards.

    `confirmed` and `versions` are by kind: until when nothing is missing but the gaps, and from which version of the
    API server's history on a witness can go on.
    """

    header: Header
    asked: bool = False
    entries: list[Seen | Gap] = field(default_factory=list)
    confirmed: dict[Kind, datetime] = field(default_factory=dict)
    versions: dict[Kind, str] = field(default_factory=dict)
    stopped: str | None = None
    _torn: bool = False

    def take(self, line: Document) -> None:
        """Add a line; `ValueError`, and nothing is added, when it is not one."""
        try:
            at = parse_timestamp(line["at"])
            if "change" in line:
                self._see(at, line)
            elif "confirmed" in line:
                self._confirm(_kind(line["confirmed"]), at, str(line["version"]))
            elif "gap" in line:
                self._miss(_kind(line["gap"]), parse_timestamp(line["since"]), at, str(line["reason"]))
            elif "stopped" in line:
                self.stopped = str(line["stopped"])
            elif "resumed" in line:
                self.stopped = None
                self._torn = False  # what it held was told again: it is after the version gone on from
            else:
                raise ValueError(f"neither of the known lines: {sorted(line)}")
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no line of a witness: {type(error).__name__} {error}") from None

    def tear(self) -> None:
        """Note that a line could not be read: if nobody goes on from before it, what it told is missing."""
        self._torn = True

    def _see(self, at: datetime, line: Document) -> None:
        if line["change"] not in _CHANGES:
            raise ValueError(f"{line['change']!r} is no change")
        kind: Kind = "pods" if "pod" in line else "events"
        what = Pod.of(line["pod"]) if kind == "pods" else Event.of(line["event"])
        self._mend(at)
        missed = at - self.confirmed.get(kind, self.header.started_at)
        at_once = line["change"] != "LISTED" and missed <= timedelta(seconds=CONFIRMED_EVERY + 1)
        self.entries.append(Seen(at=at, change=line["change"], what=what, at_once=at_once))
        if "version" in line:
            self.versions[kind] = str(line["version"])

    def _confirm(self, kind: Kind, at: datetime, version: str) -> None:
        self._mend(at)
        self.confirmed[kind] = at
        self.versions[kind] = version

    def _mend(self, at: datetime) -> None:
        """Enter what an unreadable line may have told as a gap; nobody can say about which kind it was."""
        if self._torn:
            self._torn = False
            for each in KINDS:
                self._miss(each, self.confirmed.get(each, self.header.started_at), at, "a line cannot be read")

    def _miss(self, kind: Kind, since: datetime, until: datetime, reason: str) -> None:
        self.entries.append(Gap(kind=kind, since=since, until=until, reason=reason))

    def gaps(self, kind: Kind) -> list[Gap]:
        """Return the gaps of a kind."""
        return [each for each in self.entries if isinstance(each, Gap) and each.kind == kind]

    def living(self) -> dict[str, Document]:
        """Return the pods that were there at the end, by uid, as lines say it of one that is gone."""
        pods: dict[str, Document] = {}
        for entry in self.entries:
            if isinstance(entry, Seen) and isinstance(entry.what, Pod):
                if entry.change in {"DELETED", "GONE"}:
                    pods.pop(entry.what.uid, None)
                else:
                    pods[entry.what.uid] = _shadow(entry.what)
        return pods


def read(path: Path) -> Testimony | None:
    """Return what lies in file *path*; None when there is no such file, or not even its first line is whole.

    Raises `UsageError` when it is something else.
    """
    try:
        with open(path, "rb", opener=access.only_regular) as file:
            first = file.readline(LINE_LIMIT)
            if not first.endswith(b"\n"):
                return None
            testimony = Testimony(header=Header.of(_parse(first)))
            while line := file.readline(LINE_LIMIT):
                if file.tell() > FILE_LIMIT:
                    testimony.stopped = f"its file has more than {FILE_LIMIT >> 20} MiB, and the rest was not read"
                    break
                try:
                    testimony.take(_parse(line))
                except ValueError:
                    testimony.tear()
            return testimony
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)!r} is not what a witness writes: {error}; delete it, or watch again") from None


@dataclass(frozen=True, slots=True)
class Written:
    """The word of a witness that writes, or wrote, to *path*, for whoever cannot ask the cluster itself."""

    path: Path
    claim: str | None = None

    def testify(self, moment: datetime) -> Testimony | None:
        """Return what the file tells; while a witness writes it, wait until it tells everything until *moment*."""
        return read_settled(self.path, moment, within=2.0 * CONFIRMED_EVERY)


def read_settled(path: Path, moment: datetime, within: float) -> Testimony | None:
    """Return what lies in *path* once it tells everything until *moment*, or nobody writes it, or *within* seconds."""
    deadline = time.monotonic() + within
    while True:
        written = locks.is_taken(path)  # before reading: what is finished meanwhile is read as finished
        testimony = read(path)
        if testimony is None or not written or time.monotonic() >= deadline:
            return testimony
        if (confirmed := testimony.confirmed.get("pods")) is not None and confirmed >= moment:
            return testimony
        time.sleep(_POLL)


class Notebook:
    """The file of one witness while it writes; no other can write it meanwhile. Use it as a context manager.

    *before* is what the file already tells and is gone on from; without it, the file is begun anew.
    """

    def __init__(self, path: Path, header: Header, before: Testimony | None = None) -> None:
        self.testimony = before or Testimony(header=header)
        self._path = path
        outputs.make_folder(path.parent)
        try:
            self._file = open(path, "a+b", buffering=0, opener=access.only_regular)  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise UsageError(outputs.unwritten(error, path)) from None
        try:
            self._begin(header, before)
        except BlockingIOError:
            self._file.close()
            raise UsageError(
                f"{str(path)!r} is being written by another witness: stop that, or take its word"
            ) from None
        except (OSError, UsageError) as error:
            self._file.close()
            raise UsageError(outputs.unwritten(error, path) if isinstance(error, OSError) else str(error)) from None

    def _begin(self, header: Header, before: Testimony | None) -> None:
        locks.take(self._file)
        if before is None:
            self._file.truncate(0)
            self._write(header.to_line())
        else:
            if not _ends_whole(self._file.fileno()):
                self._file.write(b"\n")  # what was torn stays a line of its own
            self.add({"resumed": True})

    def __enter__(self) -> Notebook:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, line: Document) -> None:
        """Write *line*, with the time, and believe it."""
        line = {"at": timestamp(datetime.now(UTC)), **line}
        self._write(line)
        self.testimony.take(line)

    def _write(self, line: Document) -> None:
        # One call for one line: a kill leaves the line, none of it, or a torn one, never two that are mixed.
        rest = memoryview(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        while rest:  # again only on a disk that is almost full, which says so the second time
            rest = rest[self._file.write(rest) :]


class Memory:
    """What `Notebook` does, without a file: for a question that is asked while another process writes the file."""

    def __init__(self, testimony: Testimony) -> None:
        self.testimony = testimony

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, line: Document) -> None:
        """Believe *line*."""
        self.testimony.take({"at": timestamp(datetime.now(UTC)), **line})


def _kind(text: object) -> Kind:
    for kind in KINDS:
        if text == kind:
            return kind
    raise ValueError(f"{text!r} is neither pods nor events")


def _shadow(pod: Pod) -> Document:
    """Return *pod* as a line has it when it is gone and nothing else is known."""
    return {"metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid}, "spec": {}, "status": {}}


def _parse(line: bytes) -> Document:
    if not line.endswith(b"\n"):
        raise ValueError("torn")
    document = access.parse_json(line, depth=16)
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - of a file, not of a caller
    return document


def _ends_whole(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
