import pytest

from memory_mcp.recall.naming import names_in, strange


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("When is Bob's birthday?", ["Bob"]),
        ("Which database does Orion use, and who told Ms Okafor?", ["Orion", "Okafor"]),
        ("Quel jour Karim n'est-il pas là ?", ["Karim"]),
        ("when is bob's birthday", []),
        ("Kubernetes ingress configuration", []),  # any word begins a sentence so
        ("Was it on Monday in June that I left?", []),
        ("What is the TTL of the DNS cache?", []),
        ("What Is The Process For Releases", []),
        ("Wann hat Nora im Verein Training?", []),
        ("It failed. Retrying helps?", []),
        ("   ", []),
        ("\ud800 ' ’s ?! \x00 Ω", []),
    ],
)
def test_names_are_read_by_their_form(question: str, names: list[str]) -> None:
    assert names_in(question) == names


def test_a_name_is_strange_where_no_text_speaks_of_it() -> None:
    texts = ["Alice Brandt leads the team.", "orion runs on fly.io"]

    assert strange("When is Alice's birthday?", texts) == 0.0
    assert strange("When is Bob's birthday?", texts) == 1.0
    assert strange("Has Bob met Alice?", texts) == 0.5
    assert strange("is there anything?", []) == 0.0
    assert strange("Where is Bob?", []) == 1.0
