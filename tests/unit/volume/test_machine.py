"""Which machine this is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coverage_hooks.volume import machine


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
