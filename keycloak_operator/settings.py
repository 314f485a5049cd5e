"""The environment of the operator: the only place that reads it.

``KEYCLOAK_OPERATOR_ID``, ``keycloak-operator``: who owns what it makes in Keycloak; operators that share one differ.
``KEYCLOAK_OPERATOR_LEASE``, none: ``namespace/name`` of a Lease; of all replicas, only its holder handles resources.
``KEYCLOAK_OPERATOR_LEASE_SECONDS``, 15: seconds after which another one takes over from one that is gone; 3 to 300.
``KEYCLOAK_OPERATOR_METRICS``, none: the address where Prometheus may ask, such as ``http://0.0.0.0:8081/metrics``.
``KEYCLOAK_OPERATOR_RESYNC_SECONDS``, 300: seconds between two looks for drift; 1 to 86400.
``KEYCLOAK_OPERATOR_TIMEOUT_SECONDS``, 10: seconds that one request to Keycloak may take; 1 to 300.
``KEYCLOAK_OPERATOR_REQUESTS``, 8: requests to one Keycloak at a time; 1 to 256.

And for ``python -m keycloak_operator``, as Kopf's own command line is not there to say it:

``KEYCLOAK_OPERATOR_NAMESPACES``, all: the namespaces to watch, separated by commas; ``*`` says all, too.
``KEYCLOAK_OPERATOR_LIVENESS``, none: the address of Kopf's liveness endpoint, such as ``http://0.0.0.0:8080/healthz``.
``KEYCLOAK_OPERATOR_LOG_FORMAT``, ``full``: ``full``, ``plain``, or ``json``, with which every line is an object.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "KEYCLOAK_OPERATOR_"

_ID = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_LEASE = re.compile(r"([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})")
_METRICS = re.compile(r"http://([a-z0-9.-]+|\[[0-9a-f:.]+\]):[0-9]{1,5}/metrics")
_LOG_FORMATS = ("full", "plain", "json")


class SettingsError(Exception):
    """A variable holds what it cannot; the operator does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``KEYCLOAK_OPERATOR_*`` as values; times in seconds, no `namespaces` means all.

    `lease` is the namespace and the name of one.
    """

    operator_id: str = "keycloak-operator"
    resync: float = 300.0
    timeout: float = 10.0
    requests: int = 8
    namespaces: tuple[str, ...] = ()
    liveness: str | None = None
    log_format: str = "full"
    lease: tuple[str, str] | None = None
    lease_seconds: float = 15.0
    metrics: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings that *environ* holds; `SettingsError` names the variable that is wrong."""
        operator_id = environ.get(f"{PREFIX}ID", "").strip() or "keycloak-operator"
        if not _ID.fullmatch(operator_id):
            raise SettingsError(f"{PREFIX}ID={operator_id!r}: expected lower case letters, digits, dots and dashes")
        return cls(
            operator_id=operator_id,
            resync=_seconds(environ, "RESYNC_SECONDS", 300.0, 1.0, 86_400.0),
            timeout=_seconds(environ, "TIMEOUT_SECONDS", 10.0, 1.0, 300.0),
            requests=_count(environ, "REQUESTS", 8, 1, 256),
            namespaces=_namespaces(environ),
            liveness=environ.get(f"{PREFIX}LIVENESS", "").strip() or None,
            log_format=log_format(environ),
            lease=_lease(environ),
            lease_seconds=_seconds(environ, "LEASE_SECONDS", 15.0, 3.0, 300.0),
            metrics=_metrics(environ),
        )


def _count(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(PREFIX + name, "").strip()
    if not text:
        return default
    value = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
    if not low <= value <= high:
        raise SettingsError(f"{PREFIX}{name}={text!r}: expected a whole number from {low} to {high}")
    return value


def log_format(environ: Mapping[str, str] = os.environ) -> str:
    """Return the format alone, which has to be known before anything is said about the other settings."""
    text = environ.get(f"{PREFIX}LOG_FORMAT", "").strip() or "full"
    if text not in _LOG_FORMATS:
        raise SettingsError(f"{PREFIX}LOG_FORMAT={text!r}: expected one of {', '.join(_LOG_FORMATS)}")
    return text


def _namespaces(environ: Mapping[str, str]) -> tuple[str, ...]:
    text = environ.get(f"{PREFIX}NAMESPACES", "")
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if names == ("*",):
        return ()
    if "*" in names:
        raise SettingsError(f"{PREFIX}NAMESPACES={text!r}: expected names of namespaces, or * alone")
    return names


def _lease(environ: Mapping[str, str]) -> tuple[str, str] | None:
    text = environ.get(f"{PREFIX}LEASE", "").strip()
    if not text:
        return None
    if not (found := _LEASE.fullmatch(text)):
        raise SettingsError(f"{PREFIX}LEASE={text!r}: expected namespace/name of a Lease")
    return found[1], found[2]


def _metrics(environ: Mapping[str, str]) -> str | None:
    text = environ.get(f"{PREFIX}METRICS", "").strip()
    if text and not _METRICS.fullmatch(text):
        raise SettingsError(f"{PREFIX}METRICS={text!r}: expected http://ADDRESS:PORT/metrics")
    return text or None


def _seconds(environ: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = environ.get(PREFIX + name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise SettingsError(f"{PREFIX}{name}={text!r}: expected {low:g} to {high:g} seconds")
    return value
