"""The journal: every point is written before it counts, and whatever happens to the file, nothing is lost unnoticed."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import os
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.record.folder import Folder
from coverage_hooks.record.journal import File, Journal
from coverage_hooks.record.live import Live
from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import Fingerprint
from tests import journals

ROOT = Path(__file__).parents[3]
APART = 1 << 22
FINGERPRINT = Fingerprint(sha256="0" * 64, git="1" * 40)


def path_of(file: File) -> str:
    return file.path


class Recording:
    """A journal in *folder*, and live sets as coverage.py fills them."""

    def __init__(
        self,
        folder: Path,
        *,
        immediate: bool = True,
        branch: bool = False,
        identify: Callable[[File], str] = path_of,
    ) -> None:
        self.folder = folder
        self.journal = Journal(Folder(folder), identify, immediate=immediate, replay=self._replay)
        self.live = Live(self.journal, branch=branch)

    def _replay(self) -> None:
        for points in list(self.live.values()):
            self.journal.append(points.file, points.pairs())

    def run(self, path: str, *points: Any) -> None:
        """Do what `SysMonitor` does before *points* of *path* run."""
        for point in points:
            self.live[path] = set()
            self.live[path].add(point)

    def beat(self) -> None:
        """Do what the pulse does, again when the journal was gone."""
        if not self.journal.settle():
            assert self.journal.settle()

    @property
    def descriptor(self) -> int:
        (found,) = [number for number in descriptors() if self.file and is_same(number, self.file)]
        return found

    @property
    def file(self) -> Path:
        """The file of the journal that is written now, the last one."""
        return max(self.folder.glob("journal-*"), key=lambda path: int(path.name.rpartition("-")[2]))

    def remove(self) -> None:
        """Remove what journals there are."""
        for path in self.folder.glob("journal-*"):
            path.unlink(missing_ok=True)

    def is_complete(self) -> bool:
        return (self.folder / layout.COMPLETE).exists()

    def lines(self) -> dict[str, set[int]]:
        return {path: {line for line, _ in points} for path, points in journals.read(self.folder).points.items()}


def descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


def is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(tmp_path)
    yield recording
    recording.journal.close()


@contextmanager
def largest(size: int) -> Iterator[None]:
    """Let no file of this process get longer than *size* bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def together(*actions: Callable[[], object]) -> None:
    """Do all at the same time."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> None:
        barrier.wait()
        action()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def python(script: str, *arguments: str) -> str:
    """Run *script* with `Recording` at hand in an interpreter of its own, and return what it says."""
    prelude = "import os, sys, signal, threading, time\nfrom pathlib import Path\n"
    prelude += "from tests.unit.record.test_journal import *\nfolder = Path(sys.argv[1])\n"
    return run([sys.executable, "-c", prelude + textwrap.dedent(script), *arguments])


def run(command: list[str], within: float = 120.0) -> str:
    """Run *command* from the root of the checkout to its end, with all that it has started, and return what it says."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=within)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    return output


class Slow:
    """Identifies files, and for the first time ``/slow.py`` no earlier than it is told to."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __call__(self, file: File) -> str:
        if file.path == "/slow.py" and not self.asked.is_set():
            self.asked.set()
            self.go_on.wait(60)
        return file.path


class TestWriting:
    def test_a_name_comes_before_the_first_point_and_once(self, recording: Recording) -> None:
        recording.run("/a.py", 1, 2)
        recording.run("/b.py", 7)
        recording.run("/a.py", 3)
        told = list(journals.records(recording.file.read_bytes()))
        assert [each["path"] if isinstance(each, dict) else each for each in told] == [
            "/a.py",
            ("/a.py", (1, 0)),
            ("/a.py", (2, 0)),
            "/b.py",
            ("/b.py", (7, 0)),
            ("/a.py", (3, 0)),
        ]

    def test_every_prefix_has_a_meaning(self, recording: Recording) -> None:
        recording.run("/a.py", 1, 2)
        recording.run("/b.py", 7)
        content = recording.file.read_bytes()
        for size in range(len(content)):
            list(journals.records(content[:size]))

    def test_a_point_is_in_the_file_when_it_was_added(self, recording: Recording) -> None:
        for line in range(1, 50):
            recording.run("/a.py", line)
            assert recording.lines() == {"/a.py": set(range(1, line + 1))}

    def test_a_point_that_is_there_is_not_written_again(self, recording: Recording) -> None:
        recording.run("/a.py", 1, 2)
        size = recording.file.stat().st_size
        recording.run("/a.py", 2, 1)
        assert recording.file.stat().st_size == size

    def test_branches_are_pairs_and_may_be_negative(self, tmp_path: Path) -> None:
        recording = Recording(tmp_path, branch=True)
        recording.run("/a.py", (-1, 2), (2, 2), (2, -1))
        assert journals.read(tmp_path).points == {"/a.py": {(-1, 2), (2, 2), (2, -1)}}
        assert sorted(recording.live["/a.py"].pairs()) == [(-1, 2), (2, -1), (2, 2)]

    @pytest.mark.parametrize("branch", [False, True])
    def test_line_0_is_a_line(self, tmp_path: Path, branch: bool) -> None:
        Recording(tmp_path, branch=branch).run("/empty.py", *([(0, 0), (0, -1)] if branch else [0]))
        assert journals.read(tmp_path).points == {"/empty.py": {(0, 0), (0, -1)} if branch else {(0, 0)}}

    def test_making_a_set_writes_nothing_and_asks_nothing(self, tmp_path: Path) -> None:
        """coverage.py may hold a lock meanwhile, which a fork would leave locked."""
        recording = Recording(tmp_path, identify=lambda _: pytest.fail("asked"))
        recording.live["/a.py"] = set()
        first = recording.live["/a.py"]
        recording.live["/a.py"] = set()
        assert recording.live["/a.py"] is first
        assert list(tmp_path.iterdir()) == []

    def test_a_later_name_adds_what_was_not_known(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        file = recording.live["/a.py"].file
        file.fingerprint = FINGERPRINT
        recording.journal.name(file)
        number = file.number
        source = journals.read(recording.folder).sources["/a.py"]
        assert (source["sha256"], source["id"]) == (FINGERPRINT.sha256, number)

    def test_the_pulse_appends_in_bulk(self, tmp_path: Path) -> None:
        recording = Recording(tmp_path, immediate=False)
        file = File("/a.py", "plugin")
        recording.journal.append(file, [(1, 0), (2, 0)])
        recording.journal.append(file, [(3, 0)])
        assert recording.lines() == {"/a.py": {1, 2, 3}}
        assert journals.read(tmp_path).sources["/a.py"]["tracer"] == "plugin"
        assert not recording.is_complete()

    def test_the_hash_is_of_whole_records_that_are_on_the_disk(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        recording.beat()
        recording.run("/a.py", 2)
        (named,) = recording.journal.prefixes()
        content = recording.file.read_bytes()
        assert named.size == len(content) - 16
        assert named.sha256 == hashlib.sha256(content[: named.size]).hexdigest()
        recording.beat()
        (named,) = recording.journal.prefixes()
        assert (named.size, named.sha256) == (len(content), hashlib.sha256(content).hexdigest())

    def test_the_interpreter_lock_is_kept(self, recording: Recording) -> None:
        """Given up for each line, beside busy threads it would not come back for milliseconds."""
        handed_over = 0
        ended = False

        def take() -> None:
            nonlocal handed_over
            while not ended:
                handed_over += 1
                time.sleep(0)

        recording.run("/a.py", 1)
        thread = threading.Thread(target=take)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        try:
            thread.start()
            time.sleep(0.01)
            before = handed_over
            recording.run("/a.py", *range(2, 2000))
            after = handed_over
            ended = True
        finally:
            sys.setswitchinterval(interval)
        thread.join()
        assert before > 0
        assert after == before

    def test_an_operator_that_patches_os_write_gets_nothing_of_it(
        self, recording: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "write", lambda *_: pytest.fail("called"))
        recording.run("/a.py", 1)
        recording.journal.append(File("/b.py"), [(2, 0)])
        recording.beat()
        assert recording.lines() == {"/a.py": {1}, "/b.py": {2}}

    def test_without_ctypes_it_writes_all_the_same(self, tmp_path: Path) -> None:
        told = python(
            """\
            sys.modules["ctypes"] = None
            for name in [name for name in sys.modules if name.startswith("coverage_hooks.record")]:
                del sys.modules[name]
            from coverage_hooks.record import journal, live, storage
            assert journal.write is journal._write
            written = journal.Journal(Folder(folder), lambda file: file.path, immediate=True)
            sets = live.Live(written, branch=False)
            sets["/a.py"] = set()
            sets["/a.py"].add(1)
            with largest((folder / "journal-0").stat().st_size):
                sets["/a.py"].add(2)
            assert not written.is_whole
            written.settle()
            sets["/a.py"].add(3)
            assert written.is_whole
            print(storage.is_local(folder))
            """,
            str(tmp_path),
        )
        assert journals.read(tmp_path).points == {"/a.py": {(1, 0), (2, 0), (3, 0)}}
        assert told == "False\n"


class TestSets:
    def test_a_copy_is_a_set_like_any_other(self, recording: Recording) -> None:
        recording.run("/a.py", 1, 2)
        points = recording.live["/a.py"]
        for copied in (points.copy(), copy.copy(points), copy.deepcopy(points), pickle.loads(pickle.dumps(points))):
            assert copied == {1, 2}
            copied.add(3)
        everything = copy.deepcopy(dict(recording.live))
        assert everything == {"/a.py": {1, 2}}
        assert recording.lines() == {"/a.py": {1, 2}}

    def test_what_other_code_saves_is_still_known(self, recording: Recording) -> None:
        """`get_data` takes out what it has; a journal that has to be written again has all of it."""
        recording.run("/a.py", 1, 2)
        points = recording.live["/a.py"]
        points.difference_update(points.copy())
        assert points == set()
        recording.run("/a.py", 3)
        recording.file.unlink()
        recording.beat()
        assert recording.lines() == {"/a.py": {1, 2, 3}}

    def test_what_other_code_saves_of_branches_is_still_known(self, tmp_path: Path) -> None:
        recording = Recording(tmp_path, branch=True)
        recording.run("/a.py", (-1, 2), (2, -1))
        points = recording.live["/a.py"]
        points.difference_update(points.copy())
        recording.file.unlink()
        recording.beat()
        assert journals.read(tmp_path).points == {"/a.py": {(-1, 2), (2, -1)}}

    def test_what_other_code_saves_again_and_again_is_written_once(self, recording: Recording) -> None:
        for _ in range(3):
            recording.run("/a.py", 1, 2)
            points = recording.live["/a.py"]
            assert points == {1, 2}
            points.difference_update(points.copy())
        assert recording.file.stat().st_size == len(recording.file.read_bytes().rstrip())
        assert [each for each in journals.records(recording.file.read_bytes()) if isinstance(each, tuple)] == [
            ("/a.py", (1, 0)),
            ("/a.py", (2, 0)),
        ]


class TestThreads:
    @pytest.mark.parametrize("_", range(30))
    def test_all_that_run_their_first_lines_at_once_write_to_one_file(self, recording: Recording, _: int) -> None:
        together(*[functools.partial(recording.run, f"/{name}.py", *range(1, 20)) for name in range(8)])
        recording.run("/0.py", 20)
        recording.beat()
        lines = recording.lines()
        assert lines.pop("/0.py") == set(range(1, 21))
        assert lines == {f"/{name}.py": set(range(1, 20)) for name in range(1, 8)}
        assert len([*recording.folder.glob("journal-*")]) == 1

    def test_a_file_that_two_threads_enter_may_have_two_names(self, tmp_path: Path) -> None:
        barrier = threading.Barrier(2)

        def identify(file: File) -> str:
            if file.path == "/both.py":
                barrier.wait(60)
            return file.path

        recording = Recording(tmp_path, identify=identify)
        recording.run("/first.py", 1)
        together(lambda: recording.run("/both.py", 1), lambda: recording.run("/both.py", 2))
        recording.run("/both.py", 3)
        assert recording.lines() == {"/first.py": {1}, "/both.py": {1, 2, 3}}

    def test_a_journal_that_is_replaced_while_a_file_is_identified(self, tmp_path: Path) -> None:
        """What was meant for the old file must not get into the new one, where its number is another file's."""
        identify = Slow()
        recording = Recording(tmp_path, identify=identify)
        recording.run("/a.py", 1)
        recording.run("/b.py", 1)
        slow = threading.Thread(target=recording.run, args=("/slow.py", 1))
        slow.start()
        identify.asked.wait(60)
        recording.file.unlink()
        recording.beat()
        recording.run("/c.py", 1)
        recording.run("/d.py", 1)
        identify.go_on.set()
        slow.join()
        recording.run("/slow.py", 2)
        assert recording.lines() == {"/a.py": {1}, "/b.py": {1}, "/c.py": {1}, "/d.py": {1}, "/slow.py": {1, 2}}

    def test_nothing_is_lost_while_the_journal_is_removed_again_and_again(self, recording: Recording) -> None:
        ended = False

        def remove() -> None:
            while not ended:
                recording.remove()
                recording.beat()

        def work(name: int) -> None:
            for line in range(3000):
                recording.run(f"/{name}-{line % 7}.py", line)

        remover = threading.Thread(target=remove)
        remover.start()
        together(*[lambda name=name: work(name) for name in range(4)])
        ended = True
        remover.join()
        recording.beat()
        recording.beat()
        lines = recording.lines()
        for name in range(4):
            assert set().union(*(lines[f"/{name}-{rest}.py"] for rest in range(7))) == set(range(3000))

    def test_a_journal_that_is_removed_after_it_was_looked_at_is_begun_again(
        self, recording: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording.run("/a.py", 1, 2)
        opened = os.open

        def removing(path: Path, flags: int, *mode: int, dir_fd: int) -> int:
            if not flags & os.O_WRONLY:
                monkeypatch.undo()
                recording.remove()
            return opened(path, flags, *mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", removing)
        assert not recording.journal.settle()
        assert recording.journal.settle()
        assert recording.lines() == {"/a.py": {1, 2}}

    def test_a_journal_that_grows_while_it_is_looked_at_is_not_taken_for_one_that_was_cut(
        self, recording: Recording
    ) -> None:
        recording.run("/a.py", 0)
        inode = recording.file.stat().st_ino
        ended = threading.Event()

        def work(name: int) -> None:
            for line in range(1_000_000):
                if ended.is_set():
                    return
                recording.run(f"/{name}.py", line)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
        for thread in threads:
            thread.start()
        settled = [recording.journal.settle() for _ in range(200)]
        ended.set()
        for thread in threads:
            thread.join()
        assert all(settled)
        assert recording.file.stat().st_ino == inode


class TestFull:
    def test_a_write_that_is_cut_short_is_finished(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        with largest(recording.file.stat().st_size + 7):
            recording.run("/a.py", 2)
            recording.run("/a.py", 3)
            recording.run("/b.py", 1)
            assert not recording.is_complete()
            with pytest.raises(OSError, match="File too large"):
                recording.journal.settle()
            assert recording.lines() == {"/a.py": {1}}
        assert not recording.is_complete()
        recording.beat()
        assert recording.lines() == {"/a.py": {1, 2, 3}, "/b.py": {1}}
        assert recording.is_complete()
        assert recording.file.name == "journal-0"

    def test_a_name_that_is_cut_short_is_finished(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        with largest(recording.file.stat().st_size + 32):
            recording.run("/b.py", 1)
            with pytest.raises(OSError, match="File too large"):
                recording.journal.settle()
        recording.beat()
        assert recording.lines() == {"/a.py": {1}, "/b.py": {1}}

    def test_what_another_thread_wrote_behind_a_torn_record_does_no_harm(self, tmp_path: Path) -> None:
        identify = Slow()
        recording = Recording(tmp_path, identify=identify)
        recording.run("/a.py", 1)
        slow = threading.Thread(target=recording.run, args=("/slow.py", 1))
        slow.start()
        identify.asked.wait(60)
        with largest(recording.file.stat().st_size + 7):
            recording.run("/a.py", 2)
        identify.go_on.set()
        slow.join()
        recording.beat()
        assert recording.lines() == {"/a.py": {1, 2}, "/slow.py": {1}}

    def test_the_pulse_goes_on_where_a_write_was_cut(self, tmp_path: Path) -> None:
        recording = Recording(tmp_path, immediate=False)
        file = File("/a.py")
        recording.journal.append(file, [(1, 0)])
        with largest(recording.file.stat().st_size + 24), pytest.raises(OSError, match="cut short"):
            recording.journal.append(file, [(line, 0) for line in range(2, 9)])
        recording.journal.append(file, [(9, 0)])
        assert recording.lines() == {"/a.py": set(range(1, 10))}

    def test_a_full_disk_and_room_again(self, tmp_path: Path) -> None:
        """On a real tmpfs: ENOSPC, not one stall, and every line is there once something was removed."""
        script = """\
        recording = Recording(folder)
        filler = folder / "filler"
        recording.run("/a.py", 1)
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                assert error.errno == errno.ENOSPC
        recording.run("/a.py", *range(2, 2000))
        recording.run("/b.py", *range(1, 2000))
        assert recording.journal.failure.errno == errno.ENOSPC, recording.journal.failure
        assert not recording.is_complete()
        try:
            recording.journal.settle()
            raise AssertionError("settled")
        except OSError as error:
            assert error.errno == errno.ENOSPC
        filler.unlink()
        recording.beat()
        assert recording.is_complete()
        assert recording.journal.is_whole
        assert recording.lines() == {"/a.py": set(range(1, 2000)), "/b.py": set(range(1, 2000))}
        print("fine")
        """
        prelude = "import os, sys, errno\nfrom pathlib import Path\n"
        prelude += "from tests.unit.record.test_journal import *\nfolder = Path(sys.argv[1])\n"
        users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        mount = f"mount -t tmpfs -o size=256k none '{tmp_path}' && exec \"$@\""
        inside = ["sh", sys.executable, "-c", prelude + textwrap.dedent(script), str(tmp_path)]
        assert run(["unshare", *users, "--mount", "sh", "-c", mount, *inside]) == "fine\n"


class TestDescriptors:
    def test_it_is_none_of_the_low_ones(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        assert recording.descriptor >= 900
        assert not os.get_inheritable(recording.descriptor)

    @pytest.mark.parametrize("immediate", [True, False])
    def test_one_that_other_code_closed_is_opened_again(self, tmp_path: Path, immediate: bool) -> None:
        recording = Recording(tmp_path, immediate=immediate)
        recording.run("/a.py", 1)
        os.close(recording.descriptor)
        recording.run("/a.py", 2)  # at once: a forked child has no pulse that would see to it
        assert recording.journal.is_whole
        assert recording.lines() == {"/a.py": {1, 2}}
        assert recording.is_complete() == immediate
        assert recording.descriptor >= 900

    def test_the_pulse_opens_it_again_before_it_appends(self, tmp_path: Path) -> None:
        recording = Recording(tmp_path, immediate=False)
        file = File("/a.py")
        recording.journal.append(file, [(1, 0)])
        os.close(recording.descriptor)
        recording.journal.append(file, [(2, 0)])
        assert recording.lines() == {"/a.py": {1, 2}}

    def test_one_that_was_closed_of_a_file_that_is_gone_waits_for_the_pulse(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        os.close(recording.descriptor)
        recording.file.unlink()
        recording.run("/a.py", 2)
        assert not recording.journal.is_whole
        assert not recording.is_complete()
        recording.beat()
        assert recording.lines() == {"/a.py": {1, 2}}
        assert recording.is_complete()

    def test_one_that_is_another_file_by_now_is_left_alone(self, recording: Recording, tmp_path: Path) -> None:
        recording.run("/a.py", 1)
        taken = recording.descriptor
        (tmp_path / "theirs").write_text("theirs")
        theirs = os.open(tmp_path / "theirs", os.O_RDWR)
        os.dup2(theirs, taken)
        recording.run("/a.py", 2)  # lands in their file: nothing tells
        recording.beat()
        assert recording.lines() == {"/a.py": {1, 2}}
        assert is_same(taken, tmp_path / "theirs")
        recording.journal.close()
        assert is_same(taken, tmp_path / "theirs")
        os.close(taken)
        os.close(theirs)

    def test_room_for_it_is_made_before_there_are_threads(self) -> None:
        """Else the kernel waits for all processors, and the first line with it."""
        told = python(
            """\
            from coverage_hooks.record.journal import make_room
            def entries():
                (size,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "FDSize" in line]
                return int(size.split()[1])
            if os.fork() == 0:  # which has room for what is open, however much this one has inherited
                before = entries(), len(descriptors())
                make_room()
                print(*before, entries(), len(descriptors()))
            else:
                os.wait()
            """,
            "unused",
        )
        before, opened, after, still = map(int, told.split())
        assert before < 900 < after
        assert still == opened

    def test_closing_lets_go_of_it(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        before = descriptors()
        recording.journal.close()
        assert len(descriptors()) == len(before) - 1

    def test_renewing_leaves_none_open(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        before = len(descriptors())
        for _ in range(3):
            recording.file.unlink()
            recording.beat()
        assert len(descriptors()) == before

    def test_where_no_high_one_is_allowed_a_low_one_does(self, tmp_path: Path) -> None:
        python(
            """\
            import resource
            resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
            recording = Recording(folder)
            recording.run("/a.py", 1)
            assert recording.descriptor < 500
            """,
            str(tmp_path),
        )
        assert journals.read(tmp_path).points == {"/a.py": {(1, 0)}}


def unlink(file: Path) -> None:
    file.unlink()


def replace(file: Path) -> None:
    file.with_name("other").write_bytes(b"other" * 1000)
    file.with_name("other").rename(file)


def cut(file: Path) -> None:
    os.truncate(file, 20)


def empty(file: Path) -> None:
    os.truncate(file, 0)


class TestSilentErrors:
    @pytest.mark.parametrize("spoil", [unlink, cut, empty])
    def test_a_journal_that_is_gone_is_written_again(self, recording: Recording, spoil: Callable[[Path], None]) -> None:
        recording.run("/a.py", 1, 2)
        recording.run("/b.py", 7)
        recording.beat()
        spoil(recording.file)
        recording.run("/a.py", 3)
        recording.run("/c.py", 1)
        recording.beat()
        assert recording.lines() == {"/a.py": {1, 2, 3}, "/b.py": {7}, "/c.py": {1}}
        recording.beat()
        assert recording.is_complete()
        (named,) = recording.journal.prefixes()
        content = recording.file.read_bytes()
        assert (named.file, named.size) == (recording.file.name, len(content))
        assert named.sha256 == hashlib.sha256(content).hexdigest()

    def test_a_file_that_took_its_place_is_left_alone(self, recording: Recording) -> None:
        recording.run("/a.py", 1, 2)
        replace(recording.file)
        recording.run("/a.py", 3)
        recording.beat()
        assert (recording.folder / "journal-0").read_bytes() == b"other" * 1000
        assert recording.file.name == f"journal-{APART}"
        (recording.folder / "journal-0").unlink()
        assert recording.lines() == {"/a.py": {1, 2, 3}}

    def test_it_is_not_complete_before_all_of_it_is_there_again(self, recording: Recording) -> None:
        recording.run("/a.py", 1, 2)
        recording.file.unlink()
        recording.folder.joinpath(layout.COMPLETE).touch()
        with largest(0), pytest.raises(OSError, match=r"cut short|File too large"):
            recording.journal.settle()
        assert not recording.is_complete()
        recording.beat()
        recording.beat()
        assert recording.is_complete()

    def test_a_folder_that_is_gone_is_an_error_until_it_is_there_again(self, tmp_path: Path) -> None:
        folder = tmp_path / "recording"
        folder.mkdir()
        recording = Recording(folder)
        recording.run("/a.py", 1)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        recording.run("/a.py", 2)
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                recording.journal.settle()
            recording.run("/b.py", 1)
        folder.mkdir()
        recording.beat()
        assert recording.lines() == {"/a.py": {1, 2}, "/b.py": {1}}

    def test_what_was_appended_has_to_be_appended_again(self, tmp_path: Path) -> None:
        recording = Recording(tmp_path, immediate=False)
        recording.journal.append(File("/a.py"), [(1, 0)])
        assert recording.journal.settle()
        recording.file.unlink()
        assert not recording.journal.settle()
        assert recording.journal.settle()


class TestComplete:
    def test_it_is_there_from_the_first_point_on(self, recording: Recording) -> None:
        recording.journal.settle()
        assert not recording.is_complete()
        recording.run("/a.py", 1)
        assert recording.is_complete()

    def test_the_first_failure_removes_it_before_the_line_runs(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        with largest(recording.file.stat().st_size):
            recording.run("/a.py", 2)
        assert not recording.is_complete()
        recording.beat()
        assert recording.is_complete()

    def test_a_journal_of_the_pulse_has_none(self, tmp_path: Path) -> None:
        recording = Recording(tmp_path, immediate=False)
        recording.run("/a.py", 1)
        recording.beat()
        assert not recording.is_complete()

    def test_it_is_never_made_again_after_a_fork(self, recording: Recording) -> None:
        """A child may have removed it, of which the parent does not know."""
        recording.run("/a.py", 1)
        recording.journal.forked()
        with largest(recording.file.stat().st_size):
            recording.run("/a.py", 2)
        recording.beat()
        recording.beat()
        assert recording.lines() == {"/a.py": {1, 2}}
        assert not recording.is_complete()

    def test_a_journal_that_is_not_all_of_it_never_gets_it(self, recording: Recording) -> None:
        recording.run("/a.py", 1)
        recording.journal.relax()
        assert not recording.is_complete()
        with largest(recording.file.stat().st_size):
            recording.run("/a.py", 2)
        recording.beat()
        assert not recording.is_complete()

    def test_a_mark_that_could_not_be_made_is_made_later(self, tmp_path: Path) -> None:
        recording = Recording(tmp_path)
        (tmp_path / layout.COMPLETE).mkdir()
        recording.run("/a.py", 1)
        (tmp_path / layout.COMPLETE).rmdir()
        recording.beat()
        assert recording.is_complete()

    def test_no_line_of_any_thread_runs_unwritten_while_it_is_there(self, tmp_path: Path) -> None:
        """Threads fail at the same time, the pulse mends: whenever a point is only pending, the mark is gone."""
        recording = Recording(tmp_path)
        recording.run("/a.py", 0)
        wrong: list[object] = []
        ended = False

        def work(name: int) -> None:
            for line in range(1, 1500):
                recording.run(f"/{name}.py", line)
                # Read in this order: what is pending now must have removed the mark before now.
                if any(path == f"/{name}.py" for path in pending()) and recording.is_complete() and pending():
                    still = [each for each in pending() if each == f"/{name}.py"]
                    if still and recording.is_complete() and line not in recording.lines().get(f"/{name}.py", ()):
                        wrong.append((name, line))

        def pending() -> list[str]:
            return [file.path for file, _, _ in list(recording.journal._pending)]

        def break_and_mend() -> None:
            while not ended:
                os.closerange(900, 910)
                time.sleep(0.001)
                recording.beat()

        breaker = threading.Thread(target=break_and_mend)
        breaker.start()
        together(*[lambda name=name: work(name) for name in range(3)])
        ended = True
        breaker.join()
        recording.beat()
        assert wrong == []
        assert {path: len(lines) for path, lines in recording.lines().items()} == {
            "/a.py": 1,
            **{f"/{name}.py": 1499 for name in range(3)},
        }


FORKING = """\
recording = Recording(folder)
os.register_at_fork(after_in_child=recording.journal.after_in_child, after_in_parent=recording.journal.forked)

def child(action):
    if (pid := os.fork()) == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    return pid

"""


def forking(folder: Path, script: str) -> str:
    return python(FORKING + textwrap.dedent(script), str(folder))


class TestForks:
    def test_a_child_has_a_journal_of_its_own_with_its_first_point(self, tmp_path: Path) -> None:
        told = forking(
            tmp_path,
            """\
            recording.run("/a.py", 1)
            idle = child(lambda: recording.run("/a.py", 1))
            busy = child(lambda: recording.run("/a.py", 2))
            recording.run("/a.py", 3)
            recording.beat()
            print(idle, busy, [each.file for each in recording.journal.prefixes()])
            """,
        )
        _, busy, named = told.split(maxsplit=2)
        assert {path.name for path in tmp_path.glob("journal-*")} == {"journal-0", f"journal-{busy}"}
        assert set(eval(named)) == {"journal-0", f"journal-{busy}"}
        own = [*journals.records((tmp_path / f"journal-{busy}").read_bytes())]
        assert own[1:] == [("/a.py", (2, 0))]
        assert [*journals.records((tmp_path / "journal-0").read_bytes())][1:] == [("/a.py", (1, 0)), ("/a.py", (3, 0))]
        assert (tmp_path / layout.COMPLETE).exists()

    def test_a_fork_of_a_fork(self, tmp_path: Path) -> None:
        forking(
            tmp_path,
            """\
            recording.run("/a.py", 1)
            def middle():
                recording.run("/a.py", 2)
                child(lambda: recording.run("/a.py", 3))
                recording.run("/a.py", 4)
            child(middle)
            recording.beat()
            assert len(recording.journal.prefixes()) == 3
            """,
        )
        assert journals.read(tmp_path).points == {"/a.py": {(line, 0) for line in (1, 2, 3, 4)}}
        assert len([*tmp_path.glob("journal-*")]) == 3

    def test_a_process_id_that_comes_again_gets_another_number(self, tmp_path: Path) -> None:
        told = forking(
            tmp_path,
            """\
            def second():
                (folder / f"journal-{os.getpid()}").write_bytes(b"of an earlier process")
                recording.run("/a.py", 1)
            print(child(second))
            """,
        )
        pid = int(told)
        assert (tmp_path / f"journal-{pid}").read_bytes() == b"of an earlier process"
        assert [*journals.records((tmp_path / f"journal-{pid + APART}").read_bytes())][1:] == [("/a.py", (1, 0))]

    def test_a_child_does_not_touch_the_parents_file(self, tmp_path: Path) -> None:
        forking(
            tmp_path,
            """\
            recording.run("/a.py", 1)
            number = recording.descriptor
            def run():
                assert not is_same(number, folder / "journal-0")
            child(run)
            assert is_same(number, folder / "journal-0")
            """,
        )

    def test_what_was_pending_is_the_parents(self, tmp_path: Path) -> None:
        forking(
            tmp_path,
            """\
            recording.run("/a.py", 1)
            os.close(recording.descriptor)
            recording.run("/a.py", 2)
            child(lambda: recording.run("/b.py", 1))
            assert len([*folder.glob("journal-*")]) == 2
            (own,) = [path for path in folder.glob("journal-*") if path.name != "journal-0"]
            assert [*journals.records(own.read_bytes())][1:] == [("/b.py", (1, 0))]
            recording.beat()
            """,
        )
        assert journals.read(tmp_path).points == {"/a.py": {(1, 0), (2, 0)}, "/b.py": {(1, 0)}}

    def test_what_a_child_cannot_write_removes_the_mark_for_good(self, tmp_path: Path) -> None:
        forking(
            tmp_path,
            """\
            recording.run("/a.py", 1)
            def full():
                with largest(0):
                    recording.run("/a.py", 2)
            child(full)
            recording.run("/a.py", 3)
            recording.beat()
            recording.beat()
            """,
        )
        assert not (tmp_path / layout.COMPLETE).exists()

    @pytest.mark.parametrize("size", [7, 16, 32])
    def test_the_hash_of_a_childs_journal_ends_before_a_name_that_was_cut(self, tmp_path: Path, size: int) -> None:
        """All that a manifest names has to be sound."""
        told = forking(
            tmp_path,
            f"""\
            def run():
                recording.run("/a.py", 2)
                with largest(recording.file.stat().st_size + {size}):
                    recording.run("/b.py", 1)
            recording.run("/a.py", 1)
            pid = child(run)
            recording.beat()
            recording.beat()
            print([each.size for each in recording.journal.prefixes() if each.file == f"journal-{{pid}}"], pid)
            """,
        )
        pid = int(told.split()[1])
        told_size = int(told.split()[0].strip("[]"))
        content = (tmp_path / f"journal-{pid}").read_bytes()
        assert told_size == len(content) - size
        assert [*journals.records(content[:told_size])][1:] == [("/a.py", (2, 0))]

    def test_a_signal_handler_that_forks_amid_a_point(self, tmp_path: Path) -> None:
        """In the child the point goes to the child's journal, and the recording stays complete."""
        forking(
            tmp_path,
            """\
            children = []
            def fork(*_):
                children.append(os.fork())
            signal.signal(signal.SIGALRM, fork)
            line = 0
            while len(children) < 100:
                before = len(children)
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + len(children) * 0.00001)
                while len(children) == before:
                    line += 1
                    recording.run(f"/{line % 50}.py", line)
                if children[-1] == 0:
                    recording.run("/child.py", os.getpid())
                    assert recording.journal.is_whole
                    os._exit(0)
            for pid in children:
                assert os.waitpid(pid, 0)[1] == 0
            recording.beat()
            assert recording.is_complete()
            lines = recording.lines()
            assert lines.pop("/child.py") == set(children)
            assert set().union(*lines.values()) == set(range(1, line + 1))
            """,
        )


#: Each with its own way through the code: the timer goes off amid whatever runs.
SIGNALS = """\
import itertools
recording = Recording(folder, branch=True)
kinds = itertools.cycle([TimeoutError, OSError, KeyboardInterrupt, FileNotFoundError, BlockingIOError])
armed = ended = False
raised = caught = 0

def handle(*_):
    global armed, raised
    if armed:
        armed = False
        raised += 1
        raise next(kinds)("the operator's")

def pulse():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while not ended:
        {disturb}
        try:
            recording.journal.settle()
        except FileNotFoundError:  # spoilt once more meanwhile
            pass
        time.sleep(0.002)

def busy(name):
    for line in range({lines} // 4):
        recording.run(f"/{{name}}-{{line % 50}}.py", (line, -line))

threads = [threading.Thread(target=busy, args=(name,)) for name in "ab"]
pulse = threading.Thread(target=pulse)
for thread in (pulse, *threads):
    thread.start()
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
line = 0
def work():
    global armed, line
    while line < {lines}:
        armed = True
        recording.run(f"/main-{{line % 300}}.py", (line, line))
        line += 1
    armed = False

while line < {lines}:
    try:
        work()
    except (OSError, KeyboardInterrupt) as error:
        assert str(error) == "the operator's", repr(error)
        caught += 1
signal.setitimer(signal.ITIMER_REAL, 0)
for thread in threads:
    thread.join()
ended = True
pulse.join()
recording.beat()
recording.beat()
points = journals.read(folder).points
found = set().union(*[points.get(f"/main-{{rest}}.py", set()) for rest in range(300)])
assert found == {{(line, line) for line in range({lines})}}, len(found)
for name in "ab":
    found = set().union(*[points.get(f"/{{name}}-{{rest}}.py", set()) for rest in range(50)])
    assert found == {{(line, -line) for line in range({lines} // 4)}}, len(found)
assert recording.is_complete()
assert raised == caught, (raised, caught)
print(raised)
"""


class TestSignals:
    @pytest.mark.parametrize(
        "disturb",
        ["pass", "os.closerange(900, 910)", "recording.remove()"],
        ids=["undisturbed", "closed", "removed"],
    )
    def test_an_exception_of_a_handler_is_the_operators_and_costs_no_point(self, tmp_path: Path, disturb: str) -> None:
        told = python(SIGNALS.format(lines=60_000, disturb=disturb), str(tmp_path))
        assert int(told) > 100

    @pytest.mark.parametrize("kind", [TimeoutError, OSError, KeyboardInterrupt])
    def test_a_point_whose_line_did_not_run_is_tried_again(
        self, recording: Recording, kind: type[BaseException]
    ) -> None:
        """A handler runs between any two steps, as here while the file is identified."""
        raising = [kind("theirs")]

        def identify(file: File) -> str:
            if raising:
                os.kill(os.getpid(), signal.SIGUSR1)
            return file.path

        def handle(*_: object) -> None:
            raise raising.pop()

        before = signal.signal(signal.SIGUSR1, handle)
        recording.journal._identify = identify
        try:
            with pytest.raises(kind, match="theirs"):
                recording.run("/a.py", 1)
            assert recording.live["/a.py"] == set()
            recording.run("/a.py", 1)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert recording.lines() == {"/a.py": {1}}
        assert recording.journal.is_whole


if sys.version_info >= (3, 12):  # which has sys.monitoring

    @pytest.mark.parametrize("is_lost", [False, True])
    def test_a_trial_of_which_a_line_does_not_arrive_is_told(is_lost: bool) -> None:
        told = python(
            """
            import coverage
            from coverage_hooks.record import internals
            def make(file):
                made = coverage.Coverage(data_file=None, config_file=False, include=[file])
                made.set_option("run:core", "sysmon")
                return made
            put = internals._Heard.put
            internals._Heard.put = lambda self, *point: sys.argv[1] == "True" and point[1] == 3 or put(self, *point)
            print(internals.try_live(make))
            """,
            str(is_lost),
        )
        assert told == ("a trial came out differently\n" if is_lost else "\n")
