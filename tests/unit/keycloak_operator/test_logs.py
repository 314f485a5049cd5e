"""With JSON, every line that the process prints is JSON: also what Python prints by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest

from tests.cluster.waiting import WITHIN

PREPARED = """
    import threading, warnings
    import kopf
    from keycloak_operator import logs

    kopf.configure(log_format=kopf.LogFormat.JSON, log_prefix=False)
    logs.take_over()
"""


def said(program: str) -> tuple[int, list[dict[str, Any]]]:
    """Return how *program* ended, and every line that it printed, parsed."""
    command = [sys.executable, "-c", dedent(PREPARED) + dedent(program)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN)
    return ran.returncode, [json.loads(line) for line in (ran.stdout + ran.stderr).splitlines()]


@pytest.mark.parametrize(
    ("program", "code", "severity", "message"),
    [
        ("1 / 0", 1, "fatal", "ZeroDivisionError: division by zero"),
        (
            """
            def fail():
                raise OSError("in a thread")
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
            """,
            0,
            "fatal",
            "OSError: in a thread",
        ),
        (
            """
            class Stubborn:
                def __del__(self):
                    raise ValueError("in a destructor")
            Stubborn()
            """,
            0,
            "error",
            "ignored: in a destructor",
        ),
        ("warnings.warn('be careful', UserWarning)", 0, "warn", "<string>:8: UserWarning: be careful"),
    ],
    ids=["uncaught", "in a thread", "in a destructor", "a warning"],
)
def test_what_python_prints_is_a_line_of_json(program: str, code: int, severity: str, message: str) -> None:
    ended, (line,) = said(program)
    assert (ended, line["severity"]) == (code, severity)
    assert line["message"].startswith(message)
    assert ("exc_info" in line) == (severity != "warn")


@pytest.mark.parametrize("where", ["", "threading.Thread(target=lambda: exec('raise SystemExit')).start()"])
def test_an_end_by_choice_is_nothing_to_tell(where: str) -> None:
    assert said(where or "raise SystemExit(3)") == (0 if where else 3, [])
