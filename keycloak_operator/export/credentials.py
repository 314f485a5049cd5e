"""The account that an export logs in with: never on the command line, which every user of the machine can read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from keycloak_operator.export.errors import ExportError
from keycloak_operator.settings import PREFIX

#: The same names as the keys of a KeycloakConnection's Secret.
_ACCOUNTS = (("client-id", "client-secret"), ("username", "password"))


def account(environ: Mapping[str, str], file: Path | None) -> tuple[dict[str, str], str]:
    """Return what `Access` takes of the credentials in *file*, or else in *environ*, and where they come from."""
    if file is not None:
        origin, values = str(file), _in_file(file)
    else:
        origin = "the environment variables"
        values = {key: environ.get(_variable(key), "") for keys in _ACCOUNTS for key in keys}
    for keys in _ACCOUNTS:
        if all(values.get(key) for key in keys):
            return {key.replace("-", "_"): values[key] for key in keys}, origin
    expected = " or ".join(" and ".join(keys if file else map(_variable, keys)) for keys in _ACCOUNTS)
    advice = "" if file else ", or a file with --credentials"
    raise ExportError(f"there is no account to log in with in {origin}: expected {expected}{advice}")


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace("-", "_")


def _in_file(file: Path) -> dict[str, str]:
    try:
        # Everything as text, as it is in a Secret: a password 0123 is no number.
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - makes text only
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{file} cannot be read: {error}") from None
    except yaml.YAMLError:  # it would show a line of the file
        raise ExportError(f"{file} is no YAML: expected lines like client-id: NAME") from None
    if not isinstance(content, dict):
        raise ExportError(f"{file} holds no YAML of names and values: expected lines like client-id: NAME")
    return {str(key): str(value) for key, value in content.items()}
