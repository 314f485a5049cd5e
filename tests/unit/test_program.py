"""``coverage-hooks run``: a program finds itself as Python alone would have it, and is measured from its first line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipapp
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cluster.waiting import WITHIN, wait_until
from tests.unit.record.children import Left, left_on

#: Writes down where it finds itself.
PROBE = """\
import json, os, pickle, sys, warnings

class Kept:
    pass

main = sys.modules["__main__"]
spec = main.__spec__
print(json.dumps({
    "argv": sys.argv, "path": sys.path[0], "name": __name__, "file": __file__, "main": main.__dict__ is globals(),
    "package": __package__, "spec": spec and [spec.name, spec.origin], "loader": type(__loader__).__name__,
    "cached": globals().get("__cached__", None), "doc": __doc__, "xoptions": sys._xoptions, "flags": list(sys.flags),
    "warnings": warnings.filters[0][0] if warnings.filters else None, "builtins": "print" in vars(__builtins__),
    "pickled": type(pickle.loads(pickle.dumps(Kept()))) is Kept,
}))
"""


@dataclass(frozen=True)
class Place:
    """A folder with programs in it, and a volume."""

    folder: Path

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def environment(self, **more: str) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTHON"))}
        path = os.pathsep.join([str(self.folder / "bin"), environment["PATH"]])
        settings = {"ENABLED": "1", "DIR": str(self.volume), "INTERVAL": "0.1", "EXIT_TIMEOUT": f"{WITHIN:g}"}
        return environment | {f"COVERAGE_HOOKS_{key}": value for key, value in settings.items()} | {"PATH": path} | more

    def run(self, *words: str, options: tuple[str, ...] = (), **more: str) -> subprocess.CompletedProcess[str]:
        """Run ``coverage-hooks run WORDS`` in this folder, with *options* of the interpreter."""
        return self._run([sys.executable, *options, "-m", "coverage_hooks", "run", *words], **more)

    def alone(self, *words: str, options: tuple[str, ...] = (), **more: str) -> subprocess.CompletedProcess[str]:
        """Run ``python WORDS`` in this folder."""
        return self._run([sys.executable, *options, *words], **more)

    def _run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment(**more)
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=WITHIN, check=False
        )

    def left(self) -> list[Left]:
        return left_on(self.volume)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write(".coveragerc", "[run]\nsource = .\n")
    made.write("kopf.py", "raise ImportError('hidden from this child')\n")
    return made


def lines(place: Place, name: str) -> set[int]:
    (left,) = place.left()
    return left.lines()[name]


@pytest.mark.parametrize("options", [(), ("-X", "dev", "-W", "error::UserWarning"), ("-O",), ("-P",)])
@pytest.mark.parametrize(
    "words",
    [
        ("probe.py", "one", "--two", "--help"),
        ("./probe.py",),
        ("linked.py",),
        ("-m", "probe", "-m", "--", "x"),
        ("-mprobe",),
        ("-m", "package"),
        ("-m", "package.below", "--version"),
        ("-m", "bare.module"),
        ("folder",),
        ("program.pyz", "a"),
        ("without_ending",),
    ],
    ids=" ".join,
)
def test_a_program_finds_itself_as_python_has_it(
    place: Place, words: tuple[str, ...], options: tuple[str, ...]
) -> None:
    for name in ("probe.py", "package/__main__.py", "package/below.py", "bare/module.py", "folder/__main__.py"):
        place.write(name, f'"""{name}"""\n{PROBE}')
    place.write("package/__init__.py", "")
    place.write("without_ending", PROBE)
    (place.folder / "linked.py").symlink_to(place.write("elsewhere/probe.py", PROBE))
    place.write("zipped/__main__.py", PROBE)
    zipapp.create_archive(place.folder / "zipped", place.folder / "program.pyz")
    more = {"PYTHONPATH": str(place.folder)} if "-P" in options else {}
    expected, found = (run(*words, options=options, **more) for run in (place.alone, place.run))
    assert (found.returncode, expected.returncode) == (0, 0), found.stderr
    assert json.loads(found.stdout) == json.loads(expected.stdout)


@pytest.mark.parametrize(
    "source",
    [
        "raise SystemExit",
        "raise SystemExit(7)",
        "raise SystemExit('the reason')",
        "import os; os._exit(3)",
        "def deep():\n    1 / 0\ntry:\n    deep()\nexcept ArithmeticError as e:\n    raise OSError(32, 'x') from e",
        "import sys; sys.excepthook = lambda *a: print(a[0], a[1], a[2].tb_frame.f_code.co_name); 1 / 0",
        "import atexit, sys; atexit.register(lambda: print(sys.last_value, sys.last_traceback.tb_lineno)); 1 / 0",
        "this is no Python",
        "import no_such_module",
        "import atexit, threading; atexit.register(print, 'last'); threading.Timer(0.1, print, ['thread']).start()",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "raise KeyboardInterrupt",
    ],
)
def test_a_program_ends_as_it_does_by_itself(place: Place, source: str) -> None:
    place.write("program.py", source)
    expected, found = place.alone("program.py"), place.run("program.py")
    assert found.returncode == expected.returncode
    assert found.stdout == expected.stdout
    if "KeyboardInterrupt" not in source:  # its traceback has frames of this package in front
        assert without_log(found.stderr) == expected.stderr


def without_log(errors: str) -> str:
    """Return *errors* without what this package logs of the Kopf that is hidden."""
    return "".join(line for line in errors.splitlines(keepends=True) if not line.startswith("Kopf cannot be imported"))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("no_such.py",), 2),
        (("./no/such",), 2),
        (("no-such-program",), 2),
        (("bash-script",), 2),
        (("-m", "no_such"), 1),
        (("-m", "package.no_such"), 1),
        (("-m", "package"), 1),
        (("empty_folder",), 1),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(place: Place, words: tuple[str, ...], code: int) -> None:
    place.write("package/__init__.py", "")
    place.write("empty_folder/x.txt", "")
    place.write("bin/bash-script", "#!/bin/sh\nif true; then echo no; fi\n").chmod(0o755)
    done = place.run(*words)
    assert done.returncode == code
    assert words[-1] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_that_misses_another_is_not_called_missing(place: Place) -> None:
    place.write("package/__init__.py", "import something_else")
    place.write("package/__main__.py", "")
    done = place.run("-m", "package")
    assert done.returncode == 1
    assert "No module named 'something_else'" in done.stderr


@pytest.mark.parametrize("words", [(), ("--help",), ("-m",), ("--unknown", "x.py")], ids=" ".join)
def test_no_program_is_wrong_use_and_records_nothing(place: Place, words: tuple[str, ...]) -> None:
    done = place.run(*words)
    assert done.returncode == (0 if words == ("--help",) else 2)
    assert "-m" in done.stdout + done.stderr
    assert not place.left()


def test_a_console_script_is_found_on_the_path(place: Place) -> None:
    script = place.write(
        "bin/operate", f"#!{sys.executable}\nimport sys, json\nprint(json.dumps([sys.argv, sys.path[0]]))\n"
    )
    script.chmod(0o755)
    done = place.run("operate", "--now")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[str(script), "--now"], str(script.parent)]
    assert lines(place, "operate") == {2, 3}


def test_the_top_level_counts_from_its_first_line(place: Place) -> None:
    place.write("shop/__init__.py", "OPEN = True\n")
    place.write("shop/__main__.py", "from shop import OPEN\nif OPEN:\n    print('open')\nelse:\n    print('closed')\n")
    assert place.run("-m", "shop").stdout == "open\n"
    assert lines(place, "__main__.py") == {1, 2, 3}
    (left,) = place.left()
    assert left.lines()["__init__.py"] == {1}
    assert left.manifest.state == "finished"
    assert left.manifest.imported_before_start == []


def test_switched_off_it_only_runs_the_program(place: Place) -> None:
    place.write("program.py", "import sys; print('coverage' in sys.modules, 'click' in sys.modules)\n")
    assert place.run("program.py", COVERAGE_HOOKS_ENABLED="0").stdout == "False True\n"
    assert not place.left()


def test_children_of_multiprocessing_find_the_main_module(place: Place) -> None:
    source = """
        import multiprocessing

        def double(number):
            return 2 * number

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(double, [21]))
    """
    place.write("program.py", source)
    assert place.run("program.py").stdout == "[42]\n"
    assert place.run("-m", "program").stdout == "[42]\n"


def test_an_interrupt_ends_it_by_the_signal(place: Place) -> None:
    place.write("program.py", "import time\nopen('begun', 'w').close()\nwhile True:\n    time.sleep(0.01)\n")
    command = [sys.executable, "-m", "coverage_hooks", "run", "program.py"]
    with subprocess.Popen(command, cwd=place.folder, env=place.environment(), stderr=subprocess.PIPE) as process:
        try:
            wait_until((place.folder / "begun").exists, "the program begins")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=WITHIN)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert lines(place, "program.py") == {1, 2, 3, 4}
