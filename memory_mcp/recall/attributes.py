"""Attributes that a question names: who said it, which component, which tag. Pure.

A name in a question says more often whose memory is meant than what it is about; so it raises the memories that
bear it, and excludes none.
"""

from collections.abc import Iterable

from memory_mcp import words
from memory_mcp.models import Memory


class NamedIn:
    """Tells of memories whether a question names one of their tags or metadata values."""

    def __init__(self, query: str) -> None:
        self._terms = frozenset(words.query_terms(query))
        self._known: dict[str, bool] = {}

    def __call__(self, memory: Memory) -> bool:
        """Whether all the words of some value, stop words aside, stand in the question; case and accents do not matter."""
        return any(map(self._named, _values(memory)))

    def _named(self, value: str) -> bool:
        if value not in self._known:  # the same few speakers and tags, memory after memory
            terms = words.query_terms(value)
            self._known[value] = bool(terms) and self._terms.issuperset(terms)
        return self._known[value]


def _values(memory: Memory) -> Iterable[str]:
    yield from memory.tags
    yield from (value for value in memory.metadata.values() if isinstance(value, str))
