import numpy as np
import pytest

from memory_mcp.text.kinds import KINDS
from memory_mcp.text.terms import keys_of, keys_of_kinds, stems


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("instruments", "clarinet"),
        ("pets", "dogs"),
        ("animal", "dog"),
        ("databases", "postgres"),
        ("hobbies", "hiked"),
    ],
)
def test_a_class_in_any_form_has_the_keys_of_what_is_of_it(asked: str, kind: str) -> None:
    assert keys_of([kind])[0] in keys_of_kinds(asked)


@pytest.mark.parametrize("word", ["clarinet", "deploy", "", "größe", "quick"])
def test_most_words_are_no_class(word: str) -> None:
    assert keys_of_kinds(word).tolist() == []


def test_kinds_are_words_in_the_singular_and_no_class_is_of_itself() -> None:
    for name, members in KINDS.items():
        assert name not in members
        assert all(word.isascii() and word.isalpha() and word.islower() for word in (name, *members)), name


def test_keys_of_kinds_stand_once_and_the_class_is_not_among_them() -> None:
    for name in KINDS:
        keys = keys_of_kinds(name)
        assert len(np.unique(keys)) == len(keys)
        assert keys_of([name])[0] not in keys, f"a kind of {name} has its stem: {stems(sorted(KINDS[name]))}"
