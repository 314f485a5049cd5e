"""From the JSON schema of a model to what Kubernetes calls a structural schema.

Kubernetes knows no references, no null next to a type, no titles, and says otherwise that an object is open. Anything
that would be lost on the way raises: a definition must never ask for less than its model.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT = {
    "default", "description", "enum", "format", "maxItems", "maxLength", "maxProperties", "maximum", "minItems",
    "minLength", "minimum", "pattern", "required", "type",
}  # fmt: skip
_SAID_OTHERWISE = {"title", "$ref", "$defs", "anyOf", "const", "properties", "additionalProperties", "items"}


def structural(model: type[BaseModel]) -> Schema:
    """Return the structural schema of *model*."""
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, schema.get("$defs", {}))


def _structural(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    schema = _inlined(schema, definitions)
    kept = {key: value for key, value in schema.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if lost := schema.keys() - kept.keys() - _SAID_OTHERWISE:
        raise ValueError(f"Kubernetes has no place for {sorted(lost)} of {schema}")
    if kept.get("default", ...) is None:
        del kept["default"]
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    if kept.get("type") == "integer":
        kept["format"] = "int64"
    return kept | _children(schema, definitions)


def _inlined(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return *schema* with what it refers to in it, and without the null of an optional field."""
    if "$ref" in schema:
        target = _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
        return target | {key: value for key, value in schema.items() if key != "$ref"}
    if "anyOf" in schema:
        (only,) = (each for each in schema["anyOf"] if each != {"type": "null"})
        return _inlined(only, definitions) | {key: value for key, value in schema.items() if key != "anyOf"}
    return schema


def _children(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    children: Schema = {}
    if "properties" in schema:
        properties = schema["properties"]
        children["properties"] = {name: _structural(each, definitions) for name, each in properties.items()}
    if "items" in schema:
        children["items"] = _structural(schema["items"], definitions)
    additional = schema.get("additionalProperties", False)
    if additional is True:
        children["x-kubernetes-preserve-unknown-fields"] = True
    elif additional:
        children["additionalProperties"] = _structural(additional, definitions)
    return children
