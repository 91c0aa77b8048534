"""From words to terms: stems as 32-bit keys, and a text as its bag of them.

A bag is what a text index needs of a text. It is made when a text is read into memory and kept nowhere else: 100,000
texts are read in 1.2 to 1.7 s. From bags stored beside them it would be 0.36 s, for 77 to 111 bytes a memory on disk.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from zlib import crc32

import numpy as np
import Stemmer
from numpy.typing import NDArray

from memory_mcp import words
from memory_mcp.irregular import BASE_FORMS
from memory_mcp.kinds import KINDS

TERM = np.dtype([("key", "<u4"), ("count", "u1")])
"""One distinct term of a bag, 5 bytes. Counts are in halves: 2 for a word of the text, 1 for one of its labels."""

OCCURRENCE, LABEL = 2, 1
MOST = 255
"""A count stops here: BM25 hardly tells 127 occurrences from more."""

_CACHED_PIECES = 1 << 16
_CACHED_LENGTH = 48
"""Longer pieces between white space are encoded data or text without spaces, and seldom come again."""

_english = Stemmer.Stemmer("english", 0)  # the pieces are remembered below, so it need not remember words


def bag(text: str, labels: str = "") -> bytes:
    """The terms of a text as an array of `TERM`, in no order; a word of the labels counts half.

    About 5 bytes for each different word. Never fails; a text without words is an empty bag.
    """
    counts = Counter(OCCURRENCE * _keys_in(text) + LABEL * _keys_in(labels))  # lists, repeated
    terms = np.empty(len(counts), TERM)
    terms["key"] = list(counts)
    terms["count"] = [min(count, MOST) for count in counts.values()]
    return terms.tobytes()


def keys_of(query_words: Sequence[str]) -> NDArray[np.uint32]:
    """(q,) the key of each word of `words.query_terms`; words of one stem have one key."""
    return np.fromiter(map(_key, query_words), np.uint32, len(query_words))


def keys_of_kinds(word: str) -> NDArray[np.uint32]:
    """(m,) the keys of what is a kind of this, each once: that of `clarinet` for `instruments`; none for most words."""
    key = _key(word)
    return _keys_of_class(key) if key in _CLASSES else _NO_KEYS


def stems(found: Sequence[str]) -> list[str]:
    """The stem of each word, in order; irregular forms are left as they are, since stems are stored."""
    return [_english.stemWord(word) for word in found]


def key_set(text: str) -> frozenset[int]:
    """The keys of all words of a text."""
    return frozenset(_keys_in(text))


def _keys_in(text: str) -> list[int]:
    """White space ends a word in any script, so pieces between it can be split each by itself, and remembered."""
    keys: list[int] = []
    for piece in text.split():
        keys += _piece_keys(piece) if len(piece) <= _CACHED_LENGTH else _split(piece)
    return keys


def _split(piece: str) -> tuple[int, ...]:
    return tuple(map(_key, words.split_words(piece, for_index=True)))


_piece_keys = lru_cache(_CACHED_PIECES)(_split)


@lru_cache(_CACHED_PIECES)
def _key(word: str) -> int:
    """32 bits of the stem of the word, or of the word that it is an irregular form of; the same in every process.

    Two words of a vocabulary of v share one by chance with v**2 / 2**33: of 100,000 about one pair.

    Source:
        Stems by Porter's second algorithm for English (https://snowballstem.org/algorithms/english/stemmer.html);
        other languages keep their words, or lose an ending alike in text and question.
    """
    return crc32(_english.stemWord(BASE_FORMS.get(word, word)).encode())


_CLASSES = {_key(name): members for name, members in KINDS.items()}
_NO_KEYS = np.empty(0, np.uint32)


@cache
def _keys_of_class(key: int) -> NDArray[np.uint32]:
    """Found out when it is first asked for: to stem all of them takes a start 10 ms."""
    return np.unique(keys_of(sorted(_CLASSES[key])))
