"""What language a text is in, and that words of other languages than English are found in their other forms."""

import pytest

from memory_mcp.recall.foreign_probes import FOREIGN_PAIRS
from memory_mcp.recall.probes import PAIRS
from memory_mcp.text.function_words import FUNCTION_WORDS
from memory_mcp.text.languages import NAMES, language_of, language_told
from memory_mcp.text.terms import asked, key_set
from memory_mcp.text.words import query_terms


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
        ("Var finns lösenordet till routern?", "sv"),
        ("Hvornår skal bilen til service?", "da"),
        ("Når skal bilen på verksted?", "da"),
        ("Missä on kellarin avain?", "fi"),
        ("Gdzie jest hasło do routera?", "pl"),
        ("Kde je heslo k routeru?", "cs"),
        ("Gdje je ključ od podruma?", "hr"),
        ("Unde este cheia de la pivniță?", "ro"),
        ("Hol van a router jelszava?", "hu"),
        ("Modemin şifresi nerede?", "tr"),
        ("Siapa yang mengurus pembayaran?", "id"),
        ("Ai phụ trách thanh toán?", "vi"),
        ("Πού είναι το κλειδί;", "el"),
        ("Where α = 0.5 and Δt = 2 s", "en"),
        ("α = 0.5, β = 2", "en"),
        ("Где ключ от подвала?", "ru"),
        ("Де пароль від роутера?", "uk"),
        ("أين كلمة مرور الراوتر؟", "ar"),
        ("رمز روتر کجاست؟", "fa"),
        ("איפה הסיסמה של הנתב?", "he"),
        ("राउटर का पासवर्ड कहाँ है?", "hi"),
        ("รหัสผ่านอยู่ที่ไหน", "th"),
        ("chmod a+x o+r i", "en"),
        ("Łukasz Nowak", "en"),
        ("在mail01上执行 ufw allow 587/tcp，然后重新加载。", "zh"),
        ("東京の地上局はいつ再起動する？", "ja"),
        ("다음 이사회는 언제 열리나요?", "ko"),
        ("\ud800 \x00", "en"),
    ],
)
def test_a_text_is_in_the_language_of_its_small_words(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", ""),
        ("redis port 6379", ""),
        ("Łukasz Nowak", ""),
        ("a + x", ""),
        ("the port", "en"),
        ("le port est ouvert", "fr"),
        ("порт", "ru"),
    ],
)
def test_of_names_and_code_nothing_is_told(text: str, language: str) -> None:
    assert language_told(text) == language


def test_every_language_that_is_told_apart_has_a_name_and_probes() -> None:
    told = {language_of(text) for pairs in FOREIGN_PAIRS.values() for pair in pairs for text in pair}

    assert {"en", *FOREIGN_PAIRS} == NAMES.keys() >= told | FUNCTION_WORDS.keys()


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
        ("W którym sejfie jest książka?", "Książki leżą w sejfie w piwnicy.", 2),
        ("Kde je klíč od aut?", "Klíče od auta visí v předsíni.", 1),
        ("Missä kirjassa se on?", "Kirjat ovat hyllyssä.", 1),
        ("Kitaplar nerede?", "Kitap masanın üzerinde.", 1),
        ("Miről szól a könyv?", "A könyvek a polcon vannak.", 1),
        ("أين الكتاب؟", "كتابي على الرف.", 1),
        ("किताबें कहाँ हैं?", "किताब मेज़ पर है।", 1),
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
