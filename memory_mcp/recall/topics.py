"""What of a question to embed: its topic, without what other signals carry better. Pure.

A name that stands in every other memory pulls the embedding towards all of them, and away from the one that is meant.
"""

import re
from collections.abc import Callable, Collection, Mapping

COMMON_SHARE, COMMON_MARGIN = 0.2, 3
"""A word is common in more than a fifth of the memories, and three: in a store of five nothing is common."""

_ARTICLES = frozenset(("a", "an", "the"))
_TOKEN = re.compile(r"\S+")
_POSSESSIVE = re.compile(r"['’]s\W*$|s['’]\W*$", re.IGNORECASE)


def topic_terms(query_terms: Collection[str], document_frequency: Mapping[str, int], n: int) -> frozenset[str]:
    """The words to leave out of the question that is embedded: those common in the store.

    Args:
        query_terms: The question's words, stop words out, as the text index writes them.
        document_frequency: In how many of the `n` memories each stands, as text, tag or metadata value.
    """
    most = COMMON_SHARE * n + COMMON_MARGIN
    common = frozenset(term for term in query_terms if document_frequency.get(term, 0) > most)
    return frozenset() if common.issuperset(query_terms) else common


def topic_query(query: str, common: Collection[str], speakers: Collection[str], terms: Callable[[str], Collection[str]]) -> str:
    """The question as its topic: common words left out, and a speaker's name turned into how he calls himself.

    `When did Ann paint her sunrise?`, of memories that Ann spoke, becomes `When did I paint her sunrise?`; it is the
    question itself where nothing of its topic would remain.

    Args:
        common: See `topic_terms`.
        speakers: The words of the names of those who speak in the store (of themselves as `I`), in the same form.
        terms: Text to words without stop words, in the same form.
    """
    kept: list[str] = []
    remains = False
    for token in _TOKEN.findall(query):
        own = terms(_POSSESSIVE.sub("", token))
        if own and all(term in speakers for term in own):
            if kept and kept[-1].lower() in _ARTICLES:  # `the user`, where a speaker is called so
                kept.pop()
            kept.append("my" if _POSSESSIVE.search(token) else "I")
        elif not own or not all(term in common for term in own):
            kept.append(token)
            remains = remains or bool(own)
    return " ".join(kept) if remains else query
