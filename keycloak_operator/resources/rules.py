"""Rules that a type cannot express, said once for both sides that enforce them.

The API server evaluates a rule's CEL expression when a resource is applied. The operator evaluates the same rule in
Python when it reads one, because the definition in a cluster may be older than the operator. Tests run every refusal
through both. A rule is attached to the value it speaks about::

    url: Annotated[str, Rule("!self.endsWith('/')", "must not end with a slash", lambda url: not url.endswith("/"))]

Whatever an expression looks at needs an upper bound (``max_length``), or the API server refuses the whole definition:
it estimates the worst case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

KEYWORD = "x-kubernetes-validations"

#: What Keycloak shows instead of a secret. It says nothing, and must never be written.
MASK = "**********"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold for a value: as CEL for the API server, as a function for the operator, in words for people.

    `field` is the path, from the value, of what is to blame: without it that is the value as a whole. It starts with a
    dot and names a field of the schema.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        return {**schema, KEYWORD: [*schema.get(KEYWORD, []), self.validation]}

    @property
    def validation(self) -> dict[str, str]:
        """The rule as Kubernetes writes it."""
        rule = {"rule": self.cel, "message": self.message}
        return rule | {"fieldPath": self.field} if self.field else rule

    def check(self, value: Any) -> Any:
        """Return *value*, for which the rule holds; else raise what pydantic reports as an error of the value."""
        if not self.holds(value):
            raise PydanticCustomError("rule", "{message}", {"message": self.message, "field": self.field})
        return value


def immutable(what: str) -> Rule:
    """Return the rule that a value never changes; only the API server can tell, which still has the former one."""
    return Rule("self == oldSelf", f"{what} cannot be changed; make a new resource instead", lambda _: True)


def refused(why: str) -> Rule:
    """Return the rule that a field must not be there, which is declared only so that its absence can be asked for."""
    return Rule("false", why, lambda _: False)


def without(key: str, why: str) -> Rule:
    """Return the rule that a map has no such key."""
    return Rule(f"!('{key}' in self)", why, lambda value: key not in value)


def masked(key: str, why: str) -> Rule:
    """Return the rule that a map has no such key, or has for its value what Keycloak shows instead of a secret."""
    cel = f"!('{key}' in self) || self['{key}'] == '{MASK}'"
    return Rule(cel, why, lambda value: value.get(key, MASK) == MASK)
