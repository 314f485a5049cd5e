"""Which machine this is, and whether a file system of it has failed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from coverage_hooks.volume import access, layout, listing, machine


def test_a_machine_has_a_boot_id_that_stays() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", machine.boot_id())
    assert machine.boot_id() == machine.boot_id()


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b" \n"])
def test_where_it_cannot_be_read_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setattr(machine, "BOOT_ID", tmp_path / "boot_id")
    if content is not None:
        (tmp_path / "boot_id").write_bytes(content)
    assert machine.boot_id() == ""


@pytest.mark.parametrize(
    ("options", "failed"),
    [("rw", False), ("ro", False), ("rw,emergency_ro", True), ("rw,shutdown", True), ("rw,shutdowns", False)],
)
@pytest.mark.parametrize("mine", [True, False])
def test_a_file_system_that_failed_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, failed: bool, mine: bool
) -> None:
    device = tmp_path.stat().st_dev + (0 if mine else 1)
    number = f"{os.major(device)}:{os.minor(device)}"
    monkeypatch.setattr(machine, "MOUNTS", tmp_path / "mounts")
    machine.MOUNTS.write_text(
        f"1 0 0:1 / /proc rw - proc proc rw\n\n42 27 {number} / /v rw shared:1 - ext4 /dev/v {options}\n"
    )
    with access.open_folder(tmp_path) as folder:
        assert machine.has_failed(folder) == (failed and mine)
        machine.MOUNTS.unlink()
        assert not machine.has_failed(folder)


def test_a_marker_is_not_listed_where_the_file_system_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (layout.COMPLETE, layout.journal_name(0)):
        (tmp_path / name).touch()
    for failed in (False, True):
        monkeypatch.setattr(machine, "has_failed", lambda _, failed=failed: failed)
        with access.open_folder(tmp_path) as folder:
            assert listing.files(folder) == [layout.journal_name(0), *([] if failed else [layout.COMPLETE])]
