"""Where a text may be cut without tearing apart what is seen as one character. Pure."""

import unicodedata

_MOST = 32
"""Characters that may belong together; who stacks more of them has them cut."""
_JOINER = "\u200d"
_VIRAMA = 9
"""The combining class of what joins two consonants of an Indic script."""


def whole_until(text: str, at: int) -> int:
    """The last place at or before `at` that lies within no grapheme.

    Source:
        Extended grapheme clusters: Unicode Standard Annex #29, section 3.1.1, but for signs that stand before what they belong to.
    """
    place = at
    while at - place < _MOST and 0 < place < len(text) and _within(text, place):
        place -= 1
    return at if 0 < place < len(text) and _within(text, place) else place


def _within(text: str, place: int) -> bool:
    before, after = text[place - 1], text[place]
    if after.isascii():
        return before == "\r" and after == "\n"
    return (
        _belongs_to_the_one_before(after)
        or (before == _JOINER and not after.isspace())
        or (unicodedata.combining(before) == _VIRAMA and unicodedata.category(after) == "Lo")
        or (_is_flag_letter(after) and _flag_letters_before(text, place) % 2 == 1)
    )


def _belongs_to_the_one_before(character: str) -> bool:
    """Marks, joiners, the vowels and endings of Hangul in letters, skin tones, and the letters that spell a flag's region."""
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or "\u1160" <= character <= "\u11ff"
        or "\ud7b0" <= character <= "\ud7ff"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
        or character in "\u200c\u200d\uff9e\uff9f"
    )


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, place: int) -> int:
    count = 0
    while count < min(place, _MOST) and _is_flag_letter(text[place - 1 - count]):
        count += 1
    return count
