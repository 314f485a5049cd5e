"""Starts the operator: coverage first, then the handlers, then Kopf.

``kopf run -m keycloak_operator.entrypoint`` imports it; ``python -m keycloak_operator`` runs what `prepare` returns.
"""

# ruff: noqa: E402 - recording has to start before anything that is recorded is imported

import functools
import logging.handlers
from collections.abc import Callable

import coverage_hooks

# What is said before it is known in which format. Kopf's own command has a handler by now, which knows.
_early = logging.handlers.MemoryHandler(1000, flushLevel=logging.CRITICAL + 1, target=logging.lastResort)
if not logging.getLogger().handlers:
    logging.getLogger().addHandler(_early)
    logging.captureWarnings(capture=True)

coverage_hooks.start()

import kopf

from keycloak_operator import handlers, logs
from keycloak_operator.settings import Settings, log_format

__all__ = ["handlers", "prepare", "save"]

save = coverage_hooks.save


def prepare() -> Callable[[], None]:
    """Return what runs the operator until it is told to stop, with settings from the environment alone."""
    _configure_logging()
    settings = Settings.from_environment()
    return functools.partial(
        kopf.run,
        standalone=True,  # replicas take turns by a Lease: of equals, Kopf's peering pauses all
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        liveness_endpoint=settings.liveness,
    )


def _configure_logging() -> None:
    """Say everything as the environment wants it, also what was said before, and why the rest of it is wrong."""
    chosen = kopf.LogFormat[log_format().upper()]
    kopf.configure(log_format=chosen, log_prefix=chosen is not kopf.LogFormat.JSON)
    if chosen is kopf.LogFormat.JSON:
        logs.take_over()
    logger = logging.getLogger()
    logger.removeHandler(_early)
    for record in _early.buffer:
        logger.handle(record)
    _early.buffer.clear()
