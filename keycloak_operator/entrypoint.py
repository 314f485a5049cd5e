"""Starts the operator: coverage first, then the handlers, then Kopf.

``kopf run -m keycloak_operator.entrypoint`` imports it; ``python -m keycloak_operator`` runs what `prepare` returns.
"""

# ruff: noqa: E402 - recording has to start before anything that is recorded is imported

import functools
from collections.abc import Callable

import coverage_hooks

coverage_hooks.start()

import kopf

from keycloak_operator import handlers
from keycloak_operator.settings import Settings

__all__ = ["handlers", "prepare", "save"]

save = coverage_hooks.save


def prepare() -> Callable[[], None]:
    """Return what runs the operator until it is told to stop, with settings from the environment alone."""
    settings = Settings.from_environment()
    log_format = kopf.LogFormat[settings.log_format.upper()]
    kopf.configure(log_format=log_format, log_prefix=log_format is not kopf.LogFormat.JSON)
    return functools.partial(
        kopf.run,
        standalone=True,  # replicas take turns by a Lease: of equals, Kopf's peering pauses all
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        liveness_endpoint=settings.liveness,
    )
