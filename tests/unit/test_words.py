import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.text.words import MAX_QUERY_TERMS, index_text, names_something, query_terms, same_text, split_words

ANY_TEXT = st.text(st.characters()) | st.text(st.characters(categories=["Cs", "Cc", "Cf", "Mn", "Mc", "Lo", "Lm", "So", "Zs"]))
"""`st.characters()` gives every code point, lone surrogates included."""

WORDS = [
    ("", []),
    (" \n\t", []),
    ("Hello, World!", ["hello", "world"]),
    ("snake_case", ["snake", "case"]),
    ("__init__", ["init"]),
    ("getUserName", ["getusername", "get", "user", "name"]),
    ("HTTPServer2", ["httpserver2", "http", "server", "2"]),
    ("src/app/main.py:12", ["src", "app", "main", "py", "12"]),
    ("don't", ["don", "t"]),
    ("3.11", ["3", "11"]),
    ("E0502", ["e0502", "e", "0502"]),
    ("café naïve Ångström", ["cafe", "naive", "angstrom"]),
    ("Straße STRASSE", ["strasse", "strasse"]),
    ("İstanbul", ["istanbul"]),
    ("Ёлка елка", ["елка", "елка"]),
    ("ΣΊΣΥΦΟΣ", ["σισυφοσ"]),
    ("ﬁle ２０２６ Ⅷ", ["file", "2026", "viii"]),
    ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
    ("שָׁלוֹם", ["שָׁלוֹם"]),
    ("a\ud800b", ["a", "b"]),
    ("a\0b\x1fc\u200bd", ["a", "b", "c", "d"]),
    ("\u0301 \u0300\u0301", []),
    ("👍 C++ → ok", ["c", "ok"]),
]


@pytest.mark.parametrize(("text", "words"), WORDS, ids=[repr(text) for text, _ in WORDS])
def test_texts_as_words(text: str, words: list[str]) -> None:
    assert split_words(text, for_index=False) == words


def test_encoded_data_and_checksums_are_not_opened_up() -> None:
    checksum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert split_words(checksum, for_index=True) == [checksum]
    assert len(split_words("aGVsbG8gd29ybGQxMjM0NTY3ODkwYWJjZGVmZ2hpamtsbW5vcA", for_index=True)) == 1
    assert split_words("getUserNameFromSessionStorage", for_index=True)[1:] == ["get", "user", "name", "from", "session", "storage"]


UNSPACED = [
    ("東京", ["東京"], ["東", "京", "東京"]),
    ("猫", ["猫"], ["猫"]),
    ("東京都", ["東京", "京都"], ["東", "京", "都", "東京", "京都"]),
    ("user名前", ["user", "名前"], ["user", "名", "前", "名前"]),
    ("ガギ", ["ガギ"], ["ガ", "ギ", "ガギ"]),
    ("한국어", ["한국", "국어"], ["한", "국", "어", "한국", "국어"]),
    ("กาแฟ", ["กา", "าแ", "แฟ"], ["ก", "า", "แ", "ฟ", "กา", "าแ", "แฟ"]),
    ("𠮷野", ["𠮷野"], ["𠮷", "野", "𠮷野"]),
]


@pytest.mark.parametrize(("text", "asked", "indexed"), UNSPACED)
def test_scripts_without_spaces_are_cut_into_pairs(text: str, asked: list[str], indexed: list[str]) -> None:
    assert split_words(text, for_index=False) == asked
    assert split_words(text, for_index=True) == indexed


def test_composed_and_decomposed_texts_have_the_same_words() -> None:
    for text in ("café", "Ångström", "ガギグ", "한국어", "क़लम"):
        forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]

        assert len({tuple(split_words(form, for_index=True)) for form in forms}) == 1, text


QUERIES = [
    ("What is the name of my dog?", ["name", "dog"]),
    ("who am I", ["who", "am", "i"]),
    ("the", ["the"]),
    ("dog Dog DOG dogs", ["dog", "dogs"]),
    ('"a AND b" OR NOT (c* NEAR d^)', ["b", "c", "near"]),
    ("!?", []),
]


@pytest.mark.parametrize(("query", "terms"), QUERIES)
def test_what_a_query_looks_for(query: str, terms: list[str]) -> None:
    assert query_terms(query) == terms


def test_a_long_query_is_bounded() -> None:
    assert (
        query_terms(" ".join(f"word{i}" for i in range(1000)))
        == [term for i in range(1000) for term in ((f"word{i}", "word", str(i)) if i == 0 else (f"word{i}", str(i)))][:MAX_QUERY_TERMS]
    )


@given(ANY_TEXT)
def test_no_text_is_too_strange(text: str) -> None:
    for words in (split_words(text, for_index=True), split_words(text, for_index=False), query_terms(text)):
        assert all(words)
        assert not any(character.isspace() or character in '"*^():{}+-' for word in words for character in word)
    same_text(text)


@given(ANY_TEXT)
def test_a_text_is_found_by_each_of_its_own_words(text: str) -> None:
    indexed = index_text(text).split(" ")

    assert set(query_terms(text)) <= set(indexed)


@given(ANY_TEXT)
def test_words_are_folded_once_and_for_all(text: str) -> None:
    words = split_words(text, for_index=False)

    assert [again for word in words for again in split_words(word, for_index=False)[:1]] == words


SAME = [
    ("a  b", "a b"),
    ("  a b \n", "a b"),
    ("a\r\nb", "a\nb"),
    ("a \nb", "a\nb"),
    ("a\u00a0b", "a b"),
    ("e\u0301", "\u00e9"),
]
DIFFERENT = [
    ("rm -r", "rm -R"),
    ("if x:\n  y", "if x:\n    y"),
    ("a\nb", "a b"),
    ("a b", "ab"),
    ("a.", "a"),
    ("ﬁ", "fi"),
    ("a\n\nb", "a\nb"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_texts_that_are_the_same(one: str, other: str) -> None:
    assert same_text(one) == same_text(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_texts_that_are_not_the_same(one: str, other: str) -> None:
    assert same_text(one) != same_text(other)


@given(ANY_TEXT)
def test_the_same_text_of_the_same_text_is_itself(text: str) -> None:
    assert same_text(same_text(text)) == same_text(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", False),
        ("That sounds great, I really mean it.", False),
        ("Thanks Gina! Hey John, long time no see. Are you in Tom?", False),
        ("I'm off. We'll see, I'd say.", False),
        ("We climbed the Matterhorn last week", True),
        ("my favourite is Élodie", True),
        ("there were 3 of us", True),
        ("from Paris, Lyon", False),
        ("to Paris, then on to Lyon", True),
    ],
)
def test_a_text_names_something_by_a_capital_within_a_sentence_or_a_digit(text: str, names: bool) -> None:
    assert names_something(text) is names


@given(ANY_TEXT)
def test_any_text_can_be_asked_whether_it_names_something(text: str) -> None:
    assert names_something(f"{text} 7")
