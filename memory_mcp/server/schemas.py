"""The types of the tools' arguments: plain scalars and lists of texts, each with the words a model reads."""

import json
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def as_list(value: Any) -> Any:
    """A list of texts however a host sent it: as a list, as JSON in a text, as `a, b` or as `['a', 'b']`."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
        if value.rstrip().endswith("]"):
            return [part.strip(" '\"") for part in value.strip()[1:-1].split(",") if part.strip(" '\"")]
    return [part.strip() for part in value.split(",") if part.strip()]


def as_lines(value: Any) -> Any:
    """Likewise, of texts that may hold commas: one a line."""
    if not isinstance(value, str) or value.lstrip().startswith("["):
        return as_list(value)
    return [line.strip() for line in value.splitlines() if line.strip()]


def as_object(value: Any) -> Any:
    """An empty text where no object was given."""
    return {} if value == "" else value


def no_boolean(value: Any) -> Any:
    """A number; true and false are none."""
    if isinstance(value, bool):
        raise ValueError("give a number, not true or false")
    return value


Texts = Annotated[list[str], BeforeValidator(as_list)]
Lines = Annotated[list[str], BeforeValidator(as_lines)]
NO_BOOLEAN = BeforeValidator(no_boolean)
"""Stands behind the bounds of a number: in front of them they would not be in the schema."""
NOT_GIVEN: Any = None
"""The default of an argument that means something else where it is given empty."""
Metadata = Annotated[dict[str, Any], BeforeValidator(as_object)]

Namespace = Annotated[str, Field(description="Another project; 'global' for all")]
Reach = Annotated[str, Field(description="Other project than the current one; * for every one")]
Kinds = Annotated[Texts, Field(description="Of these kinds")]
Tags = Annotated[Texts, Field(description="With all these tags")]
MinScore = Annotated[float, Field(ge=0, le=1), NO_BOOLEAN]
Limit = Annotated[int, Field(ge=1, le=100), NO_BOOLEAN]
MaxTokens = Annotated[int, Field(ge=50, le=20_000, description="Size limit of the reply"), NO_BOOLEAN]
Moment = Annotated[str, Field(description="ISO date or time")]
