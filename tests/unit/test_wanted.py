import pytest

from memory_mcp.recall.wanted import asks_of_an_occasion, asks_of_the_present, asks_when


@pytest.mark.parametrize(
    ("query", "asks"),
    [
        ("When did Ann move?", True),
        ("how long does it take", True),
        ("Wann ist Schluss?", True),
        ("Quand a-t-on choisi Redis ?", True),
        ("Combien de temps dure le build ?", True),
        ("Quel jour Léa est-elle absente ?", True),
        ("¿Cuándo se mudó Ana?", True),
        ("cuando se mudo Ana", True),
        ("¿Cuánto tiempo tarda?", True),
        ("¿Qué día vuelo?", True),
        ("Quando è nato?", True),
        ("Quantas vezes por mês?", True),
        ("Wanneer wordt de back-up gemaakt?", True),
        ("Hoe lang duurt het?", True),
        ("Where is it?", False),
        ("Combien coûte le serveur ?", False),
        ("¿Cuánto cuesta el servidor?", False),
        ("whenever", False),
    ],
)
def test_questions_for_a_time_are_known(query: str, asks: bool):
    assert asks_when(query) is asks


@pytest.mark.parametrize(
    ("query", "of_one"),
    [
        ("What did Ann buy in Rome?", True),
        ("Why didn't the build work?", True),
        ("When did we choose Postgres", True),
        ("What does Ann like?", False),
        ("Which instruments has she played?", False),
        ("was darf der Hund nicht fressen", False),
        ("", False),
        ("the candid camera", False),
    ],
)
def test_a_question_of_what_somebody_did_is_about_one_occasion(query: str, of_one: bool) -> None:
    assert asks_of_an_occasion(query) is of_one


@pytest.mark.parametrize(
    ("query", "of_the_present"),
    [
        ("Which database do we use now?", True),
        ("what is Ann's current project", True),
        ("Welche Datenbank nutzen wir jetzt?", True),
        ("¿Qué base de datos usamos ahora?", True),
        ("Quale database usiamo adesso?", True),
        ("wie ist der aktuelle Stand", True),
        ("the latest release", True),
        ("Which database did we use?", False),
        ("what do you know of electric currents", False),
        ("", False),
    ],
)
def test_a_question_of_what_is_so_now_is_known(query: str, of_the_present: bool) -> None:
    assert asks_of_the_present(query) is of_the_present
