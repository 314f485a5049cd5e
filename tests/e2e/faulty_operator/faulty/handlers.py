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
    times = DONE / name
    done = times.stat().st_size if times.exists() else 0
    if done < int(body["data"].get("times", "1")):
        times.write_bytes(bytes(done + 1))
        acts.ACTS[body["data"]["act"]]()
    print(f"did {name}", flush=True)  # noqa: T201 - what its tests wait for


@kopf.on.update("configmaps", labels={"for": "faulty"})
async def block(**_: Any) -> None:
    """Never let anything else run in the event loop."""
    acts.tell_all()
    time.sleep(3600)  # noqa: ASYNC251 - that is the fault
