import pytest

from memory_mcp.text.irregular import BASE_FORMS
from memory_mcp.text.terms import key_set, keys_of, stems


@pytest.mark.parametrize(
    ("form", "base"),
    [("went", "go"), ("bought", "buy"), ("written", "writing"), ("Taught", "teaches"), ("children", "child"), ("mice", "mouse")],
)
def test_what_no_ending_tells_has_the_key_of_its_word(form: str, base: str) -> None:
    assert key_set(form) == key_set(base)
    assert keys_of([form.lower()]).tolist() == keys_of([base]).tolist()


@pytest.mark.parametrize(("one", "other"), [("ground", "grind"), ("rose", "rise"), ("bound", "bind"), ("sea", "see"), ("woman", "man")])
def test_words_of_their_own_stay_apart(one: str, other: str) -> None:
    assert key_set(one) != key_set(other)


def test_every_form_has_one_word_which_is_itself_no_form_and_whose_stem_differs() -> None:
    for form, base in BASE_FORMS.items():
        assert (form + base).isalpha()
        assert form.islower()
        assert base not in BASE_FORMS
        assert stems([form]) != stems([base]), "the stemmer knows already"
