"""Which language a text is in, told by the small words that none of its sentences does without. Pure.

Only languages whose small words are known here, or whose script is, are told apart; a text in another one, or without
such words, is taken as English, which is what names and code are like, too.
"""

import re
from collections.abc import Iterator, Mapping

from memory_mcp.text.function_words import FUNCTION_WORDS

ENGLISH = "en"

NAMES: Mapping[str, str] = {
    ENGLISH: "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "nl": "Dutch",
    "sv": "Swedish", "da": "Danish or Norwegian", "fi": "Finnish", "pl": "Polish", "cs": "Czech", "hr": "Croatian",
    "ro": "Romanian", "hu": "Hungarian", "tr": "Turkish", "el": "Greek", "ru": "Russian", "uk": "Ukrainian", "ar": "Arabic",
    "fa": "Persian", "he": "Hebrew", "hi": "Hindi", "id": "Indonesian", "vi": "Vietnamese", "th": "Thai", "zh": "Chinese",
    "ja": "Japanese", "ko": "Korean",
}  # fmt: skip
"""In English, by ISO 639-1 codes. Danish stands for Norwegian, too, Croatian for Serbian and Bosnian in Latin letters, and Indonesian for
Malay."""

_ALSO_ENGLISH = frozenset(
    """ad ada agar ale ali alt ama ami amit anda ani asta att bao bare baru ben beni bin bio biz bland cho com come comment con
    cum dag dar das del den des det dia die dig din dina dine dir dog don door dos dove eli end est face fast fog god ham hans har hat
    hem hon ile ill ima imam ind ini inn jag jen jim jos kai kim kit kom kun lain las les lite los maga mai mam man mana
    mange mau mea med meg mei men mens mer mere mest met min mina mind mine mint mis mit mitt mod mora mot mult nad nam nama ned nic
    noe non nos nyt ole ona oni oss ova par plus pod pot pour pro pun qua que sade sale sam sama sans sao sau saya sedan seg sen
    sera sig sin sina sine sit situ size ska som son sous ste sub sur sus tai taj tak tale tam te ten theo til till tom ton tu vain
    van var vas ved vet vid volt want war wie xin ya yang""".split()
)
"""Words, abbreviations or names in English, too, so that it takes two of them."""
_LETTERS: Mapping[str, frozenset[str]] = {
    language: frozenset(letters)
    for language, letters in {
        "de": "äöüß", "fr": "èêœ", "es": "ñ¿¡", "pt": "ãõ", "sv": "åäö", "da": "åæø", "hr": "ćčđšž",
    }.items()
}  # fmt: skip
"""That hardly stand in English, but in several of these languages; likewise."""
_OWN_LETTERS: Mapping[str, frozenset[str]] = {
    language: frozenset(letters)
    for language, letters in {
        "pl": "ąęłńśźż", "cs": "ěřůťď", "ro": "ășțâ", "hu": "őű", "tr": "ğış", "vi": "ơưđ" + "".join(map(chr, range(0x1EA0, 0x1EFA))),
    }.items()
}  # fmt: skip
"""That hardly stand in others of these languages: two different ones are enough."""
_FINNISH = ("ää", "öö", "yö", "äy", "öy", "yy")
"""Likewise."""
_BEGINNING = 600
"""Characters of a text that are looked at."""
_WORD = re.compile(r"\b[^\W\d_]+\b")
_SCRIPTS: Mapping[str, str] = {  # in this order: the first of two that share letters has some of its own
    "ja": "\u3040-\u30ff",
    "ko": "\uac00-\ud7af",
    "uk": "іїєґ",
    "ru": "\u0400-\u052f",
    "zh": "\u3400-\u4dbf\u4e00-\u9fff",
    "fa": "پچژگیک",
    "ar": "\u0600-\u06ff",
    "he": "\u0590-\u05ff",
    "hi": "\u0900-\u097f",
    "th": "\u0e00-\u0e7f",
}
_GREEK = "[\u0370-\u03ff\u1f00-\u1fff]"
_LETTER_OF = {language: re.compile(f"[{letters}]") for language, letters in _SCRIPTS.items()} | {"el": re.compile(_GREEK)}
_IN_THOSE = re.compile(rf"[{''.join(_SCRIPTS.values())}]|{_GREEK}(?={_GREEK})|(?<={_GREEK}){_GREEK}")  # alone it stands in formulas
_LATIN = re.compile("[A-Za-z]")
_LANGUAGES_OF: dict[str, list[str]] = {}
for _language, _words in FUNCTION_WORDS.items():
    for _one in _words:
        _LANGUAGES_OF.setdefault(_one, []).append(_language)
_ENGLISH_WORDS = frozenset(word for word in FUNCTION_WORDS[ENGLISH] if len(word) > 1)
_TOLD_BY = _LANGUAGES_OF.keys() - FUNCTION_WORDS[ENGLISH] - _ALSO_ENGLISH

_LETTER, _PERHAPS, _SURELY = 1, 4, 8
"""What a word of one letter counts, which may as well be a name in a formula; one that is short or may be English; and any other."""
_ENOUGH = _SURELY


def language_of(text: str) -> str:
    """The ISO 639-1 code of the language that the beginning of a text is in; English where nothing tells. Never fails.

    What is written in letters of Russian, Arabic or Hindi counts as in these, also where it is, say, Bulgarian, Urdu or Nepali.
    """
    return language_told(text) or ENGLISH


def language_told(text: str) -> str:
    """Likewise, but empty where nothing tells."""
    beginning = text[:_BEGINNING].lower()
    if beginning.isascii():
        if _TOLD_BY.isdisjoint(found := beginning.replace("?", " ").replace(",", " ").split()):
            return "" if _ENGLISH_WORDS.isdisjoint(found) else ENGLISH  # most texts end here, ten times sooner
    elif _IN_THOSE.search(beginning) and 2 * len(_IN_THOSE.findall(beginning)) > len(_LATIN.findall(beginning)):  # else it quotes them
        return next(language for language, letter in _LETTER_OF.items() if letter.search(beginning))
    votes = dict.fromkeys(FUNCTION_WORDS, 0)
    for word in _LANGUAGES_OF.keys() & _WORD.findall(beginning):
        for language in _LANGUAGES_OF[word]:
            votes[language] += _vote(word)
    if not beginning.isascii():
        for language, many in _by_letters(beginning):
            votes[language] += _PERHAPS * min(many, 2)
    most = max(votes.values())
    if votes[ENGLISH] == most >= _PERHAPS:
        return ENGLISH
    return max(votes, key=votes.__getitem__) if most >= _ENOUGH else ""


def _by_letters(text: str) -> Iterator[tuple[str, int]]:
    """Languages whose letters stand in a text, and how many of them."""
    letters = set(text)
    yield from ((language, 1) for language, some in _LETTERS.items() if not some.isdisjoint(letters))
    yield from ((language, len(own & letters)) for language, own in _OWN_LETTERS.items() if not own.isdisjoint(letters))
    if "ä" in letters or "ö" in letters:
        yield "fi", sum(both in text for both in _FINNISH)


def _vote(word: str) -> int:
    if word.isascii():
        return _LETTER if len(word) == 1 else _PERHAPS if len(word) == 2 or word in _ALSO_ENGLISH else _SURELY
    return _PERHAPS if len(word) == 1 else _SURELY
