"""Whatever the user's own configuration says, the live sets are not emptied and nothing is lost without a word."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import coverage_hooks
from tests.cluster.waiting import WITHIN
from tests.unit.record.children import Left, Program, left_on, usual_mode

MAIN = """
    import coverage_hooks
    coverage_hooks.start()
    import os, time
    from program import work

    def until_published():
        assert coverage_hooks.save()

    for number in range(4):
        getattr(work, f"test_{number}")()
        until_published()
"""

WORK = "".join(f"def test_{number}():\n    x = {number}\n    return x\n" for number in range(4))
ALL = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}

SWITCHER = """
    import coverage

    class Switcher(coverage.CoveragePlugin):
        def dynamic_context(self, frame):
            return frame.f_code.co_name if frame.f_code.co_name.startswith("test_") else None

    def coverage_init(reg, options):
        reg.add_dynamic_context(Switcher())
"""

TRACER = """
    import coverage

    class Plugin(coverage.CoveragePlugin):
        def file_tracer(self, filename):
            return Tracer(filename) if filename.endswith("work.py") else None
        def file_reporter(self, filename):
            return "python"

    class Tracer(coverage.FileTracer):
        def __init__(self, filename):
            self.filename = filename
        def source_filename(self):
            return self.filename

    def coverage_init(reg, options):
        reg.add_file_tracer(Plugin())
"""


def made_with(folder: Path, *options: str, **modules: str) -> Program:
    made = Program(folder, __main__=MAIN, work=WORK, **modules)
    with open(folder / ".coveragerc", "a") as rcfile:
        rcfile.write("".join(f"{option}\n" for option in options))
    return made


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("dynamic_context = test_function", "[run] dynamic_context = test_function is ignored"),
        ("sigterm = true", "[run] sigterm = True is ignored"),
        ("patch = fork, _exit, subprocess", "[run] patch = fork, _exit, subprocess is ignored"),
        ("concurrency = multiprocessing", "[run] concurrency = multiprocessing is ignored"),
        ("concurrency = thread, multiprocessing", "[run] concurrency = multiprocessing is ignored"),
        ("plugins = program.plugin", "plugin Switcher is ignored"),
    ],
)
def test_what_would_empty_the_live_sets_is_overridden_and_named(tmp_path: Path, option: str, named: str) -> None:
    made = made_with(tmp_path, option, plugin=SWITCHER)
    result = made.run()
    assert result.returncode == 0, result.stderr
    left = made.left_one()
    assert left.lines()["work.py"] == ALL
    assert [problem for problem in left.manifest.problems if named in problem]
    assert named in result.stderr
    assert left.mode == usual_mode(), "it must not have fallen back to a single save at the end"


@pytest.mark.parametrize("setting", ["fifo", ""])
def test_a_configuration_that_would_be_read_without_end_stops_no_operator(tmp_path: Path, setting: str) -> None:
    made = Program(tmp_path, __main__="import coverage_hooks\ncoverage_hooks.start()\nprint('on')\n")
    (tmp_path / ".coveragerc").unlink()
    os.mkfifo(tmp_path / (setting or ".coveragerc"))
    result = made.run(RCFILE=setting)
    assert (result.returncode, result.stdout) == (0, "on\n"), result.stderr
    assert "is a FIFO, expected a regular file" in "".join(made.left_one().manifest.problems)


def test_harmless_configurations_are_no_problem(tmp_path: Path) -> None:
    made = made_with(
        tmp_path,
        "parallel = true",
        "context = cluster",
        "relative_files = true",
        "dynamic_context = none",
        f"data_file = {tmp_path}/no/such/folder/.coverage",
    )
    assert made.run().returncode == 0
    left = made.left_one()
    assert left.manifest.problems == []
    assert left.lines()["work.py"] == ALL
    assert not (tmp_path / "no").exists()
    assert "program/work.py" in left.points()


def test_a_file_tracer_keeps_its_files(tmp_path: Path) -> None:
    made = made_with(tmp_path, "plugins = program.plugin", plugin=TRACER)
    assert made.run().returncode == 0
    left = made.left_one()
    assert left.lines()["work.py"] == ALL
    assert left.sources()["work.py"]["tracer"] == "program.plugin.Plugin"
    assert left.sources()["plugin.py"].keys().isdisjoint({"tracer"})
    assert (left.mode, left.manifest.process.core) == ("interval", "ctrace")


# sys.monitoring came with Python 3.12, and before that the tracer written in Python is refused.
CORES = ["ctrace", "pytrace", "sysmon"] if sys.version_info >= (3, 12) else ["ctrace"]


@pytest.mark.parametrize("core", CORES)
def test_every_core_is_journalled(tmp_path: Path, core: str) -> None:
    made = Program(tmp_path, False, __main__=MAIN, work=WORK)
    with open(tmp_path / ".coveragerc", "a") as rcfile:
        rcfile.write(f"core = {core}\n")
    assert made.run().returncode == 0
    left = made.left_one()
    assert (left.manifest.process.core, left.manifest.process.branch, left.manifest.problems) == (core, False, [])
    assert left.lines()["work.py"] == ALL
    assert left.mode == ("immediate" if core == "sysmon" else "interval")


@pytest.mark.parametrize("branch", [True, False], ids=["arcs", "lines"])
def test_where_the_user_chose_no_core_each_line_is_written_before_it_runs_if_that_is_exact(
    tmp_path: Path, branch: bool
) -> None:
    made = Program(tmp_path, branch, __main__=MAIN, work=WORK)
    assert made.run().returncode == 0
    left = made.left_one()
    assert left.mode == usual_mode(branch=branch)
    assert left.manifest.process.core == ("sysmon" if left.mode == "immediate" else "ctrace")
    assert left.is_complete == (left.mode == "immediate")
    assert left.is_on_the_disk()
    assert left.manifest.problems == []


def test_a_volume_that_is_not_known_to_be_local_is_written_by_the_pulse(tmp_path: Path) -> None:
    """A RAM file system is none of those that are known; it stands for one over a network."""
    made = Program(tmp_path, False, __main__=MAIN, work=WORK)
    made.volume.mkdir()
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    script = 'mount -t ramfs none volume && "$0" -m program && cp -r volume left'
    subprocess.run(
        ["unshare", *as_root, "--mount", "sh", "-c", script, sys.executable],
        cwd=tmp_path, env=made.environment(), check=True, capture_output=True, timeout=WITHIN,
    )  # fmt: skip
    (left,) = left_on(tmp_path / "left")
    assert (left.mode, left.is_complete, left.manifest.problems) == ("interval", False, [])
    assert left.manifest.process.core == ("sysmon" if usual_mode(branch=False) == "immediate" else "ctrace")
    assert left.lines()["work.py"] == ALL


@pytest.mark.parametrize("warnings", ["error", "always"])
def test_the_trial_is_not_seen(tmp_path: Path, warnings: str) -> None:
    """Neither what it warns of, such as a core that this Python does not have, nor what it leaves open."""
    core = "sysmon" if sys.version_info < (3, 14) else "ctrace"
    made = made_with(tmp_path, f"core = {core}")
    main = tmp_path / "program" / "__main__.py"
    main.write_text(
        main.read_text().replace("from program import work", "import gc\ngc.collect()\nfrom program import work")
    )
    result = made.run("-W", warnings, "-m", "program")
    assert result.returncode == 0
    left = made.left_one()
    assert left.lines()["work.py"] == ALL
    assert not any("another shape" in problem for problem in left.manifest.problems)
    assert "Warning" not in result.stderr


@pytest.mark.parametrize("option", ["timid = true", "core = pytrace"])
def test_no_tracer_ends_an_operator_that_swallows_cancellations(tmp_path: Path, option: str) -> None:
    swallow = """
        import asyncio

        async def deep():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                pass

        async def task():
            await deep()
            await asyncio.sleep(0)

        async def main():
            for _ in range(40):
                started = asyncio.create_task(task())
                await asyncio.sleep(0)
                started.cancel()
                await started

        def run():
            asyncio.run(main())
    """
    start = "import coverage_hooks\ncoverage_hooks.start()\nfrom program import work\nwork.run()\nprint('alive')\n"
    made = Program(tmp_path, __main__=start, work=swallow)
    with open(tmp_path / ".coveragerc", "a") as rcfile:
        rcfile.write(f"{option}\n")
    result = made.run()
    assert (result.returncode, result.stdout) == (0, "alive\n"), result.stderr
    manifest = made.left_one().manifest
    refused = sys.version_info < (3, 12)
    assert manifest.process.core == ("ctrace" if refused else "pytrace")
    assert any("ignored on Python before 3.12" in problem for problem in manifest.problems) == refused


@pytest.mark.parametrize(
    "interference",
    [
        "current.get_data()",
        "current.save()",
        "current.switch_context(str(number))",
        "[live.clear() for live in list(current._collector.data.values())]",
    ],
)
def test_sets_that_others_empty_are_named_where_they_are_what_is_copied(tmp_path: Path, interference: str) -> None:
    left = interfered_with(tmp_path, interference)
    named = [problem for problem in left.manifest.problems if "other code saved or erased coverage's data" in problem]
    assert len(named) == (left.mode == "interval")
    assert left.mode == usual_mode()
    assert left.is_complete == (left.mode == "immediate"), "each point was written before its set was emptied"


@pytest.mark.parametrize("interference", ["current._collector.data = dict(current._collector.data)", "current.erase()"])
@pytest.mark.parametrize("branch", [True, False])
def test_sets_that_others_replace_are_named_and_read_from_then_on(
    tmp_path: Path, interference: str, branch: bool
) -> None:
    left = interfered_with(tmp_path, interference, branch=branch)
    (named,) = (problem for problem in left.manifest.problems if "the live sets were replaced" in problem)
    assert "get_data() is called each interval from now on" in named
    assert (left.mode, left.is_complete) == ("interval", False)


def interfered_with(folder: Path, interference: str, *, branch: bool = True) -> Left:
    """Return what was recorded, to the last line, beside other code that interferes after each function."""
    main = MAIN.replace(
        "        until_published()",
        "        coverage_hooks.save()\n        current = __import__('coverage').Coverage.current()\n"
        f"        {interference}",
    )
    made = Program(folder, branch, __main__=main, work=WORK)
    result = made.run()
    assert result.returncode == 0, result.stderr
    left = made.left_one()
    assert left.lines()["work.py"] == ALL
    return left


# Each makes coverage.py what it may be one day, or was, before recording starts.
OTHER_SHAPES = {
    "no such method": "del coverage.collector.Collector.cached_mapped_file\n"
    "coverage.collector.Collector.mapped_file_dict = lambda self, files: dict(files)",
    "copies that it does not store": "flush_data = coverage.collector.Collector.flush_data\n"
    "coverage.collector.Collector.flush_data = lambda self: "
    "flush_data(self) if isinstance(self, coverage.collector.Collector) else True",
}

#: Makes coverage.py keep what it measures in sets of its own, whatever it was given.
SETS_OF_ITS_OWN = """
start_tracer = coverage.collector.Collector._start_tracer
def start_with_sets_of_its_own(self):
    self.data = dict(self.data)
    return start_tracer(self)
coverage.collector.Collector._start_tracer = start_with_sets_of_its_own
"""


def of_another_shape(folder: Path, changes: str, *, published: bool = True) -> tuple[Left, Left]:
    """Return what a killed and an ended process left on the volume beside a coverage.py with *changes*.

    Each asks for a save after each function but the last, which is *published* or not; one is killed before that.
    """
    changes = textwrap.indent(f"import sys, coverage, coverage.collector\n{changes}\n", " " * 4)
    main = MAIN.replace("import coverage_hooks\n", f"import coverage_hooks\n{changes}", 1)
    if not published:
        main = main.replace("assert coverage_hooks.save()", "assert not coverage_hooks.save()")
    main = main.replace("range(4)", "range(3)")
    main += "\n    if input() == 'die':\n        os.kill(os.getpid(), 9)\n    work.test_3()\n"
    made = Program(folder, __main__=main, work=WORK)
    for last_words in ("die", "end"):
        with made.start() as process:
            process.communicate(last_words)
    killed, finished = sorted(made.left(), key=lambda left: left.manifest.state == "finished")
    assert (killed.manifest.state, finished.manifest.state) == ("running", "finished")
    assert finished.lines()["work.py"] == ALL
    return killed, finished


@pytest.mark.parametrize("shape", OTHER_SHAPES)
@pytest.mark.parametrize("keeps_all", [True, False])
def test_live_data_of_another_shape_is_asked_for_where_that_loses_nothing(
    tmp_path: Path, shape: str, keeps_all: bool
) -> None:
    older = "" if keeps_all else "\ncoverage.version_info = (7, 17, 3, 'final', 0)"
    published = keeps_all or usual_mode() == "immediate"
    killed, finished = of_another_shape(tmp_path, OTHER_SHAPES[shape] + older, published=published)
    problems = "\n".join(finished.manifest.problems)
    assert ("is older than 7.17.4" in problems) == (not keeps_all)
    if usual_mode() == "immediate":  # which copies nothing
        assert (killed.mode, killed.is_complete) == ("immediate", True)
        assert "another shape" not in problems
    else:
        assert "keeps its live data in another shape" in problems
        assert killed.mode == finished.mode == ("interval" if keeps_all else "final")
    assert killed.lines().get("work.py", set()) == (ALL - {11, 12} if published else set())


@pytest.mark.parametrize("and_more", ["", *OTHER_SHAPES])
def test_sets_that_cannot_be_exchanged_are_copied_or_asked_for(tmp_path: Path, and_more: str) -> None:
    killed, finished = of_another_shape(tmp_path, SETS_OF_ITS_OWN + OTHER_SHAPES.get(and_more, ""))
    assert killed.mode == finished.mode == "interval"
    assert not finished.is_complete
    assert killed.lines()["work.py"] == ALL - {11, 12}
    told = [problem for problem in finished.manifest.problems if "keeps its live data in another shape" in problem]
    if and_more:
        assert told[0].endswith("it is saved by get_data() each interval, which takes more time")
    elif usual_mode() == "immediate":
        assert told[0].endswith("it is saved each interval instead of before each line")
    assert len(told) == bool(and_more or usual_mode() == "immediate")


def test_what_was_imported_too_early_is_listed(tmp_path: Path) -> None:
    main = "from program import early\n" + "\n".join(line[4:] for line in MAIN.splitlines())
    made = Program(tmp_path, __main__=main, work=WORK, early="x = 1\n")
    with open(tmp_path / ".coveragerc", "a") as rcfile:
        rcfile.write("disable_warnings = already-imported\n")
    assert made.run().returncode == 0
    left = made.left_one()
    assert left.manifest.imported_before_start == ["program", "program.__main__", "program.early"]
    assert left.manifest.start_modules == ["program.__main__"]


def test_a_thread_older_than_the_recording_is_named(tmp_path: Path) -> None:
    main = MAIN.replace(
        "import coverage_hooks\n",
        "import coverage_hooks, threading\n    gate = threading.Event()\n"
        "    threading.Thread(target=gate.wait, name='early bird').start()\n",
        1,
    )
    made = Program(tmp_path, __main__=main + "\n    gate.set()\n", work=WORK)
    assert made.run().returncode == 0
    (problem,) = made.left_one().manifest.problems
    assert problem == "thread 'early bird' is older than the recording; what it executes is not recorded"


@pytest.mark.parametrize("error", ["SystemExit", "RuntimeError"])
def test_a_log_handler_that_raises_ends_neither_the_operator_nor_its_recording(tmp_path: Path, error: str) -> None:
    main = f"""
    import logging, os

    class Handler(logging.Handler):
        def emit(self, record):
            raise {error}

    logging.getLogger().addHandler(Handler())
    import coverage_hooks
    coverage_hooks.start()
    import pacing
    from program import work
    work.test_0()
    os.system("python")  # it is named with the next beat, in the log, too
    pacing.until(lambda manifest: manifest["problems"])
    work.test_1()
    assert coverage_hooks.save()
    pacing.until_beaten(2)
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    result = made.run(RUN="$(NOBODY)")
    assert result.returncode == 0, result.stderr
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"]) == ("finished", ALL - {8, 9, 11, 12})


def test_without_a_source_nobody_can_tell_what_came_too_early(tmp_path: Path) -> None:
    made = Program(tmp_path, __main__=MAIN, work=WORK)
    (tmp_path / ".coveragerc").write_text("[run]\nbranch = True\n")
    assert made.run().returncode == 0
    assert any("names no source" in problem for problem in made.left_one().manifest.problems)


def test_what_records_is_not_recorded_but_all_else_is(tmp_path: Path) -> None:
    """It would write of itself while it writes."""
    made = made_with(tmp_path, "cover_pylib = true")
    rcfile = tmp_path / ".coveragerc"
    rcfile.write_text(rcfile.read_text().replace("source = program\n", "include = *\n"))
    done = made.run()
    assert done.returncode == 0, done.stderr
    left = made.left_one()
    package = Path(coverage_hooks.__file__).parent
    assert not [path for path in left.points() if path.startswith((f"{package}/record", f"{package}/volume"))]
    assert left.lines()["work.py"] == ALL
    assert left.lines()["threading.py"]
    assert (left.mode, left.is_complete) == (usual_mode(), usual_mode() == "immediate")
    assert left.is_on_the_disk(), "coverage.py, which is recorded here, has stopped before the last save"


def test_a_plugin_that_changes_the_configuration_does_not_get_past(tmp_path: Path) -> None:
    configurer = """
        import coverage

        class Configurer(coverage.CoveragePlugin):
            def configure(self, config):
                config.set_option("run:sigterm", True)
                config.set_option("run:dynamic_context", "test_function")

        def coverage_init(reg, options):
            reg.add_configurer(Configurer())
    """
    made = made_with(tmp_path, "plugins = program.plugin", plugin=configurer)
    assert made.run().returncode == 0
    left = made.left_one()
    assert left.lines()["work.py"] == ALL
    assert len([problem for problem in left.manifest.problems if "is ignored while recording" in problem]) == 2


def test_what_coverage_warns_about_later_is_a_problem(tmp_path: Path) -> None:
    broken = TRACER.replace(
        "def source_filename",
        "def line_number_range(self, frame):\n            raise ValueError\n        def source_filename",
    )
    made = made_with(tmp_path, "plugins = program.plugin", plugin=broken)
    assert made.run().returncode == 0
    assert any("Disabling plug-in" in problem for problem in made.left_one().manifest.problems)


#: Loads a file as ``kopf run FILE.py`` does.
LOADING = """\
import importlib.util, sys
import coverage_hooks

coverage_hooks.start()
names = ("__kopf_script_{number}__{path}", sys.argv[1])
for number, path in enumerate(sys.argv[2:]):
    name = names[number].format(number=number, path=path)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
coverage_hooks.save()
"""

AS_KOPF_DOES = "__kopf_script_{number}__{path}"


@pytest.mark.parametrize(
    ("source", "path", "name", "measured"),
    [
        ("shop", "src/shop/main.py", AS_KOPF_DOES, True),
        ("shop", "src/shop/deep/main.py", "of_any_name", True),
        ("shop.deep", "src/shop/deep/main.py", AS_KOPF_DOES, True),
        ("main", "src/main.py", AS_KOPF_DOES, True),
        ("main", "src/main.py", "main", True),
        ("main", "src/main.py", "of_any_name", False),
        ("shop", "src/other.py", AS_KOPF_DOES, None),
    ],
)
def test_a_file_that_is_loaded_by_its_path_is_measured(
    tmp_path: Path, source: str, path: str, name: str, measured: bool | None
) -> None:
    made = Program(tmp_path, program="")
    for file in ("src/shop/__init__.py", "src/shop/main.py", "src/shop/deep/main.py", "src/main.py", "src/other.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("loaded = 1\n")
    (tmp_path / "load.py").write_text(LOADING)
    (tmp_path / ".coveragerc").write_text(f"[run]\nsource = {source}\n")
    more = os.environ.get("PYTHONPATH")
    made.more_environment = {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path / "src"), more]))}
    done = made.run("load.py", name, "src/other.py", path)
    assert done.returncode == 0, done.stderr
    left = made.left_one()
    assert left.lines() == ({Path(path).name: {1}} if measured else {})
    told = "was loaded as module 'of_any_name'" in "\n".join(left.manifest.problems)
    assert told == (measured is False)
