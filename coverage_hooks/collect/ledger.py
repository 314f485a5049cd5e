"""Who was recorded, what arrived, and every loss by name.

The ledger is what each step of collecting adds to, and what decides the exit code. It lies in the output folder between
the steps. Without a witness it knows only what the volume tells: a process that never announced itself is not missed,
unless a number was expected; so completeness is called unproven. What a witness tells is joined in `endings`.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from coverage_hooks.collect import clocks, outputs
from coverage_hooks.collect.text import shortened
from coverage_hooks.errors import UsageError
from coverage_hooks.volume import access
from coverage_hooks.volume.manifest import Manifest, Mode, Unrecorded

FORMAT = 2

UNPROVEN = "unproven: nobody watched the cluster, so a process that never announced itself is not missed"

State = Literal["finished", "running", "silent", "killed", "ended", "missing", "damaged", "announced", "empty"]
Step = Literal["retrieve", "verify", "combine", "report"]
STEPS: tuple[Step, ...] = ("retrieve", "verify", "combine", "report")

#: Of what something is missing: of what was or should have been recorded, or of the coverage that was asked for.
LossKind = Literal["recording", "threshold"]

#: How many losses, losses of a recording, and notes are told one by one, and how many characters they and the problems
#: of recordings have together. A volume may hold any number of them. What is beyond is counted.
MOST_LOSSES, MOST_OF_ONE, MOST_NOTES, MOST_TEXT = 5_000, 500, 1_000, 4 << 20

#: How many characters one text has.
LONGEST = 4096

#: Why the end of a process that recorded losslessly cost nothing.
NOTHING_LOST = "nothing is lost: each line was on the volume before it ran"

_MORE_NOTES = "more notes of this kind, which are too many to tell each"

#: What the module of a file that ``kopf run`` was given is called.
_KOPF_SCRIPT = "__kopf_script_"


@dataclass(slots=True, kw_only=True)
class Loss:
    """Something that should be in the report and is not; `recording` and `file` are empty where none is to blame.

    Of kind `threshold` it is coverage, of which there is less than was asked for. Where there are too many to tell
    each, one of a step stands for the `count` of those that are not told.
    """

    step: Step
    recording: str
    pod: str
    file: str
    reason: str
    kind: LossKind = "recording"
    waived: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that a reader should know and nothing is lost by."""

    step: Step
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A recording of another run: listed, never combined, never a loss."""

    recording: str
    run: str
    started_at: str
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Row:
    """One recording of the chosen run, or with state `missing` a process that should have made one.

    `folder` holds its raw copy, below the output folder. `branch` says whether
    branches were measured, not lines, `mode` is how points got to its journal, and `complete` says
    whether its marker lay there when it was copied: whatever ran is in the journal, to the last line. `same_boot` says
    whether the machine has run since without a restart; None when that is not known. `parent` is the recording of the
    process that started this one. For a silent one, `beat_age` and `unsaved` are the seconds
    since the last beat and since the last snapshot.

    `ending` says how the process ended, as far as Kubernetes told a witness, or when it was `asked` afterwards; `cause`
    is the same in a word or two, `restart` and `exit_code` are its container's, and `lost_seconds` is the most that it
    lost, see `bounds`: 0 only when it is known that nothing is lost, and None when it is not known how much. `clock`
    says why seconds of it are unknown: its own was set back.
    """

    recording: str
    run: str = ""
    folder: str = ""
    pod: str = ""
    container: str = ""
    state: State = "damaged"
    branch: bool = False
    mode: Mode = ""
    complete: bool = False
    same_boot: bool | None = None
    parent: str = ""
    note: str = ""
    started_at: str = ""
    snapshot_at: str = ""
    beat: int = 0
    beat_age: float | None = None
    unsaved: float | None = None
    ending: str = ""
    cause: str = ""
    restart: int | None = None
    exit_code: int | None = None
    lost_seconds: float | None = None
    clock: str = ""
    asked: bool = False
    files: int = 0
    lines: int = 0
    arcs: int = 0
    revision: str = ""
    python: str = ""
    forks: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def lossless(self) -> bool:
        """Whether each line was on the volume before it ran: its end cost nothing, unless the node was lost.

        The announcement, which is beat 0, does not say yet what was imported too early.
        """
        return self.mode == "immediate" and self.complete and self.beat > 0

    @property
    def lost_nothing(self) -> bool:
        """Whether it is known that nothing of what it ran is missing, though it never said that it had finished."""
        return self.lost_seconds == 0

    @property
    def saved_at(self) -> str:
        """Until when what ran is on the volume in any case; in mode `final` nothing is before the end."""
        return self.started_at if self.mode == "final" else self.snapshot_at

    def fail(self, note: str, state: State = "damaged") -> None:
        """Enter that nothing of this recording arrived; what its manifest claimed is no longer shown."""
        self.state, self.note, self.lost_seconds = state, note, None
        self.files = self.lines = self.arcs = 0

    @classmethod
    def of(cls, manifest: Manifest, folder: str) -> Row:
        """Return the row that *manifest* makes by itself, before anything was verified."""
        return cls(
            recording=manifest.recording,
            run=manifest.run,
            folder=folder,
            pod="/".join(filter(None, (manifest.pod.namespace, manifest.pod.name))) if manifest.pod else "",
            container=manifest.pod.container if manifest.pod else "",
            state=manifest.state,
            branch=manifest.process.branch,
            mode=manifest.process.journal,
            parent=manifest.process.parent,
            started_at=manifest.started_at,
            snapshot_at=manifest.snapshot_at,
            beat=manifest.beat,
            clock=clocks.of_pod(manifest),
            revision=manifest.revision,
            python=manifest.process.python,
            forks=manifest.process.forks,
            problems=manifest.problems,
        )


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Everything known about one collect; `run` is None when recordings were chosen by time, or none was found.

    `requested` says whether somebody named the run or the time, and `completeness` whether there may be processes that
    nobody knows of, and why; it is `proven` when there are none.
    """

    run: str | None = None
    since: str | None = None
    requested: bool = False
    expected: int | None = None
    waivers: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    earlier: list[Earlier] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    completeness: str = UNPROVEN
    proven: bool = False
    format: int = FORMAT
    _rest: dict[tuple[Step, bool], Loss] = field(default_factory=dict, init=False, repr=False, compare=False)
    _told: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    _text: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Count what there is."""
        self._told = dict(Counter(loss.recording for loss in self.losses))
        told = [text for loss in self.losses for text in (loss.file, loss.reason)]
        told += (note.text for note in self.notes)
        self._text = sum(map(len, itertools.chain(told, *(row.problems for row in self.rows))))

    def _has_room(self, *texts: str) -> bool:
        """Return whether *texts* may be kept, too, and count them if so."""
        if self._text + (size := sum(map(len, texts))) > MOST_TEXT:
            return False
        self._text += size
        return True

    @property
    def recorded(self) -> list[Row]:
        """The rows of recordings, without the processes that left none."""
        return [row for row in self.rows if row.recording]

    @property
    def open_losses(self) -> list[Loss]:
        """The losses that nobody waived."""
        return [loss for loss in self.losses if not loss.waived]

    def begin(self, step: Step) -> None:
        """Forget what *step* and the later ones entered before: a step can be repeated."""
        again = STEPS[STEPS.index(step) :]
        self.losses = [loss for loss in self.losses if loss.step not in again]
        self.notes = [note for note in self.notes if note.step not in again]
        self._rest.clear()
        self.__post_init__()

    def enter(self, row: Row) -> None:
        """Add *row*, with as many of its problems as there is room for, the last ones first."""
        told = [problem for problem in reversed(row.problems) if self._has_room(problem)][::-1]
        if rest := len(row.problems) - len(told):
            told = [f"{rest} more, for which {outputs.LEDGER} has no room", *told]
        row.problems = told
        self.rows.append(row)

    def lose(self, step: Step, row: Row | None, reason: str, *, file: str = "") -> None:
        """Enter a loss; it is waived when its recording or pod was named in the waivers."""
        recording, pod = (row.recording, row.pod) if row else ("", "")
        waived = row is not None and bool({recording, pod, pod.rpartition("/")[2]} - {""} & set(self.waivers))
        file, reason = shortened(file, LONGEST), shortened(reason, LONGEST)
        of_it = self._told.get(recording, 0)
        if len(self.losses) < MOST_LOSSES and of_it < MOST_OF_ONE and self._has_room(file, reason):
            self._told[recording] = of_it + 1
            self.losses.append(Loss(step=step, recording=recording, pod=pod, file=file, reason=reason, waived=waived))
            return
        rest = self._rest.get((step, waived))
        if rest is None:
            rest = self._rest[step, waived] = Loss(
                step=step, recording="", pod="", file="", reason="", waived=waived, count=0
            )
            self.losses.append(rest)
        rest.count += 1
        rest.reason = f"{rest.count} more, which are too many to tell each"

    def fall_short(self, reason: str) -> None:
        """Enter a threshold that was not met; no waiver is about one."""
        self.losses.append(Loss(step="report", recording="", pod="", file="", reason=reason, kind="threshold"))

    def note(self, step: Step, text: str) -> None:
        """Enter what a reader should know and nothing is lost by."""
        text = shortened(text, LONGEST)
        if len(self.notes) < MOST_NOTES and self._has_room(text):
            self.notes.append(Note(step=step, text=text))
        elif (rest := Note(step=step, text=_MORE_NOTES)) not in self.notes:
            self.notes.append(rest)

    def save(self, output: Path) -> None:
        """Keep the ledger in folder *output* for the next step."""
        outputs.write_json(
            output / outputs.LEDGER,
            {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init},
        )

    @classmethod
    def load(cls, output: Path) -> Ledger:
        """Return the ledger of folder *output*; `UsageError` when no step has left one."""
        path = output / outputs.LEDGER
        try:
            with open(path, "rb", opener=access.only_regular) as file:
                document = json.load(file)
            _expect_format(document["format"])
            return cls(
                **{
                    **document,
                    "rows": [Row(**row) for row in document["rows"]],
                    "earlier": [Earlier(**earlier) for earlier in document["earlier"]],
                    "losses": [Loss(**loss) for loss in document["losses"]],
                    "notes": [Note(**note) for note in document["notes"]],
                }
            )
        except FileNotFoundError:
            raise UsageError(f"{str(path)!r} is not there: run `coverage-hooks retrieve` first") from None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise UsageError(f"{str(path)!r} cannot be read: {error}; run `coverage-hooks retrieve` again") from None


def _expect_format(found: object) -> None:
    if found != FORMAT:
        raise ValueError(f"format {found!r} is not format {FORMAT}")


def lost_at_start(manifest: Manifest) -> list[str]:
    """Return the modules that ran before recording started and had no right to.

    The start modules have it, as somebody has to start, and so do the packages that they are in.
    """
    excused = _excused(manifest)
    return [module for module in manifest.imported_before_start if module not in excused]


def too_early(modules: Iterable[str]) -> str:
    """Return why what *modules* ran is lost, and what to do about it.

    Kopf loads the files of ``kopf run`` before its modules, so a hook given by ``-m`` comes too late for them.
    """
    lost = "imported before recording started, so what ran by then is lost; "
    if any(module.startswith(_KOPF_SCRIPT) for module in modules):
        return f"{lost}run the file by `coverage-hooks kopf-run`: Kopf loads files before what `-m` names"
    return f"{lost}call coverage_hooks.start() first"


def unrecorded(gap: Unrecorded) -> str:
    """Return what *gap* means: from when until when not all that ran was recorded, and why."""
    span = f"between {gap.since} and {gap.until}" if gap.until else f"from {gap.since} on"
    return f"not all that ran {span} was recorded: {gap.reason}"


def begun_at_start(manifest: Manifest) -> list[str]:
    """Return the modules that ran before recording started and had the right to."""
    excused = _excused(manifest)
    return [module for module in manifest.imported_before_start if module in excused]


def _excused(manifest: Manifest) -> set[str]:
    excused = set(manifest.start_modules)
    for module in manifest.start_modules:
        parts = module.split(".")
        excused.update(".".join(parts[:end]) for end in range(1, len(parts)))
    return excused


def as_document(ledger: Ledger) -> dict[str, Any]:
    """Return the parts of *ledger* that a summary shows; its lists are those of the ledger."""
    return {
        "run": ledger.run,
        "since": ledger.since,
        "expected": ledger.expected,
        "completeness": ledger.completeness,
        "proven": ledger.proven,
        "ledger": ledger.rows,
        "earlier": ledger.earlier,
        "losses": ledger.losses,
        "notes": [note.text for note in ledger.notes],
    }
