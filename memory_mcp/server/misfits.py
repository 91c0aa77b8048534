"""What does not fit a schema, in words for whoever sent it. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_MOST = 10
"""Faults that are told of one message."""
_LONGEST_PART = 60
_INNER_TYPE = re.compile(r" or instance of \w+")


def misfits(error: ValidationError) -> list[Mapping[str, Any]]:
    """What pydantic found, without what was sent."""
    return [dict(fault) for fault in error.errors(include_url=False, include_input=False, include_context=False)]


def in_words(faults: list[Mapping[str, Any]]) -> str:
    """A sentence for each, the place first; of many the first ones."""
    said = list(dict.fromkeys(map(_sentence, faults)))
    rest = [f"And {len(said) - _MOST} more."] if len(said) > _MOST else []
    return " ".join([*said[:_MOST], *rest])


def _sentence(fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part)[:_LONGEST_PART] for part in fault["loc"]) or "the call"
    if fault["type"] == "missing":
        return f"{place} is missing: give it."
    words = _INNER_TYPE.sub("", fault["msg"].removeprefix("Value error, ")).replace("valid dictionary", "JSON object")
    return f"{place}: {words}."
