"""What it is told to do, and doing it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import kopf

from faulty import acts

# Outlives the container, and not the pod.
DONE = Path("/scratch")


@kopf.on.startup()
def set_up(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Ask for no more than its rights are; with FAULT=startup, fail for good."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    acts.UNWELL.unlink(missing_ok=True)
    if os.environ.get("FAULT") == "startup":
        raise kopf.PermanentError("it was told to fail in its startup handler")


@kopf.on.cleanup()
def take_down(**_: Any) -> None:
    """With FAULT=cleanup, take longer than any pod is given."""
    if os.environ.get("FAULT") == "cleanup":
        time.sleep(3600)


@kopf.on.create("configmaps", labels={"for": "faulty"})
def create(name: str, body: kopf.Body, **_: Any) -> None:
    """Do what a ConfigMap says, as often as it says, also if this process does not live to see the end of it."""
    if _is_due(name, int(body["data"].get("times", "1"))):
        acts.ACTS[body["data"]["act"]]()
    print(f"did {name}", flush=True)  # noqa: T201 - what its tests wait for


@kopf.on.update("configmaps", labels={"for": "faulty"})
async def block(name: str, **_: Any) -> None:
    """Never let anything else run in the event loop; but the next process shall."""
    if _is_due(f"block-{name}", 1):
        time.sleep(3600)  # noqa: ASYNC251 - that is the fault


def _is_due(name: str, times: int) -> bool:
    """Return whether this is to be done once more, and remember that it was."""
    path = DONE / name
    done = path.stat().st_size if path.exists() else 0
    if done < times:
        path.write_bytes(bytes(done + 1))
    return done < times
