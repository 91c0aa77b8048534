"""From words to terms: stems as 32-bit keys, and a text as its bag of them.

A bag is what a text index needs of a text. It is made when a text is read into memory and kept nowhere else: 100,000
texts are read in 1.2 to 1.7 s. From bags stored beside them it would be 0.36 s, for 77 to 111 bytes a memory on disk.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np
import Stemmer
from numpy.typing import NDArray

from memory_mcp.text import words
from memory_mcp.text.irregular import BASE_FORMS
from memory_mcp.text.kinds import KINDS
from memory_mcp.text.languages import ENGLISH, language_of

TERM = np.dtype([("key", "<u4"), ("count", "u1")])
"""One distinct term of a bag, 5 bytes. Counts are in halves: 2 for a word of the text, 1 for one of its labels."""

OCCURRENCE, LABEL = 2, 1
MOST = 255
"""A count stops here: BM25 hardly tells 127 occurrences from more."""

_CACHED_PIECES = 1 << 16
_CACHED_LENGTH = 48
"""Longer pieces between white space are encoded data or text without spaces, and seldom come again."""

_english = Stemmer.Stemmer("english", 0)  # the pieces are remembered below, so it need not remember words
_STEMMERS = {
    language: Stemmer.Stemmer(name, 0)
    for language, name in {
        "de": "german", "fr": "french", "es": "spanish", "it": "italian", "pt": "portuguese", "nl": "dutch", "sv": "swedish",
        "da": "danish", "fi": "finnish", "pl": "polish", "cs": "czech", "hr": "serbian", "ro": "romanian", "hu": "hungarian",
        "tr": "turkish", "el": "greek", "ru": "russian", "uk": "russian", "ar": "arabic", "fa": "persian", "hi": "hindi",
        "id": "indonesian",
    }.items()
}  # fmt: skip


class Asked(NamedTuple):
    """The words of a question that are looked for, in order, and the key of each: words of one stem have one key."""

    words: list[str]
    keys: list[int]


def bag(text: str, labels: str = "") -> bytes:
    """The terms of a text as an array of `TERM`, in no order; a word of the labels counts half.

    About 5 bytes for each different word. Never fails; a text without words is an empty bag.
    """
    language = language_of(text)
    counts = Counter(OCCURRENCE * _keys_in(text, language) + LABEL * _keys_in(labels, language))  # lists, repeated
    terms = np.empty(len(counts), TERM)
    terms["key"] = list(counts)
    terms["count"] = [min(count, MOST) for count in counts.values()]
    return terms.tobytes()


def asked(question: str) -> Asked:
    """What of a question is looked for: `words.query_terms`, by the stems of its language."""
    found, language = words.query_terms(question), language_of(question)
    return Asked(found, [_key(word, language) for word in found])


def keys_of(found: Sequence[str]) -> NDArray[np.uint32]:
    """(q,) the key of each word, as a word of English; every text has these of its words, too."""
    return np.fromiter(map(_key, found), np.uint32, len(found))


def keys_of_kinds(word: str) -> NDArray[np.uint32]:
    """(m,) the keys of what is a kind of this, each once: that of `clarinet` for `instruments`; none for most words."""
    key = _key(word)
    return _keys_of_class(key) if key in _CLASSES else _NO_KEYS


def stems(found: Sequence[str]) -> list[str]:
    """The stem of each word, in order; irregular forms are left as they are, since stems are stored."""
    return [_english.stemWord(word) for word in found]


def key_set(text: str, language: str = "") -> frozenset[int]:
    """The keys of all words of a text; of a part of one in the language of the whole, which a few words do not tell."""
    return frozenset(_keys_in(text, language or language_of(text)))


def says_all(text: str, wanted: str) -> bool:
    """Whether a text has all these words, by the stems of its own language; small words need not be there."""
    language = language_of(text)
    return {_key(word, language) for word in words.query_terms(wanted)} <= key_set(text, language)


def _keys_in(text: str, language: str) -> list[int]:
    """White space ends a word in any script, so pieces between it can be split each by itself, and remembered."""
    language = language if language in _STEMMERS else ENGLISH
    keys: list[int] = []
    for piece in text.split():
        keys += _piece_keys(piece, language) if len(piece) <= _CACHED_LENGTH else _split(piece, language)
    return keys


def _split(piece: str, language: str) -> tuple[int, ...]:
    """A word of another language has its English key, too: names and terms stand in questions of any language."""
    found = words.split_words(piece, for_index=True)
    keys = [_key(word) for word in found]
    if language != ENGLISH:
        keys += [own for word, key in zip(found, keys, strict=True) if (own := _key(word, language)) != key]
    return tuple(keys)


_piece_keys = lru_cache(_CACHED_PIECES)(_split)


@lru_cache(_CACHED_PIECES)
def _key(word: str, language: str = ENGLISH) -> int:
    """32 bits of the stem of the word, or of the English word that it is an irregular form of; the same in every process.

    Two words of a vocabulary of v share one by chance with v**2 / 2**33: of 100,000 about one pair.

    Source:
        Stems by Porter's second algorithm for English (https://snowballstem.org/algorithms/english/stemmer.html) and by its
        relatives for some other languages; the others keep their words, or lose an ending alike in text and question.
    """
    if language in _STEMMERS:
        return crc32(_STEMMERS[language].stemWord(word).encode())
    return crc32(_english.stemWord(BASE_FORMS.get(word, word)).encode())


_CLASSES = {_key(name): members for name, members in KINDS.items()}
_NO_KEYS = np.empty(0, np.uint32)


@cache
def _keys_of_class(key: int) -> NDArray[np.uint32]:
    """Found out when it is first asked for: to stem all of them takes a start 10 ms."""
    return np.unique(keys_of(sorted(_CLASSES[key])))
