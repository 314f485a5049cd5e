"""The operator as a whole: what is set up before the first resource is handled, and taken down after the last."""

from __future__ import annotations

import logging
from typing import Any

import kopf

from keycloak_operator import metrics
from keycloak_operator.cluster import ClusterClient
from keycloak_operator.handlers.leading import lead
from keycloak_operator.handlers.storage import DigestStorage
from keycloak_operator.keycloak.admin import Pool
from keycloak_operator.reconcile.outcome import World
from keycloak_operator.resources import GROUP
from keycloak_operator.settings import Settings


@kopf.on.startup()
async def set_up(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Connect to the cluster and configure Kopf."""
    mine = Settings.from_environment()
    _log_less()
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = DigestStorage(prefix=GROUP)
    # How long a deletion waits when the resource's loop is in the middle of something: a minute by default.
    settings.background.cancellation_polling = 1.0
    settings.posting.reporting_component = "keycloak-operator"
    memo.settings = mine
    # Kopf calls this again when something below has failed.
    if mine.metrics and "metrics" not in memo:
        memo.metrics = metrics.serve(mine.metrics)
    if "leadership" not in memo:
        memo.leadership = await lead(mine)
        metrics.leads()
    memo.pool = Pool(mine.timeout, mine.requests)
    memo.cluster = await ClusterClient.connect()
    memo.waiting = set()
    memo.world = World(cluster=memo.cluster, keycloaks=memo.pool, operator_id=mine.operator_id)


@kopf.on.cleanup()
async def take_down(memo: kopf.Memo, **_: Any) -> None:
    """Close all connections."""
    if "pool" in memo:
        await memo.pool.close()
    if "cluster" in memo:
        await memo.cluster.close()
    if memo.get("leadership"):
        await memo.leadership.end()
    if "metrics" in memo:
        memo.metrics()


def _log_less() -> None:
    """Leave out a line for each request, and for each event that is looked at: they say nothing that is news.

    And leave out what must be in no log, at whatever level.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Its debug lines are whole answers of the Kubernetes API: what is read of a Secret, too.
    logging.getLogger("kubernetes_asyncio").setLevel(logging.INFO)
    logging.getLogger("kopf.objects").addFilter(lambda record: "Handler 'wake' succeeded" not in record.getMessage())
