"""What Kopf is told before the first resource is handled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import kopf
import pytest
from prometheus_client import REGISTRY

from keycloak_operator.cluster import ClusterClient
from keycloak_operator.handlers import lifecycle
from keycloak_operator.handlers.storage import DigestStorage
from keycloak_operator.resources import GROUP


async def test_what_is_kept_of_resources_is_ours_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect() -> Any:
        return SimpleNamespace()

    monkeypatch.setattr(ClusterClient, "connect", connect)
    monkeypatch.setattr(lifecycle, "_log_less", lambda: None)  # it is for the whole process
    monkeypatch.setenv("KEYCLOAK_OPERATOR_ID", "mine")
    settings, memo = kopf.OperatorSettings(), kopf.Memo()
    set_up: Any = lifecycle.set_up  # Kopf gives it more than it takes
    await set_up(settings=settings, memo=memo)
    assert settings.persistence.finalizer == f"{GROUP}/finalizer"
    assert isinstance(settings.persistence.diffbase_storage, DigestStorage)
    progress = settings.persistence.progress_storage
    assert isinstance(progress, kopf.AnnotationsProgressStorage)
    assert progress.prefix == GROUP
    assert memo.world.operator_id == "mine"
    assert REGISTRY.get_sample_value("keycloak_operator_leader") == 1
    await memo.pool.close()
