"""What is wrong with settings that somebody gave, in words that name the right ones. Pure."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

PREFIX = "MEMORY_MCP_"
PLACES = ("DATA_DIR", "CONFIG", "NAMESPACE")
"""What is set beside the sections, and what a name alone is likely to mean."""


def misnamed(names: Iterable[str], sections: Mapping[str, Collection[str]]) -> str | None:
    """What is wrong with the first variable that can only be meant as a setting; None if all are right.

    Other names after the prefix may be somebody else's, and are let be.

    Args:
        sections: The keys of each section, in small letters; none for a value that is no section.
    """
    for name in names:
        if not name.upper().startswith(PREFIX):
            continue
        said = name.upper().removeprefix(PREFIX)
        section, nested, _ = said.partition("__")
        if nested and section.lower() not in sections:
            return f"{name} belongs to no section."
        if nested or said in PLACES or said.lower() in sections:
            continue
        for known, keys in sections.items():
            key = said.removeprefix(f"{known.upper()}_").lower()
            if key != said.lower() and key in keys:
                return f"{name} is written with two underscores after the section: {PREFIX}{known.upper()}__{key.upper()}."
        if near := meant(said, PLACES):
            return f"{name} is no setting. {PREFIX}{near} is one."
    return None


def explained(fault: Mapping[str, Any], sections: Mapping[str, Collection[str]]) -> str:
    """What pydantic finds wrong, behind the key that it is about.

    Args:
        fault: One of the `errors()` of a ValidationError.
        sections: As of `misnamed`.
    """
    place = [str(part) for part in fault["loc"]]
    if fault["type"] == "extra_forbidden":
        near = meant(place[-1], sections if len(place) == 1 else sections.get(place[0], ()))
        words = f"there is no such key; is {near} meant?" if near else "there is no such key"
    elif fault["type"] == "model_type":
        words = f"give a table, [{'.'.join(place)}]"
    else:
        words = str(fault["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(place)}: {words}"


def meant(name: str, known: Iterable[str]) -> str:
    """The known name that another is likely a slip of; empty if there is none."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.75)), "")
