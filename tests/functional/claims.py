"""Claims that say that they have their volume, where nothing provides one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coverage_hooks.collect.cluster.claims import DOMAIN


async def claimed(core: Any, namespace: str, annotations: Mapping[str, str]) -> None:
    """Make claim `recordings` with *annotations* of ours in *namespace*, bound."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    own = {f"{DOMAIN}/{name}": value for name, value in annotations.items()}
    body = {"metadata": {"name": "recordings", "annotations": own}, "spec": spec}
    await core.create_namespaced_persistent_volume_claim(namespace, body)
    await core.patch_namespaced_persistent_volume_claim_status("recordings", namespace, {"status": {"phase": "Bound"}})
