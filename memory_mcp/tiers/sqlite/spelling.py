"""What the text index holds of a memory: the words of its text, of what it is labelled with, and one for its scope."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from memory_mcp.text import words
from memory_mcp.tiers.sqlite.rows import tags_from


def scope_word(scope: int) -> str:
    """The word that holds a scope's entries of the text index together."""
    return f"scope{scope}"


def labels_text(tags: Sequence[str], key: str, metadata: Mapping[str, Any]) -> str:
    """The words by which a memory is found beside those of its text."""
    return words.index_text(words.labels_of(tags, key, metadata))


def labels_of_row(tags: str, key: str, metadata: str) -> str:
    """Likewise, from the columns of a row."""
    return labels_text(tags_from(tags), key, json.loads(metadata))
