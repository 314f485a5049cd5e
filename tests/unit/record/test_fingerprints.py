"""The source that is read is the one that was imported, or has no fingerprint."""

from __future__ import annotations

import hashlib
import os
import py_compile
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coverage_hooks.record import fingerprints
from coverage_hooks.record.journal import File
from coverage_hooks.record.sources import Sources
from tests.unit.record.children import Program, usual_mode

MAIN = """\
import coverage_hooks
coverage_hooks.start()
import os, sys
from importlib import reload
from pathlib import Path
{change}
coverage_hooks.save()
"""

WORK = "def run():\n    x = 1\n    return x\n"
OTHER = "def run():\n    # moved\n    x = 1\n    return x\n"


def sources(made: Program) -> str:
    """Return the names and hashes of the files whose fingerprint is known."""
    known = {name: told["sha256"] for name, told in made.left_one().sources().items() if "sha256" in told}
    return " ".join(f"{name} {digest}" for name, digest in known.items())


def problems(made: Program) -> str:
    return "\n".join(made.left_one().manifest.problems)


def run(made: Program, change: str, **more: str) -> None:
    (made.folder / "program/__main__.py").write_text(MAIN.format(change=change))
    made.more_environment |= more
    done = made.run(INTERVAL="60")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def made(tmp_path: Path) -> Program:
    return Program(tmp_path, __main__="", work=WORK)


REPLACED = [
    "import program.work; Path(program.work.__file__).write_text({other!r})",
    "import program.work; Path('new').write_text({other!r}); os.replace('new', program.work.__file__)",
    "from program.work import __file__ as f; s = os.stat(f); Path(f).write_text({other!r}); os.utime(f, (s[7], s[8]))",
]


@pytest.mark.parametrize("writes", ["", "1"])
@pytest.mark.parametrize("change", REPLACED)
def test_a_file_that_is_replaced_after_its_import_has_none_or_its_own(made: Program, change: str, writes: str) -> None:
    run(made, change.format(other=OTHER), PYTHONDONTWRITEBYTECODE=writes)
    if usual_mode() == "immediate":  # it was read before its first line ran
        assert f"work.py {hashlib.sha256(WORK.encode()).hexdigest()}" in sources(made)
        assert not problems(made)
    else:
        assert_has_none(made, "work.py")


@pytest.mark.parametrize("writes", ["", "1"])
def test_a_module_that_the_program_writes_and_replaces_has_none(made: Program, writes: str) -> None:
    """As only its code could prove it, and that is another one by then."""
    write = f"new = Path('program/new.py'); new.write_text({WORK!r})"
    run(made, f"{write}; import program.new; new.write_text({OTHER!r})", PYTHONDONTWRITEBYTECODE=writes)
    assert_has_none(made, "new.py")


def assert_has_none(made: Program, name: str) -> None:
    assert name not in sources(made)
    why = made.left_one().sources()[name]["problem"]
    assert f"{name}: no fingerprint, so no line of it can be trusted: {why}" in problems(made)


@pytest.mark.parametrize("writes", ["", "1"])
def test_a_module_that_the_program_writes_and_then_imports_has_one(made: Program, writes: str) -> None:
    """It is newer than the recording, and its code proves it."""
    text = WORK.replace("1", "2") + "class Kept:\n    @property\n    def it(self):\n        return run()\n"
    run(made, f"Path('program/new.py').write_text({text!r}); import program.new", PYTHONDONTWRITEBYTECODE=writes)
    assert hashlib.sha256(text.encode()).hexdigest() in sources(made)
    assert not problems(made)


def test_compiled_code_that_does_not_check_its_source_is_compared_with_it(made: Program) -> None:
    path = made.folder / "program/work.py"
    py_compile.compile(str(path), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    run(made, "import program.work; program.work.run()")
    assert "work.py" in sources(made)
    path.write_text(OTHER)  # as a build that forgot to compile again
    for left in made.left():
        for file in left.folder.iterdir():
            file.unlink()
        left.folder.rmdir()
    run(made, "import program.work; program.work.run()")
    assert "work.py" not in sources(made)
    assert "was compiled of another source" in problems(made)


@pytest.mark.parametrize("mode", ["TIMESTAMP", "CHECKED_HASH"])
def test_compiled_code_that_was_stale_is_no_reason_for_doubt(made: Program, mode: str) -> None:
    path = made.folder / "program/work.py"
    py_compile.compile(str(path), invalidation_mode=py_compile.PycInvalidationMode[mode])
    path.write_text(OTHER)
    run(made, "import program.work; program.work.run()", PYTHONDONTWRITEBYTECODE="1")
    assert hashlib.sha256(OTHER.encode()).hexdigest() in sources(made)
    assert not problems(made)


def test_a_module_that_was_replaced_between_its_import_and_the_start_has_none(tmp_path: Path) -> None:
    main = """
        from pathlib import Path
        from program import work
        Path(work.__file__).write_text("def late():\\n    return 22\\n")
        import coverage_hooks
        coverage_hooks.start()
        print(coverage_hooks.save())
    """
    made = Program(tmp_path, __main__=main, work="def late():\n    return 1\n")
    assert made.run().stdout == "True\n"
    told = made.left_one().sources()["work.py"]
    assert "sha256" not in told
    assert "changed since it was imported" in told["problem"]


@pytest.mark.parametrize(
    ("content", "git", "sha256"),
    [
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "e3b0c44298fc1c149afbf4c8996fb924"),
        (b"test content\n", "d670460b4b4aece5915caf5c68d12f560a9fe3e4", "a1fff0ffefb9eace7230c24e50731f0a"),
    ],
)
def test_a_fingerprint_is_what_git_and_others_say(content: bytes, git: str, sha256: str) -> None:
    found = fingerprints.of(content)
    assert (found.git, found.sha256[:32]) == (git, sha256)


def test_the_process_began_before_now_and_after_its_parent(tmp_path: Path) -> None:
    before = time.time()
    code = "from coverage_hooks.record.fingerprints import process_began; print(process_began())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert before - tick <= float(done.stdout) <= time.time()
    assert fingerprints.process_began() <= before + tick


def test_functions_tell_another_version_by_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = textwrap.dedent(
        """
        import functools

        def wrap(function):
            @functools.wraps(function)
            def inner():
                return function()
            return inner

        @wrap
        def outer():
            x = 1
            return x

        class A:
            @staticmethod
            def b():
                return 1

        A.again = A
        """
    )
    file = tmp_path / "functions_tell.py"
    file.write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    __import__("functions_tell")
    modules = {str(file): sys.modules["functions_tell"]}
    assert fingerprints.proven(str(file), modules, since=0.0)
    for other in (
        source.replace("    x = 1\n", "    # moved\n    x = 1\n"),
        source.replace("return 1", "return 2"),
        source.replace("def wrap", "\ndef wrap"),
        "x = 1\n",
        "this is no Python",
    ):
        file.write_text(other)
        with pytest.raises(fingerprints.UnprovenError, match="changed since it was imported"):
            fingerprints.proven(str(file), modules, since=0.0)
    monkeypatch.delitem(sys.modules, "functions_tell")


PROXIES = {
    "it answers every name": "class Proxy:\n    def __getattr__(self, name):\n        return self\n",
    "it raises": "class Proxy:\n    def __getattribute__(self, name):\n        raise RuntimeError(name)\n",
}


@pytest.mark.parametrize("kind", PROXIES)
def test_objects_of_the_program_are_asked_for_nothing(made: Program, kind: str) -> None:
    text = f"{PROXIES[kind]}proxy = Proxy()\ndef work():\n    return 1\n"
    run(made, f"Path('program/new.py').write_text({text!r}); import program.new", PYTHONDONTWRITEBYTECODE="1")
    assert hashlib.sha256(text.encode()).hexdigest() in sources(made)
    assert not problems(made)


def test_a_fingerprint_that_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    """A file written after the start is proven by the pulse, which finds the volume full, and less and less so."""
    recorded = Program(
        tmp_path,
        False,
        work=WORK,
        __main__="""\
        import coverage_hooks; coverage_hooks.start()
        import os, resource
        from pathlib import Path
        from program import work
        assert coverage_hooks.save()
        Path("program/late.py").write_text("def late():\\n    return 1\\n")
        from program import late
        (journal,) = Path(os.environ["COVERAGE_HOOKS_DIR"]).glob("*/journal-0")
        most = journal.stat().st_size
        for more in range(0, 1000, 16):
            resource.setrlimit(resource.RLIMIT_FSIZE, (most + more, resource.RLIM_INFINITY))
            coverage_hooks.save()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert coverage_hooks.save()
        """,
    )
    done = recorded.run(INTERVAL="60")
    assert done.returncode == 0, done.stderr
    assert recorded.left_one().sources()["late.py"].keys() >= {"sha256", "git"}


#: How a module comes to be executed again, after *change* of its source.
AGAIN = {
    "it is reloaded": "{change}; reload(program.work).run()",
    "it is reloaded later": "assert coverage_hooks.save(); {change}; reload(program.work).run()",
    "it is imported again": "{change}; del sys.modules['program.work']; import program.work; program.work.run()",
    "it is executed": "{change}; p = program.work.__file__; exec(compile(open(p).read(), p, 'exec'), {{}})",
}


@pytest.mark.parametrize("writes", ["", "1"])
@pytest.mark.parametrize("again", AGAIN)
def test_a_module_that_was_executed_in_two_versions_is_refused(made: Program, again: str, writes: str) -> None:
    change = f"Path(program.work.__file__).write_text({OTHER!r})"
    does = AGAIN[again].format(change=change)
    run(made, f"import program.work; program.work.run(); {does}", PYTHONDONTWRITEBYTECODE=writes)
    assert made.left_one().sources()["work.py"]["problem"]
    assert "work.py: no fingerprint, so no line of it can be trusted" in problems(made)


@pytest.mark.parametrize("again", AGAIN)
def test_a_module_that_was_executed_again_as_it_was_is_none_the_worse(made: Program, again: str) -> None:
    run(made, f"import program.work; program.work.run(); {AGAIN[again].format(change='pass')}")
    assert f"work.py {hashlib.sha256(WORK.encode()).hexdigest()}" in sources(made)
    assert not problems(made)


def test_a_module_that_was_changed_and_back_between_two_beats_is_refused(made: Program) -> None:
    """The last version is the first one again, and lines of another one ran in between."""
    first, other = (f"Path(program.work.__file__).write_text({text!r})" for text in (WORK, OTHER))
    again = "reload(program.work).run()"
    run(made, f"import program.work; {other}; {again}; {first}; {again}", PYTHONDONTWRITEBYTECODE="1")
    assert made.left_one().sources()["work.py"]["problem"]


def test_a_start_module_that_is_executed_again_in_another_version_is_refused(made: Program) -> None:
    change = f"Path(__file__).write_text({OTHER!r}); import runpy; runpy.run_path(__file__)"
    run(made, change)
    assert made.left_one().sources()["__main__.py"]["problem"]


class Names:
    """Stands in for a journal, and keeps which files were named."""

    def __init__(self) -> None:
        self.named: list[File] = []

    def name(self, file: File) -> None:
        self.named.append(file)


@pytest.mark.parametrize("beat_between", [False, True])
def test_versions_are_told_apart_whenever_the_beat_comes(tmp_path: Path, beat_between: bool) -> None:
    """A beat that copies what ran before a module begins knows its file with the next one only."""
    path = tmp_path / "work.py"
    journal: Any = Names()
    problems: list[str] = []
    sources = Sources(set(), problems.append)
    file = File(str(path))
    for text in (WORK, OTHER):
        path.write_text(text)
        sources.executes(compile(text, path, "exec"))
        if beat_between:
            sources.prove(journal, lambda _: None)
            beat_between = False
    sources.prove(journal, lambda _: None)
    file.fingerprint = fingerprints.of(OTHER.encode())
    sources.prove(journal, {file.path: file}.get)
    assert (journal.named, file.problem) == ([file], "it was imported in two versions")
    assert problems


def test_a_file_that_could_not_be_named_is_named_with_the_next_beat(tmp_path: Path) -> None:
    path = tmp_path / "work.py"
    sources = Sources(set(), lambda _: None)
    file = File(str(path))
    file.fingerprint = fingerprints.of(WORK.encode())
    for text in (WORK, OTHER):
        path.write_text(text)
        sources.executes(compile(text, path, "exec"))
    full: Any = SimpleNamespace(name=lambda _: os.write(-1, b""))
    with pytest.raises(OSError, match="Bad file descriptor"):
        sources.prove(full, {file.path: file}.get)
    journal: Any = Names()
    sources.prove(journal, {file.path: file}.get)
    assert journal.named == [file]


def test_a_file_that_begins_amid_a_beat_is_for_the_next_one(tmp_path: Path) -> None:
    sources = Sources(set(), lambda _: None)
    for name in ("work.py", "new.py"):
        (tmp_path / name).write_text(WORK)
    again, new = File(str(tmp_path / "work.py")), File(str(tmp_path / "new.py"))
    again.fingerprint = fingerprints.of(WORK.encode())
    for _ in range(2):
        sources.executes(compile(WORK, again.path, "exec", dont_inherit=True))

    def known(_: str) -> File:
        sources.identify(new)  # as another thread does, which imports it
        return again

    journal: Any = Names()
    sources.prove(journal, known)
    assert (journal.named, new.fingerprint, new.problem) == ([], None, "")
    sources.prove(journal, known)
    assert (journal.named, bool(new.problem)) == ([new], True)
