"""The operator's environment as values: defaults, bounds, and an error that names the variable."""

from __future__ import annotations

import re

import pytest

from keycloak_operator.settings import Settings, SettingsError


def read(**environment: str) -> Settings:
    return Settings.from_environment({f"KEYCLOAK_OPERATOR_{name}": value for name, value in environment.items()})


def test_nothing_needs_to_be_said() -> None:
    documented = Settings(
        operator_id="keycloak-operator",
        resync=300.0,
        timeout=10.0,
        requests=8,
        namespaces=(),
        liveness=None,
        log_format="full",
        lease=None,
        lease_seconds=15.0,
        metrics=None,
    )
    assert Settings.from_environment({}) == documented == Settings()


@pytest.mark.parametrize(
    "name",
    ["ID", "RESYNC_SECONDS", "TIMEOUT_SECONDS", "REQUESTS", "NAMESPACES", "LIVENESS", "LOG_FORMAT", "LEASE", "METRICS"],
)
def test_what_is_blank_says_nothing(name: str) -> None:
    assert read(**{name: ""}) == read(**{name: "  "}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("ID", "staging", "operator_id", "staging"),
        ("ID", " a ", "operator_id", "a"),
        ("ID", "eu-1.example.com", "operator_id", "eu-1.example.com"),
        ("ID", 63 * "a", "operator_id", 63 * "a"),
        ("RESYNC_SECONDS", "1", "resync", 1.0),
        ("RESYNC_SECONDS", " 2.5 ", "resync", 2.5),
        ("RESYNC_SECONDS", "86400", "resync", 86_400.0),
        ("TIMEOUT_SECONDS", "1", "timeout", 1.0),
        ("TIMEOUT_SECONDS", "300", "timeout", 300.0),
        ("REQUESTS", "1", "requests", 1),
        ("REQUESTS", " 256 ", "requests", 256),
        ("NAMESPACES", "one", "namespaces", ("one",)),
        ("NAMESPACES", " one, two ,,", "namespaces", ("one", "two")),
        ("NAMESPACES", " * ", "namespaces", ()),
        ("LIVENESS", "http://0.0.0.0:8080/healthz", "liveness", "http://0.0.0.0:8080/healthz"),
        ("LEASE", " operators/demo.1 ", "lease", ("operators", "demo.1")),
        ("LEASE_SECONDS", "3", "lease_seconds", 3.0),
        ("LEASE_SECONDS", "300", "lease_seconds", 300.0),
        ("METRICS", "http://0.0.0.0:8081/metrics", "metrics", "http://0.0.0.0:8081/metrics"),
        ("METRICS", "http://[::1]:8081/metrics", "metrics", "http://[::1]:8081/metrics"),
        ("LOG_FORMAT", "plain", "log_format", "plain"),
        ("LOG_FORMAT", "json", "log_format", "json"),
    ],
)
def test_what_is_said_is_taken(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read(**{name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("ID", text) for text in ("Staging", "-a", "a.", "a/b", "a b", "ä", 64 * "a")),
        *(("RESYNC_SECONDS", text) for text in ("0.9", "86401", "-1", "nan", "inf", "5m", "1,5")),
        *(("TIMEOUT_SECONDS", text) for text in ("0", "301", "nan", "soon")),
        *(("REQUESTS", text) for text in ("0", "257", "-1", "8.0", "many", "1_0", "٣", 5000 * "9")),
        *(("NAMESPACES", text) for text in ("one,*", "*,*")),
        *(("LEASE", text) for text in ("demo", "operators/", "/demo", "a/b/c", "A/b")),
        *(("LEASE_SECONDS", text) for text in ("2.9", "301", "soon")),
        *(
            ("METRICS", text)
            for text in ("8081", "https://a:1/metrics", "http://a/metrics", "http://a:1/", "http://a:x/metrics")
        ),
        *(("LOG_FORMAT", text) for text in ("FULL", "xml")),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"^KEYCLOAK_OPERATOR_{name}='{re.escape(text)}': expected "):
        read(**{name: text})
