"""How signals end a command: what is left of it, and what it ends with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coverage_hooks.collect import outputs
from coverage_hooks.commands.signals import ENDING, Ended, ending
from tests import leftovers
from tests.cluster.waiting import WITHIN, wait_until
from tests.leftovers import Command
from tests.unit.collect.building import SOURCES, make_project, record

OUTPUT = Path("build/coverage")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Begins something, and puts it away when it is told to, which it may be at a line of its input.
_CLEANING = """
import signal, sys
from coverage_hooks.commands import signals
{before}
with signals.ending(*signals.ENDING):
    try:
        print("begun", flush=True)
        sys.stdin.readline()
    finally:
        print("leaving", flush=True)
        {leaving}
        print("left", flush=True)
"""


@pytest.fixture(autouse=True)
def _as_from_a_terminal() -> Iterator[None]:
    """Have signals mean what they mean at a terminal, for children as well: below ``nohup`` some are ignored."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def cleaning(leaving: str = "sys.stdin.readline()", before: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run that, and give it when it has begun."""
    code = _CLEANING.format(leaving=leaving, before=before)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert said(process) == "begun"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line of *process*."""
    assert process.stdout
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    """Give *process* a line."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("number", SIGNALS)
def test_what_was_begun_is_put_away(number: signal.Signals) -> None:
    with cleaning() as process:
        process.send_signal(number)
        assert said(process) == "leaving"
        tell(process)
        assert said(process) == "left"
        assert process.wait() == 128 + number


def test_a_second_signal_ends_at_once() -> None:
    with cleaning("while True: sys.stdin.readline()") as process:
        process.send_signal(signal.SIGTERM)
        assert said(process) == "leaving"

        def ended() -> bool:
            process.send_signal(signal.SIGINT)
            return process.poll() is not None

        wait_until(ended, "it ends although it is not done")
        assert process.returncode == -signal.SIGINT


def test_signals_that_come_together_are_one() -> None:
    """As of a terminal that is closed: its shell says so, and the kernel says so."""
    with cleaning(before="signals._ONE = 3600") as process:
        process.send_signal(signal.SIGHUP)
        assert said(process) == "leaving"
        for number in ENDING:
            process.send_signal(number)
        tell(process)
        assert said(process) == "left"
        assert process.wait() == 128 + signal.SIGHUP


def test_what_is_ignored_stays_ignored() -> None:
    with cleaning(before="signal.signal(signal.SIGHUP, signal.SIG_IGN)") as process:
        process.send_signal(signal.SIGHUP)
        tell(process)
        assert said(process) == "leaving"
        tell(process)
        assert said(process) == "left"
        assert process.wait() == 0


def test_an_error_on_the_way_out_does_not_hide_the_signal() -> None:
    """Standard error may be a terminal that is gone."""

    @contextmanager
    def failing() -> Iterator[None]:
        try:
            yield
        finally:
            raise OSError

    with pytest.raises(Ended) as raised, ending(signal.SIGTERM), failing():
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.code == 128 + signal.SIGTERM


def test_afterwards_signals_mean_what_they_meant() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with ending(*ENDING):
        assert not set(before) & {signal.getsignal(number) for number in ENDING}
    assert [signal.getsignal(number) for number in ENDING] == before


@pytest.mark.parametrize(("command", "theirs"), [("kopf-run", True), ("status", False)])
def test_the_signals_of_an_operator_are_its_own(command: str, *, theirs: bool) -> None:
    code = f"""
import signal, sys
from coverage_hooks import cli
sys.argv[1:] = [{command!r}]
cli.commands = lambda **_: signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
try:
    cli.main()
except SystemExit as end:
    print(end.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(theirs)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout where a file has changed since it was recorded."""
    project = make_project(tmp_path / "checkout")
    record(tmp_path / "volume")
    project.write({"shop/cart.py": "# changed\n" + SOURCES["shop/cart.py"]})
    return project.root


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """A folder with a git that does not answer when it is asked for a file, until a pipe in the folder is opened."""
    folder = tmp_path / "bin"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    program = folder / "git"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *cat-file*) : > "{folder}/asked"; exec cat "{folder}/pipe";; esac\n'
        f'exec "{shutil.which("git")}" "$@"\n'
    )
    program.chmod(0o755)
    return folder


def answer(git: Path) -> None:
    """Let *git*, which is not ours, come to its end."""
    os.close(os.open(git / "pipe", os.O_RDWR | os.O_NONBLOCK))


@contextmanager
def collecting(checkout: Path, git: Path) -> Iterator[Command]:
    """Run a collect, and give it when it is in the middle of combining."""
    volume = checkout.parent / "volume"
    arguments = ("collect", "--from", volume, "--realign")
    path = f"{git}{os.pathsep}{os.environ['PATH']}"
    with leftovers.started(*arguments, cwd=checkout, temporary=checkout.parent / "temporary", PATH=path) as command:
        wait_until((git / "asked").exists, "it asks git")
        assert list((checkout / OUTPUT).glob(f"{outputs.SCRATCH}*"))
        yield command


@pytest.mark.parametrize("number", SIGNALS)
def test_a_collect_leaves_nothing(checkout: Path, git: Path, number: signal.Signals) -> None:
    with collecting(checkout, git) as command:
        command.end(number)
        assert "Traceback" not in command.said()
        assert command.process.returncode == 128 + number
        answer(git)
        command.wait_until_gone(WITHIN)
        assert command.temporaries() == []
    left = {name.partition("/")[0] for name in leftovers.listing(checkout / OUTPUT)}
    assert left == {outputs.LOCK, outputs.RAW, outputs.LEDGER}
    assert not list((checkout / OUTPUT).rglob("*.tmp"))


def test_what_a_killed_collect_leaves_the_next_one_removes(checkout: Path, git: Path) -> None:
    with collecting(checkout, git) as command:
        command.end(signal.SIGKILL)
        command.process.wait()
        answer(git)
        command.wait_until_gone(WITHIN)
        assert list((checkout / OUTPUT).glob(f"{outputs.SCRATCH}*"))
        assert command.temporaries() == []
    with leftovers.started("verify", cwd=checkout, temporary=checkout.parent / "temporary") as command:
        assert "Traceback" not in command.said()
        assert command.process.returncode == 0
    assert not list((checkout / OUTPUT).glob(f"{outputs.SCRATCH}*"))
