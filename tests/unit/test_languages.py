"""What language a text is in, and that words of other languages than English are found in their other forms."""

import pytest

from memory_mcp.languages import language_of
from memory_mcp.recall.foreign_probes import FOREIGN_PAIRS
from memory_mcp.recall.probes import PAIRS
from memory_mcp.terms import asked, key_set
from memory_mcp.words import query_terms


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("redis port", "en"),
        ("Do we want another car?", "en"),
        ("The man with the hat met our plus one at the door.", "en"),
        ("compute l2 norm in python", "en"),
        ("int main(void) { return 0; }", "en"),
        ("The word 你好 means hello, and привет means hi.", "en"),
        ("Café", "en"),
        ("Wie möchte der Kunde seine Rechnungen bekommen?", "de"),
        ("Das Deployment läuft über Jenkins.", "de"),
        ("WER LEGT DIE ZUGÄNGE AN?", "de"),
        ("Pourquoi Django ?", "fr"),
        ("¿Qué no como?", "es"),
        ("Perché l'orologio va indietro?", "it"),
        ("Onde está a chave do carro?", "pt"),
        ("Wanneer wordt de back-up gemaakt?", "nl"),
        ("Где ключ от подвала?", "ru"),
        ("在mail01上执行 ufw allow 587/tcp，然后重新加载。", "zh"),
        ("東京の地上局はいつ再起動する？", "ja"),
        ("다음 이사회는 언제 열리나요?", "ko"),
        ("\ud800 \x00", "en"),
    ],
)
def test_a_text_is_in_the_language_of_its_small_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_nearly_all_probes_are_taken_for_what_they_are_in() -> None:
    english = [language_of(text) for pair in PAIRS for text in pair]
    assert english.count("en") >= 76  # of 80, four of which are in German and French
    for language, pairs in FOREIGN_PAIRS.items():
        taken_for = [language_of(text) for pair in pairs for text in pair]
        assert taken_for.count(language) >= 19, (language, taken_for)  # of 24; Portuguese and Spanish are much alike


def test_small_words_of_the_questions_language_are_not_looked_for() -> None:
    assert query_terms("Wie heißt die Schwester von Katrin?") == ["schwester", "katrin"]
    assert query_terms("¿Cuánto tarda una prueba automática?") == ["tarda", "prueba", "automatica"]
    assert query_terms("Should the old logs die?") == ["old", "logs", "die"]  # a small word in German only
    assert query_terms("Wo war das?") == ["wo", "war", "das"]  # there are no others


@pytest.mark.parametrize(
    ("question", "text", "shared"),
    [
        ("In welchem Format möchte er seine Rechnung?", "Der Kunde wünscht alle Rechnungen als PDF.", 1),
        ("Wie lange darf eine Prüfung dauern?", "Prüfungen dauern in der Regel drei Tage.", 2),
        ("Combien de temps garde-t-on un utilisateur supprimé ?", "Les utilisateurs supprimés sont conservés deux mois.", 2),
        ("¿Quién revisa un contrato?", "Pilar revisó los contratos antes de la firma.", 2),
        ("Где хранятся пароли?", "Пароль хранится в сейфе.", 2),
        ("Which pipelines does the team use?", "Das Team benutzt zwei Pipelines bei Jenkins.", 2),
        ("Welche Pipelines haben wir?", "We have two pipelines at Jenkins.", 1),
    ],
)
def test_a_word_is_found_in_its_other_forms(question: str, text: str, shared: int) -> None:
    assert len(key_set(text).intersection(asked(question).keys)) == shared


def test_every_english_word_of_a_text_in_another_language_is_found_in_english() -> None:
    german = "Der Hermes Bote von Wireless Services meldet connections ohne Antwort."

    assert language_of(german) == "de"
    assert key_set(german).issuperset(asked("hermes wireless services connections").keys)
