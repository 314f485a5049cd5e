"""What the documentation says of the commands is what they say of themselves."""

from __future__ import annotations

from tests.documents import COMMANDS, commands_document


def test_the_commands_are_documented_as_they_are() -> None:
    assert COMMANDS.read_text() == commands_document(), "run `make docs`"
