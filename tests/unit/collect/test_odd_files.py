"""What may lie where a file is expected: no command hangs or breaks at it, and each says what it left out."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from coverage_hooks.collect import outputs
from coverage_hooks.collect.pods import watchlog
from tests.unit.collect import barred
from tests.unit.collect.building import Project, record
from tests.unit.collect.conftest import Run

#: Whatever opens one of these waits for ever.
pytestmark = pytest.mark.timeout(120)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has to be short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


#: What is made in the place of a source file, and what is said of it.
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (os.mkfifo, "a FIFO, expected a regular file"),
    "a socket": (_socket, "a socket, expected a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "a device, expected a regular file"),
    "a folder behind a link": (lambda path: path.symlink_to("/"), "a folder, expected a regular file"),
    "a looped link": (lambda path: path.symlink_to(path.name), "a link that cannot be read: Too many levels"),
    "a link to nothing": (lambda path: path.symlink_to("absent.py"), "a link that cannot be read: No such file"),
}


@pytest.mark.parametrize("name", ["shop/odd.py", "shop/parts/cart.py", "shop/more/__init__.py"])
@pytest.mark.parametrize("what", ODD)
def test_what_is_no_file_is_in_no_report_and_named(
    run: Run, volume: Path, project: Project, what: str, name: str
) -> None:
    """Beside other files, under the name of one that was measured, and as what makes a package of a folder."""
    make, said = ODD[what]
    (project.root / name).parent.mkdir(exist_ok=True)
    make(project.root / name)
    record(volume)
    result = run("collect")
    counted = f"not counted  1 file, by what it is: {said}" in result.output
    # To a walk through folders, a link to one is a folder.
    assert counted or what == "a folder behind a link"
    assert result.exit_code == 0, result.output
    totals = json.loads((project.root / "build/coverage/summary.json").read_bytes())["totals"]
    assert totals["cluster"]["lines"] == 60
    assert (f"note   not counted, by what it is: {said}" in run("doctor", source=None).output) == counted


@pytest.mark.parametrize("name", [b"caf\xe9.py", "a\nend_of_record\nSF:forged.py", "a\u2028b.py"])
def test_a_name_that_no_report_can_hold_is_in_none_and_named(
    run: Run, volume: Path, project: Project, name: str | bytes
) -> None:
    (project.root / "shop" / os.fsdecode(name)).write_text("x = 1\n")
    record(volume)
    result = run("collect")
    assert result.exit_code == 0, result.output
    assert "not counted  1 file, by its name, which is no line of text: shop/" in result.output
    assert "SF:forged" not in (project.root / "build/coverage/coverage.lcov").read_text()


def test_where_nothing_else_is_left_the_reason_is_told(run: Run, volume: Path, project: Project) -> None:
    project.write({".coveragerc": "[run]\nsource = odd\n"})
    (project.root / "odd").mkdir()
    os.mkfifo(project.root / "odd/only.py")
    record(volume)
    result = run("collect")
    assert result.exit_code == 2
    assert "selects no file" in result.output
    assert "odd/only.py' is left out by what it is: a FIFO" in result.output


def test_a_folder_is_no_file(run: Run, volume: Path, project: Project) -> None:
    (project.root / "shop/folder.py").mkdir()
    record(volume)
    assert run("collect").exit_code == 0


def test_a_file_that_may_not_be_read_is_named(volume: Path, project: Project) -> None:
    """It is one, so what it counts for is not known: a number without it would be wrong."""
    record(volume)
    (project.root / "shop/unused.py").chmod(0)
    done = barred.run(project.root, "collect", "--from", volume)
    assert done.returncode == 2, done.stdout + done.stderr
    (said,) = done.stderr.splitlines()
    assert "shop/unused.py" in said
    assert "Permission denied" in said


@pytest.mark.parametrize("name", [".coveragerc", "setup.cfg", "pyproject.toml", "mine.rc"])
def test_a_configuration_that_is_a_fifo_is_refused(run: Run, volume: Path, project: Project, name: str) -> None:
    (project.root / ".coveragerc").unlink()
    os.mkfifo(project.root / name)
    record(volume)
    result = run("collect", *(["--rcfile", name] if name == "mine.rc" else []))
    assert result.exit_code == 2
    assert "is a FIFO, expected a regular file: name one" in result.output


@pytest.mark.parametrize("option", ["--unit", "--compare"])
def test_a_given_file_that_is_a_fifo_is_refused(run: Run, volume: Path, project: Project, option: str) -> None:
    os.mkfifo(project.root / "given")
    record(volume)
    result = run("collect", option, "given")
    assert result.exit_code == 2
    assert "no unit data at" in result.output or "it is a FIFO, expected a regular file" in result.output


@pytest.mark.parametrize("name", ["journal-0", "recording.json", "journal-77", "complete"])
def test_a_fifo_in_a_recording_is_a_loss(run: Run, volume: Path, project: Project, name: str) -> None:
    recording = record(volume)
    (recording.path / name).unlink(missing_ok=True)
    os.mkfifo(recording.path / name)
    assert all(run(command).exit_code in {0, 1} for command in ("status", "doctor"))
    result = run("collect")
    is_only_a_mark = name == "complete"
    assert result.exit_code == (0 if is_only_a_mark else 1)
    assert ("is a FIFO, expected a regular file" in result.output) != is_only_a_mark


@pytest.mark.parametrize("command", ["collect", "retrieve", "status", "doctor", "prune"])
def test_a_volume_that_is_no_folder_or_lies_behind_a_name_that_is_no_text_is_told(
    run: Run, tmp_path: Path, command: str
) -> None:
    fifo, odd = tmp_path / "fifo", tmp_path / os.fsdecode(b"caf\xe9")
    os.mkfifo(fifo)
    more = ["--all", "--yes"] if command == "prune" else []
    assert run(command, *more, source=fifo).exit_code == 3
    assert run(command, *more, source=odd).exit_code == 3
    record(odd)
    assert run(command, *more, source=odd).exit_code == 0


#: By what is a FIFO in the output folder, the steps that say so; the others do not look at it, or replace it.
IN_THE_WAY = {
    outputs.LOCK: ("verify", "combine", "report", "collect"),
    outputs.LEDGER: ("verify", "combine", "report"),
    watchlog.NAME: ("collect",),
    "journal-0": (),
    "recording.json": (),
}


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_a_fifo_in_the_output_folder_is_waited_for_by_no_step(
    run: Run, volume: Path, project: Project, name: str
) -> None:
    recording = record(volume)
    output = project.root / "build/coverage"
    assert run("collect").exit_code == 0
    path = output / name
    if not name.startswith(".") and name not in {outputs.LEDGER, watchlog.NAME}:
        (path,) = output.glob(f"raw/*/{recording.name}/{name}")
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for command in ("verify", "combine", "report", "collect"):
        result = run(command, source=volume if command == "collect" else None)
        if command in IN_THE_WAY[name]:
            assert result.exit_code == 2, f"{command}: {result.output}"
            assert name in result.output
        else:
            assert result.exit_code in {0, 1, 2}


def test_an_output_folder_whose_name_is_no_text_is_refused(run: Run, volume: Path) -> None:
    record(volume)
    result = run("collect", "--output", os.fsdecode(b"caf\xe9"))
    assert result.exit_code == 2
    assert "is no UTF-8 text, which data files and reports are; rename it" in result.output
