"""Text as words: the normalised copy that search works on, for a text and for a query alike.

What is stored stays as it was given; this copy only exists inside the text index. It lower-cases,
drops accents, opens up identifiers (`getUserName`, `snake_case`, `src/app/main.py`) and cuts scripts
that write no spaces into overlapping pairs. Stemming is the index's own affair.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from memory_mcp.text.function_words import FUNCTION_WORDS
from memory_mcp.text.languages import ENGLISH, language_of

MAX_QUERY_TERMS = 64

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\uac00-\ud7af"  # kana, Hangul
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
_NAMES = re.compile(r"(?<=[a-zà-ÿ] )[A-ZÀ-Þ][a-zà-ÿ0-9]+(?![a-zà-ÿ0-9]*[!,?])|\d")
_SHORT_NAME, _PART_LENGTH = 24, 3
"""Characters up to which a name is opened up whatever its parts, and those that the parts of a longer one have on average: it is encoded
data or a checksum else, whose hundreds of parts would stand for words that nobody wrote."""
_ACCENT = re.compile("[\u0300-\u036f]")


@cache
def _word_pattern() -> tuple[re.Pattern[str], re.Pattern[str]]:
    # `\w` knows no combining marks, without which Indic words would fall apart
    marks = "".join(re.escape(chr(c)) for c in range(0x300, 0x10000) if unicodedata.category(chr(c)) in ("Mn", "Mc"))
    return re.compile(rf"(?:[^\W_]|[{marks}])+"), re.compile(rf"[{_UNSPACED}]+|[^{_UNSPACED}]+")


_UNSPACED_START = re.compile(rf"[{_UNSPACED}]")


def _fold(word: str) -> str:
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", word.casefold())))


def _pairs(run: str, *, singles: bool) -> list[str]:
    pairs = [run[i : i + 2] for i in range(len(run) - 1)]
    return [*run, *pairs] if singles or not pairs else pairs


def split_words(text: str, *, for_index: bool) -> list[str]:
    """The words of a text in order, folded; an identifier as itself and in its parts.

    Args:
        text: Anything; lone surrogates and controls just separate words.
        for_index: Also give the single characters of unspaced scripts, so that a query of one
            character finds them; a query itself is more precise without.
    """
    word, script = _word_pattern()
    found: list[str] = []
    for match in word.finditer(text if text.isascii() else unicodedata.normalize("NFKC", text)):
        run = match.group()
        if run.isascii():
            found.append(run.lower())
            parts = _PART.findall(run)
            if len(parts) > 1 and (len(run) <= _SHORT_NAME or len(run) >= _PART_LENGTH * len(parts)):
                found.extend(part.lower() for part in parts)
            continue
        for piece in script.findall(run):
            folded = _fold(piece)
            if _UNSPACED_START.match(piece):
                found.extend(_pairs(folded, singles=for_index))
            elif folded:  # accents alone leave nothing
                found.append(folded)
    return found


def names_something(text: str) -> bool:
    """Whether a text names or counts something: a capital within a sentence, or a digit.

    A name before `,`, `!` or `?` does not count: `Thanks Gina!` only says who is spoken to. In German every text does.
    """
    return _NAMES.search(text) is not None


def index_text(text: str) -> str:
    """The copy of a text that goes into a text index: words with a space between them."""
    return " ".join(split_words(text, for_index=True))


def label_texts(metadata: Mapping[str, Any]) -> list[str]:
    """Of a memory's metadata, the values that are texts and are searched, too."""
    return [value for value in metadata.values() if isinstance(value, str)]


def labels_of(tags: Iterable[str], key: str, metadata: Mapping[str, Any]) -> str:
    """What stands beside a memory's text and is searched, too."""
    return " ".join([*tags, key, *label_texts(metadata)])


@cache
def _stop_words(language: str) -> frozenset[str]:
    """The small words of a language and of English, which stand in texts of every other."""
    return frozenset(map(_fold, FUNCTION_WORDS[ENGLISH] | FUNCTION_WORDS.get(language, frozenset())))


def content_terms(text: str) -> list[str]:
    """The distinct words of a text in order, stop words of its language out."""
    stop_words = _stop_words(language_of(text))
    return [term for term in dict.fromkeys(split_words(text, for_index=False)) if term not in stop_words]


def query_terms(query: str) -> list[str]:
    """The distinct words of a query worth looking for, in order, at most 64; stop words only if there are no others."""
    return content_terms(query)[:MAX_QUERY_TERMS] or list(dict.fromkeys(split_words(query, for_index=False)))[:MAX_QUERY_TERMS]


_INNER_SPACE = re.compile(r"(?<=\S)[^\S\n]+")


def same_text(text: str) -> str:
    """A form equal for texts that differ only in composed characters, line ends and white space inside a line or around it all.

    Letter case and indentation count: two commands that differ in them may do different things.
    """
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip().split("\n")
    return "\n".join(_INNER_SPACE.sub(" ", line.rstrip()) for line in lines)


def same_label(label: str) -> str:
    """A form equal for keys, or tags, that differ only in letter case, composed characters and white space."""
    return " ".join(unicodedata.normalize("NFC", label).lower().split())
