"""What `coverage-hooks collect` takes on volumes that are made to exhaust it.

::

    python -m tests.benchmarks.hostile                      # every kind, with a gigabyte each
    python -m tests.benchmarks.hostile duplicates names     # these
    python -m tests.benchmarks.hostile --share 0.1          # with a tenth of that

For each a line: bytes on the volume, the most memory of all its processes together and of any one of them, seconds,
lines and kilobytes printed, the size of ``ledger.json``, and the exit code. `OVER` marks what is beyond the aim: 300 MB
and 200 lines. Nothing is asserted: this is run by hand, as it takes minutes and gigabytes of disk.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from coverage_hooks.collect import outputs
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.pods.objects import keep_pod
from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import Fingerprint, Name
from coverage_hooks.volume.manifest import MANIFEST_LIMIT, PROBLEMS_LIMIT, TEXT_LIMIT, Begun
from tests.benchmarks.timing import python
from tests.unit.collect.building import SOURCES, STARTED, Recording, fingerprint, make_project, pod, point, record

MEMORY, LINES = 300, 200

#: How often memory is looked at, in seconds.
_EVERY = 0.05

#: What the checkout has and does not report.
_SETUP = "import x\n"

#: How long a file of the checkout is whose arcs are all claimed to have run, and how many there are.
_LENGTH, _FILES = 1000, 4

_PRINT = Fingerprint(sha256="ab" * 32, git="cd" * 20)


class Volume:
    """A folder that is filled, with as many bytes as `size` at most."""

    def __init__(self, base: Path, share: float) -> None:
        self.path = base / "volume"
        self.output = base / "checkout" / "build/coverage"
        self.share = share
        self._started = 0

    @property
    def size(self) -> int:
        """Return how many bytes it may have."""
        return int((1 << 30) * self.share)

    def few(self, count: int) -> int:
        """Return the share of *count* that is made."""
        return max(1, int(count * self.share))

    def recording(self, **about: object) -> Recording:
        """Return one more recording, a second younger than the one before, without a journal unless it is told one."""
        self._started += 1
        at = STARTED + timedelta(seconds=self._started)
        return record(self.path, **{"measured": {}, "started_at": at, "pod": pod(), **about})  # type: ignore[arg-type]

    def recordings(self, bytes_each: int, **about: object) -> Iterator[Recording]:
        """Yield recordings until the volume is full when each takes so many bytes."""
        for _ in range(max(1, self.size // bytes_each)):
            yield self.recording(**about)


def unknown_paths(volume: Volume) -> None:
    """Write one recording of 200,000 files that no checkout has."""
    with volume.recording().journal.open("wb") as journal:
        for number in range(1, volume.few(200_000) + 1):
            journal.write(Name(number=number, path=f"/app/other/m{number}.py", fingerprint=_PRINT).to_bytes())
            journal.write(point(number, 1))


def unknown_paths_of_many(volume: Volume) -> None:
    """Write recordings of 1,000 such files each."""
    for count, recording in enumerate(volume.recordings(230_000)):
        recording.append(
            b"".join(
                Name(number=number, path=f"/app/other/m{count}_{number}.py", fingerprint=_PRINT).to_bytes()
                + point(number, 1)
                for number in range(1, 1001)
            )
        )


def elsewhere(volume: Volume) -> None:
    """Write recordings of files that the checkout has and does not report, below 1,000 folders each: notes."""
    for count, recording in enumerate(volume.recordings(230_000)):
        recording.append(
            b"".join(
                Name(number=number, path=f"/{count}/{number}/setup.py", fingerprint=fingerprint(_SETUP)).to_bytes()
                + point(number, 1)
                for number in range(1, 1001)
            )
        )


def duplicates(volume: Volume) -> None:
    """Write one journal of the same line over and over."""
    _fill(volume, itertools.repeat(point(1, 1) * 65536), first=Name(number=1, path="/app/shop/cart.py").to_bytes())


def names(volume: Volume) -> None:
    """Write one journal of names, each another one."""
    _fill(volume, (Name(number=number, path=f"/n{number}").to_bytes() for number in range(1, 1 << 32)))


def one_name(volume: Volume) -> None:
    """Write one journal of the same name, as long as it may be."""
    name = Name(number=1, path="/" + "ü" * 2000).to_bytes()
    _fill(volume, itertools.repeat(name))


def long_names(volume: Volume) -> None:
    """Write recordings of names that are as long as they may be, whose texts take four times their bytes in memory."""
    text = "\N{SNOWMAN}" * 4000
    for count, recording in enumerate(volume.recordings(20 << 20)):
        with recording.journal.open("wb") as journal:
            for number in range(1, 1700):
                journal.write(_raw_name({"id": number, "path": f"/{count}/{number}/{text}"}) + point(number, 1))


def too_long_names(volume: Volume) -> None:
    """Write recordings with paths of 100 KB."""
    for number, recording in enumerate(volume.recordings(100 << 10)):
        recording.append(_raw_name({"id": 1, "path": f"/{number}" + "x" * (100 << 10)}) + point(1, 1))


def lines(volume: Volume) -> None:
    """Write one recording of the highest lines that may be, of many files."""
    _fill(
        volume,
        (Name(number=n, path=f"/{n}").to_bytes() + point(n, (1 << 24) - 1 - n) for n in range(1, 1 << 23)),
    )


def arcs(volume: Volume) -> None:
    """Write recordings of a million arcs each that no file has."""
    for recording in volume.recordings(16 << 20, branch=True):
        with recording.journal.open("wb") as journal:
            journal.write(Name(number=1, path="/app/shop/cart.py", fingerprint=_PRINT).to_bytes())
            for start in range(1, 1001):
                journal.write(b"".join(point(1, (start, end)) for end in range(1, 1001)))


def fitting_arcs(volume: Volume) -> None:
    """Write recordings of files of the checkout, and of all arcs that there are between their lines."""
    every = [(one, other) for one in range(-_LENGTH, _LENGTH + 1) for other in range(-_LENGTH, _LENGTH + 1)]
    for number, recording in enumerate(volume.recordings(500_000 * 16, branch=True)):
        with recording.journal.open("wb") as journal:
            journal.write(_long_name(number % _FILES))
            for first in range(0, 500_000, 1000):
                at = (number // _FILES * 500_000 + first) % (len(every) - 1000)
                journal.write(b"".join(point(1, arc) for arc in every[at : at + 1000]))


def both_kinds(volume: Volume) -> None:
    """Write recordings of lines and of branches by turns, none of which the checkout has."""
    for number, recording in enumerate(volume.recordings(4 << 20)):
        recording.change_process(branch=bool(number % 2))
        with recording.journal.open("wb") as journal:
            journal.write(Name(number=1, path="/app/shop/cart.py", fingerprint=_PRINT).to_bytes())
            for start in range(1, 251):
                each = ((start, end) if number % 2 else start * end for end in range(1, 1001))
                journal.write(b"".join(point(1, arc) for arc in each))


def many_recordings(volume: Volume) -> None:
    """Write 50,000 recordings of one line each."""
    for number in range(volume.few(50_000)):
        volume.recording(run="run-1").append(_cart() + point(1, 1 + number % 4))


def many_damaged(volume: Volume) -> None:
    """Write 50,000 recordings without a manifest."""
    for _ in range(volume.few(50_000)):
        volume.recording().manifest_path.write_bytes(b"")


def many_runs(volume: Volume) -> None:
    """Write 50,000 recordings, each of another run."""
    for number in range(volume.few(50_000)):
        volume.recording(run=f"run-{number}-{'x' * 4000}"[:TEXT_LIMIT]).append(_cart() + point(1, 1))


def many_journals(volume: Volume) -> None:
    """Write one recording with 100,000 journals, each of another line."""
    recording = volume.recording()
    for number in range(volume.few(99_000)):
        recording.append(_cart() + point(1, 1 + number % 8), number)


def many_bad_journals(volume: Volume) -> None:
    """Write one recording with 100,000 journals, none of which is one."""
    recording = volume.recording()
    recording.append(_cart() + point(1, 1))
    for number in range(1, volume.few(99_000)):
        recording.append(bytes(16), number)


def many_entries(volume: Volume) -> None:
    """Write more entries than a volume may have."""
    volume.recording().append(_cart() + point(1, 1))
    for number in range(volume.few(200_000)):
        (volume.path / f"entry-{number}").touch()


def large_manifest(volume: Volume) -> None:
    """Write one manifest of 100 MB."""
    volume.recording().manifest_path.write_bytes(b" " * volume.few(100 << 20))


def manifests(volume: Volume) -> None:
    """Write manifests that are as large as they may be: modules that were imported too early."""
    modules = [f"module{number}.{'x' * 70}" for number in range(9_900)]
    for number, recording in enumerate(volume.recordings(MANIFEST_LIMIT)):
        recording.append(_cart() + point(1, 1))
        recording.change(imported_before_start=[f"m{number}", *modules])


def begun(volume: Volume) -> None:
    """Write manifests of many files that had begun, each at many lines."""
    for number, recording in enumerate(volume.recordings(MANIFEST_LIMIT)):
        recording.append(_cart() + point(1, 1))
        told = [Begun(path=f"/{number}/{each}.py", lines=list(range(9_000))) for each in range(10)]
        recording.manifest_path.write_bytes(
            json.dumps(dataclasses.asdict(dataclasses.replace(recording.manifest, begun=told))).encode()
        )


def texts(volume: Volume) -> None:
    """Write manifests whose texts are as long as they may be, and take four times their bytes in memory."""
    long = "\N{SNOWMAN}" + "x" * (TEXT_LIMIT - 20)
    for number, recording in enumerate(volume.recordings(60_000)):
        told = f"{long}{number}"
        recording.append(_cart() + point(1, 1))
        _write_raw(
            recording.change_process(python=told, coverage=told, core=told, config_sha256=told, boot=told).change(
                run="run-1",
                revision=told,
                pod=dataclasses.replace(pod(), name=told, namespace=told, uid=told, node=told, container=told),
            )
        )


def problems(volume: Volume) -> None:
    """Write manifests with as many problems as there may be, each as long as it may be."""
    for number, recording in enumerate(volume.recordings(PROBLEMS_LIMIT * TEXT_LIMIT)):
        recording.append(_cart() + point(1, 1))
        recording.change(problems=[f"{number} {each} {'x' * (TEXT_LIMIT - 20)}" for each in range(PROBLEMS_LIMIT)])


def watched(volume: Volume) -> None:
    """Write one recording, and a watch log of a gigabyte, each of whose lines tells of another pod at length."""
    volume.recording().append(_cart() + point(1, 1))
    _watch(volume, (json.dumps(_seen(number, "x" * (800 << 10))) for number in itertools.count()))


def watched_often(volume: Volume) -> None:
    """Write one recording, and a watch log of a gigabyte, in lines as short as they may be."""
    volume.recording().append(_cart() + point(1, 1))
    at = '"2026-01-31T23:59:59.000000Z"'
    _watch(volume, itertools.repeat(f'{{"at":{at},"gap":"pods","since":{at},"reason":""}}'))


def sparse(volume: Volume) -> None:
    """Write one journal that is a hole of a gigabyte."""
    recording = volume.recording()
    with recording.journal.open("wb") as journal:
        journal.truncate(volume.size)


def deep(volume: Volume) -> None:
    """Write folders in folders where recordings and journals should be."""
    recording = volume.recording()
    recording.append(_cart() + point(1, 1))
    for top in (recording.path / "journal-1", volume.path / layout.recording_name("deep", STARTED)):
        folder = os.open(_made(top), os.O_RDONLY)
        for _ in range(volume.few(3_000)):
            os.mkdir(layout.MANIFEST, dir_fd=folder)
            below = os.open(layout.MANIFEST, os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = below
        os.close(folder)


CASES: dict[str, Callable[[Volume], None]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        unknown_paths, unknown_paths_of_many, elsewhere, duplicates, names, one_name, long_names, too_long_names, lines,
        arcs, fitting_arcs, both_kinds, many_recordings, many_damaged, many_runs, many_journals, many_bad_journals,
        many_entries, large_manifest, manifests, begun, texts, problems, watched, watched_often, sparse, deep,
    )
}  # fmt: skip


def _cart() -> bytes:
    return Name(number=1, path="/app/shop/cart.py", fingerprint=fingerprint(SOURCES["shop/cart.py"])).to_bytes()


def _long(number: int) -> str:
    return f"# {number}\n" + "pass\n" * (_LENGTH - 1)


def _long_name(number: int) -> bytes:
    return Name(number=1, path=f"/app/shop/long{number}.py", fingerprint=fingerprint(_long(number))).to_bytes()


def _raw_name(document: dict[str, object]) -> bytes:
    content = json.dumps(document, ensure_ascii=False).encode()
    return (
        Name(number=1, path="x").to_bytes()[:8]
        + len(content).to_bytes(4, "little")
        + bytes(4)
        + content
        + b" " * (-len(content) % 16)
    )


def _write_raw(recording: Recording) -> None:
    """Publish the manifest of *recording* without escapes, so that it is small."""
    document = json.dumps(dataclasses.asdict(recording.manifest), ensure_ascii=False)
    recording.manifest_path.write_bytes(document.encode())


def _fill(volume: Volume, parts: Iterator[bytes], first: bytes = b"") -> None:
    """Write one journal of *parts* that is as large as may be read."""
    recording, size = volume.recording(), 0
    with recording.journal.open("wb") as journal:
        for part in itertools.chain([first], parts):
            if size + len(part) > volume.size:
                return
            size += journal.write(part)


def _seen(number: int, text: str) -> dict[str, object]:
    raw = {
        "metadata": {"name": f"operator-{number}", "namespace": "shop", "uid": f"u{number}", "labels": {}},
        "spec": {"nodeName": "n", "volumes": [], "containers": []},
        "status": {"phase": "Failed", "reason": "x", "message": f"{number}\N{SNOWMAN}{text}"},
    }
    return {"at": "2026-01-31T23:59:59.000000Z", "change": "ADDED", "pod": keep_pod(raw)}


def _watch(volume: Volume, told: Iterator[str]) -> None:
    at = "2026-01-31T23:59:00.000000Z"
    header = {"format": 1, "namespace": "shop", "server": "s", "namespace_uid": "", "started_at": at}
    with (_made(volume.output) / watchlog.NAME).open("w") as log:
        log.write(json.dumps(header) + "\n")
        while log.tell() < volume.size:
            log.writelines(f"{line}\n" for line in itertools.islice(told, 100))


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> None:
    """Make the volumes, collect each, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="KIND", help=f"which (default: all): {', '.join(CASES)}")
    parser.add_argument("--share", type=float, default=1.0, help="how much of a gigabyte each has (default: 1)")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds that one may take (default: 1800)")
    parser.add_argument("--folder", type=Path, help="where they are made; default: the folder for temporary files")
    parser.add_argument("--make", action="store_true", help="only make that one, in the folder, and keep it")
    asked = parser.parse_args(arguments)
    if asked.make:
        CASES[asked.cases[0]](Volume(asked.folder, asked.share))
        return
    out.write(f"{'kind':22} {'volume':>8} {'memory':>8} {'largest':>8} {'time':>8} {'lines':>6} {'ledger':>8} exit\n")
    for name in asked.cases or CASES:
        base = Path(tempfile.mkdtemp(prefix="hostile-", dir=asked.folder)).resolve()
        try:
            project = make_project(base / "checkout")
            project.write({"setup.py": _SETUP, **{f"shop/long{n}.py": _long(n) for n in range(_FILES)}})
            project.commit()
            # By another process: what runs here has its memory counted as its children's.
            python("tests.benchmarks.hostile", "--make", name, "--folder", str(base), "--share", str(asked.share))
            volume = Volume(base, asked.share)
            out.write(f"{name:22} {_megabytes(volume.path):6} MB {_collected(volume, asked.timeout)}\n")
            out.flush()
        finally:
            subprocess.run(["rm", "-rf", str(base)], check=False)  # deeper than Python follows


def _megabytes(folder: Path) -> int:
    told = subprocess.run(["du", "-sm", "--apparent-size", str(folder)], capture_output=True, text=True, check=False)
    return int(told.stdout.split()[0]) if told.stdout else 0


def _collected(volume: Volume, timeout: float) -> str:
    command = [sys.executable, "-m", "coverage_hooks", "collect", "--from", str(volume.path)]
    with tempfile.TemporaryFile("w+") as told:
        begun, most, how = time.monotonic(), 0, ""
        process = subprocess.Popen(command, cwd=volume.output.parents[1], stdout=told, stderr=told)
        pid = 0
        while not pid:
            most = max(most, _memory(process.pid))
            if not how and time.monotonic() - begun > timeout:
                process.kill()
                how = f" killed after {timeout:g} s"
            time.sleep(_EVERY)
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it again
        seconds = time.monotonic() - begun
        told.seek(0)
        printed = told.readlines()
    how += " a traceback" * any(line.startswith("Traceback") for line in printed)
    ledger = volume.output / outputs.LEDGER
    kept = ledger.stat().st_size >> 10 if ledger.exists() else 0
    most, largest = most >> 10, used.ru_maxrss >> 10
    over = " OVER" * (max(most, largest) > MEMORY or len(printed) > LINES)
    sizes = f"{most:5} MB {largest:5} MB {seconds:6.1f} s {len(printed):6} {kept:5} KB"
    return f"{sizes} {process.returncode} {over}{how}"


def _memory(pid: int) -> int:
    """Return the memory of process *pid* and all below it, in KiB; 0 for those that are gone."""
    total, waiting = 0, [pid]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        with contextlib.suppress(OSError, ValueError, IndexError):
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
            total += int((process / "status").read_text().partition("VmRSS:")[2].split()[0])
    return total


if __name__ == "__main__":
    main()
