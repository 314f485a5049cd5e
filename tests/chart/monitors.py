"""The kind ServiceMonitor on an API server of the tests: as much of it as the chart uses, and closed.

The definition of the Prometheus operator has hundreds of fields more. This one says of the chart's fields what that one
says, so that one which is misspelt or mistyped is refused here, too.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from kubernetes_asyncio.client import ApiClient, ApiException, ApiextensionsV1Api, CustomObjectsApi

from tests.cluster import eventually

_NAME = "servicemonitors.monitoring.coreos.com"
_TEXT = {"type": "string"}
_ENDPOINT = {
    "type": "object",
    "properties": {
        "port": _TEXT,
        "path": _TEXT,
        "interval": {
            "type": "string",
            "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
        },
    },
}
_SPEC = {
    "type": "object",
    "required": ["endpoints", "selector"],
    "properties": {
        "endpoints": {"type": "array", "items": _ENDPOINT},
        "selector": {
            "type": "object",
            "properties": {"matchLabels": {"type": "object", "additionalProperties": _TEXT}},
        },
    },
}
_VERSION = {
    "name": "v1",
    "served": True,
    "storage": True,
    "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {"spec": _SPEC}}},
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": _NAME},
    "spec": {
        "group": "monitoring.coreos.com",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
        "scope": "Namespaced",
        "versions": [_VERSION],
    },
}


async def install_monitors(api: ApiClient) -> None:
    """Install the definition, and wait until the API names the kind to those who ask what there is."""
    extensions: Any = ApiextensionsV1Api(api)
    await extensions.patch_custom_resource_definition(
        _NAME, DEFINITION, field_manager="tests", force=True, _content_type="application/apply-patch+yaml"
    )

    async def named() -> bool:
        try:
            found = await CustomObjectsApi(api).get_api_resources("monitoring.coreos.com", "v1")
        except ApiException as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE}:
                raise
            return False
        return any(each.kind == "ServiceMonitor" for each in found.resources)

    await eventually(named, f"{_NAME} is served")
