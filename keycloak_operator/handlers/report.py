"""What people and programs see of a resource: its status, and events; written only when it changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import kopf

from keycloak_operator.errors import OperatorError
from keycloak_operator.handlers.kinds import Kind
from keycloak_operator.reconcile.outcome import Event, Outcome
from keycloak_operator.reconcile.ports import Cluster
from keycloak_operator.resources import ConditionStatus, Status, condition, with_condition


class Report:
    """The reporting of one resource; `status` is what is known to be written."""

    def __init__(self, kind: Kind, cluster: Cluster, body: kopf.Body) -> None:
        self._kind = kind
        self._cluster = cluster
        self.status: dict[str, Any] = dict(body.get("status") or {})

    async def refresh(self, body: kopf.Body) -> None:
        """Take the status as it is in the cluster: it may have been restored, cleared or edited."""
        namespace, name = body.metadata["namespace"], body.metadata["name"]
        found = await self._cluster.get(self._kind.plural, namespace, name)
        if found is not None:
            self.status = dict(found.get("status") or {})

    async def synced(self, body: kopf.Body, outcome: Outcome) -> bool:
        """Report that the resource is as declared, and return whether that is news."""
        fields = {"observedGeneration": body.metadata["generation"], **outcome.status}
        self.tell(body, outcome.events)  # first: it was done, whether or not the status can be written
        return await self._write(body, fields, "True", "Synced", outcome.message)

    async def failed(self, body: kopf.Body, error: OperatorError) -> bool:
        """Report why it is not, and return whether that is news.

        The generation counts as observed when trying again would change nothing.
        """
        fields = {"observedGeneration": body.metadata["generation"]} if error.retry in {"never", "resync"} else {}
        self.tell(body, error.done)
        news = await self._write(body, {**error.status, **fields}, error.ready, error.reason, str(error))
        if news and error.warns:
            self.tell(body, [Event(type="Warning", reason=error.reason, message=str(error))])
        return news

    async def deleting(self, body: kopf.Body, error: OperatorError) -> None:
        """Report what keeps the resource from going."""
        message = f"{error.reason}: {error}"
        if await self._write(body, {}, "False", "Deleting", message):
            self.tell(body, [Event(type="Warning", reason="Deleting", message=message)])

    def tell(self, body: kopf.Body, events: Iterable[Event]) -> None:
        """Post *events* about the resource."""
        for event in events:
            kopf.event(body, type=event.type, reason=event.reason, message=event.message)

    async def _write(
        self, body: kopf.Body, fields: Mapping[str, Any], status: ConditionStatus, reason: Any, message: str
    ) -> bool:
        """Write what is new, and return whether the reason is."""
        before = Status.of({"status": {"conditions": self.status.get("conditions") or ()}}).conditions
        generation = body.metadata["generation"]
        new = condition(status, reason, message, generation=generation, now=datetime.now(UTC))
        conditions = [each.model_dump(mode="json", by_alias=True) for each in with_condition(before, new)]
        wanted = {**fields, "conditions": conditions}
        changes = {key: value for key, value in wanted.items() if self.status.get(key) != value}
        if changes:
            namespace, name = body.metadata["namespace"], body.metadata["name"]
            await self._cluster.patch_status(self._kind.plural, namespace, name, changes)
            self.status = {key: value for key, value in {**self.status, **changes}.items() if value is not None}
        return not any(each.type == new.type and each.reason == new.reason for each in before)
