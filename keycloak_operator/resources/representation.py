"""Keycloak's own representations inside of a spec.

Such a part is open: what Keycloak exports can be pasted in, and a field that is not named here goes through to Keycloak
unseen. The fields that are named have Keycloak's names and types, so that a slip is refused when it is applied. What is
absent is not managed; what is there is enforced, also when it is empty.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from keycloak_operator.resources.base import OWNER_ATTRIBUTE
from keycloak_operator.resources.rules import without

#: Order means nothing to Keycloak. Still one value as a whole for Kubernetes: from a list that is a set to it,
#: server-side apply takes the last entry together with the list, so that an empty one could never be declared.
StringSet = Annotated[tuple[str, ...], Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})]
StringMap = Annotated[dict[str, str], Field(max_length=256)]
Attributes = Annotated[StringMap, without(OWNER_ATTRIBUTE, "the attribute is the operator's own mark")]

Objects = tuple[dict[str, Any], ...]


class Representation(BaseModel):
    """An object of the Admin API, as far as it was declared."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="after")
    def _in_keycloaks_names(self) -> Self:
        """Refuse what has the name of an attribute here: it is an unknown field for Keycloak, and meant to be known."""
        for name in (self.model_extra or {}).keys() & type(self).model_fields:
            raise PydanticCustomError("name", "{name} is called {alias}", {"name": name, "alias": to_camel(name)})
        return self

    def declared(self) -> dict[str, Any]:
        """Return exactly what was declared, in Keycloak's names: unknown fields included, absent fields absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
