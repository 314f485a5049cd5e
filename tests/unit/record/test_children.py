"""What an operator's child processes run is recorded, however they begin and end."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path
from textwrap import dedent

import pytest

from coverage_hooks.record import children
from tests.unit.record.children import Program

#: Two functions, each of its own lines.
WORK = """\
def parents():
    return 1

def childs():
    return 2
"""

START = "import coverage_hooks; coverage_hooks.start()\n"


def program(folder: Path, main: str, **modules: str) -> Program:
    return Program(folder, False, work=WORK, __main__=START + dedent(main), **modules)


def lines_of(recorded: Program) -> dict[str, set[int]]:
    """Return the lines of all recordings together."""
    found: dict[str, set[int]] = defaultdict(set)
    for left in recorded.left():
        for name, lines in left.lines().items():
            found[name] |= lines
    return found


class TestForks:
    @pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit()", "os._exit(3)"])
    def test_a_child_is_recorded_with_its_parent(self, tmp_path: Path, end: str) -> None:
        recorded = program(
            tmp_path,
            f"""\
            import os, sys
            from program import work
            if (child := os.fork()) == 0:
                work.childs()
                {end}
            os.waitpid(child, 0)
            work.parents()
            """,
        )
        done = recorded.run()
        assert done.returncode == 0, done.stderr
        left = recorded.left_one()
        assert left.lines()["work.py"] == {1, 2, 4, 5}
        assert (left.manifest.state, left.manifest.process.forks) == ("finished", 1)
        assert len(left.manifest.journals) == 2

    def test_a_grandchild_whose_parent_is_gone_is_recorded(self, tmp_path: Path) -> None:
        recorded = program(
            tmp_path,
            """\
            import os
            from program import work
            (may_go, go), (ended, end) = os.pipe(), os.pipe()
            if os.fork() == 0:
                if os.fork() == 0:
                    os.read(may_go, 1)
                    work.childs()
                    os._exit(0)
                os._exit(0)
            os.wait()
            os.write(go, b".")
            os.close(end)
            assert os.read(ended, 1) == b""  # the last who could write to it is gone
            """,
        )
        done = recorded.run()
        assert done.returncode == 0, done.stderr
        assert lines_of(recorded)["work.py"] == {1, 4, 5}


class TestMultiprocessing:
    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_a_process_is_recorded(self, tmp_path: Path, method: str) -> None:
        recorded = program(
            tmp_path,
            f"""\
            import multiprocessing
            from program import work
            if __name__ == "__main__":
                process = multiprocessing.get_context({method!r}).Process(target=work.childs)
                process.start()
                process.join()
                assert process.exitcode == 0
            """,
        )
        done = recorded.run()
        assert done.returncode == 0, done.stderr
        assert lines_of(recorded)["work.py"] == {1, 4, 5}

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_a_pool_whose_workers_are_terminated_is_recorded(self, tmp_path: Path, method: str) -> None:
        recorded = program(
            tmp_path,
            f"""\
            import multiprocessing
            from program import work
            if __name__ == "__main__":
                with multiprocessing.get_context({method!r}).Pool(1) as pool:
                    pool.apply(work.childs)
                pool.join()
            """,
        )
        done = recorded.run()
        assert done.returncode == 0, done.stderr
        assert lines_of(recorded)["work.py"] == {1, 4, 5}

    def test_an_executor_is_recorded(self, tmp_path: Path) -> None:
        recorded = program(
            tmp_path,
            """\
            from concurrent.futures import ProcessPoolExecutor
            from program import work
            if __name__ == "__main__":
                with ProcessPoolExecutor(1) as pool:
                    pool.submit(work.childs).result()
            """,
        )
        done = recorded.run()
        assert done.returncode == 0, done.stderr
        assert lines_of(recorded)["work.py"] == {1, 4, 5}

    def test_what_is_spawned_names_its_parent(self, tmp_path: Path) -> None:
        recorded = program(
            tmp_path,
            """\
            import multiprocessing
            from program import work
            if __name__ == "__main__":
                process = multiprocessing.get_context("spawn").Process(target=work.childs)
                process.start()
                process.join()
            """,
        )
        assert recorded.run().returncode == 0
        parents = [left.manifest for left in recorded.left() if not left.manifest.process.parent]
        spawned = [left.manifest for left in recorded.left() if left.manifest.process.parent]
        assert len(parents) == len(spawned) == 1
        assert spawned[0].process.parent == parents[0].recording

    def test_what_a_program_of_one_file_spawns_is_recorded(self, tmp_path: Path) -> None:
        """It imports the file under another name, by which coverage.py does not know it."""
        made = Program(tmp_path, False)
        (tmp_path / "theirs.py").write_text(
            dedent(
                """\
                import multiprocessing
                def childs():
                    return 2
                if __name__ == "__main__":
                    process = multiprocessing.get_context("spawn").Process(target=childs)
                    process.start()
                    process.join()
                """
            )
        )
        (tmp_path / ".coveragerc").write_text("[run]\nsource = theirs\n")
        done = made.run("-m", "coverage_hooks", "run", "theirs.py")
        assert done.returncode == 0, done.stderr
        (spawned,) = [left for left in made.left() if left.manifest.process.parent]
        assert spawned.lines()["theirs.py"] == {1, 2, 3, 4}
        assert spawned.manifest.problems == []

    def test_it_is_not_imported_to_be_followed(self, tmp_path: Path) -> None:
        recorded = program(tmp_path, "import sys; print('multiprocessing.util' in sys.modules)")
        assert recorded.run().stdout == "False\n"

    def test_one_of_another_shape_is_named(self) -> None:
        util, told = type(sys)("multiprocessing.util"), list[str]()
        kept = sys.modules.get("multiprocessing.util")
        sys.modules["multiprocessing.util"] = util
        try:
            children.follow("host-20260101T000000Z-00000000", told.append, programs=False)
        finally:
            if kept is not None:
                sys.modules["multiprocessing.util"] = kept
            else:
                del sys.modules["multiprocessing.util"]
        assert told == [
            "processes that multiprocessing spawns are not recorded: it starts them in a way that is not known"
        ]


class TestPrograms:
    CHILD = (
        "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *{options!r}, '-c', {code!r}]).returncode)"
    )

    def run(
        self, folder: Path, *options: str, code: str = "from program import work; work.childs()", **settings: str
    ) -> Program:
        recorded = program(folder, self.CHILD.format(options=list(options), code=code))
        done = recorded.run(**settings)
        assert done.returncode == 0, done.stderr
        return recorded

    def test_a_python_program_is_recorded_if_it_is_asked_for(self, tmp_path: Path) -> None:
        recorded = self.run(tmp_path, CHILDREN="1")
        assert lines_of(recorded)["work.py"] == {1, 4, 5}
        assert len([left for left in recorded.left() if left.manifest.process.parent]) == 1
        assert not any("is started" in problem for left in recorded.left() for problem in left.manifest.problems)

    def test_it_is_named_if_it_is_not(self, tmp_path: Path) -> None:
        recorded = self.run(tmp_path)
        assert "work.py" not in lines_of(recorded)
        assert any("is started" in problem for problem in recorded.left_one().manifest.problems)

    @pytest.mark.parametrize("option", ["-I", "-E", "-S"])
    def test_one_that_is_isolated_is_named(self, tmp_path: Path, option: str) -> None:
        recorded = self.run(tmp_path, option, code="pass", CHILDREN="1")
        assert any("is started" in problem for left in recorded.left() for problem in left.manifest.problems)

    @pytest.mark.parametrize(
        ("own", "expected"), [("print('own')", "own\n"), ("1 / 0", "Error in sitecustomize; set PYTHONVERBOSE")]
    )
    def test_an_own_sitecustomize_is_run_as_ever(self, tmp_path: Path, own: str, expected: str) -> None:
        tmp_path.joinpath("own").mkdir()
        tmp_path.joinpath("own/sitecustomize.py").write_text(f"{own}\n")
        code = "import sys; sys.path.insert(0, ''); from program import work; work.childs()"
        recorded = program(tmp_path, self.CHILD.format(options=[], code=code))
        recorded.more_environment["PYTHONPATH"] = os.pathsep.join(
            [str(tmp_path / "own"), *filter(None, [os.environ.get("PYTHONPATH", "")])]
        )
        done = recorded.run(CHILDREN="1")
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        assert said.count(expected) == 2  # the operator's own, and the child's
        assert lines_of(recorded)["work.py"] == {1, 4, 5}


def test_what_another_program_replaces_is_saved(tmp_path: Path) -> None:
    recorded = program(
        tmp_path,
        """\
        import os, sys
        from program import work
        work.parents()
        os.execv(sys.executable, [sys.executable, "-c", "print('replaced')"])
        """,
    )
    done = recorded.run(INTERVAL="60")
    assert (done.returncode, done.stdout) == (0, "replaced\n")
    assert recorded.left_one().lines()["work.py"] == {1, 2, 4}


def test_a_process_that_ends_by_os_exit_is_saved(tmp_path: Path) -> None:
    recorded = program(tmp_path, "import os; from program import work; work.parents(); os._exit(7)")
    assert recorded.run(INTERVAL="60").returncode == 7
    left = recorded.left_one()
    assert left.manifest.state == "finished"
    assert left.lines()["work.py"] == {1, 2, 4}


class TestServers:
    APP = """\
    import coverage_hooks
    coverage_hooks.start()
    from program import work

    def app(environ, start_response):
        work.childs()
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]
    """

    @pytest.mark.parametrize("preload", [True, False])
    def test_the_workers_of_gunicorn_are_recorded(self, tmp_path: Path, preload: bool) -> None:
        main = """\
        import socket, subprocess, sys, time, urllib.request
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2", *sys.argv[1:],
             "program.served:app"]
        )
        def answers():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}").status == 200
            except OSError:
                return False
        try:
            while not answers():
                assert server.poll() is None, "gunicorn has ended"
                time.sleep(0.01)
        finally:
            server.terminate()
            server.wait()
        """
        recorded = Program(tmp_path, False, work=WORK, served=dedent(self.APP), drive=dedent(main))
        done = recorded.run("-m", "program.drive", *(["--preload"] if preload else []))
        assert done.returncode == 0, done.stderr
        assert {4, 5} <= lines_of(recorded)["work.py"]
