"""What is published of a banner: ConfigMaps and a status, as plain dictionaries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from another_operator.drawing import Banner, draw

OWNER = "example.com/banner"
Pages = dict[str, dict[str, str]]


def wanted(name: str, banner: Banner) -> Pages:
    """Return the data of each ConfigMap by its name."""
    data = {language: draw(banner, language) for language in banner.languages}
    if banner.copies == 1:
        return {f"{name}-banner": data}
    return {f"{name}-banner-{number}": data for number in range(1, banner.copies + 1)}


def differences(wanted: Pages, actual: Pages) -> tuple[list[str], list[str]]:
    """Return the names to write and the names to delete, so that *actual* becomes *wanted*."""
    write = [name for name, data in wanted.items() if actual.get(name) != data]
    delete = [name for name in actual if name not in wanted]
    return write, delete


def config_map(name: str, data: Mapping[str, str], owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ConfigMap that is found again by its owner's name."""
    metadata = {"name": name, "namespace": owner["namespace"], "labels": {OWNER: owner["name"]}}
    return {"metadata": metadata, "data": dict(data)}


def status(phase: str, message: str, generation: int | None) -> dict[str, Any]:
    """Return the status of a banner: `Published` is ready, anything else is not."""
    condition = {
        "type": "Ready",
        "status": str(phase == "Published"),
        "reason": phase,
        "message": message,
        "lastTransitionTime": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    return {"phase": phase, "message": message, "observedGeneration": generation, "conditions": [condition]}
