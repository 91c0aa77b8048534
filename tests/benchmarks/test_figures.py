import subprocess
import sys

from tests.benchmarks.figures import as_text, in_turns, transposed
from tests.benchmarks.filling import questions_like, texts_like
from tests.benchmarks.sets import FIRST_DAYS, LANGUAGES, OWN, read_sets


def test_the_projects_own_set_is_whole() -> None:
    (own,) = read_sets([OWN])
    questions = [question for store in own.stores for question in store.questions]

    assert sum(len(store.items) for store in own.stores) >= 60
    assert len({question.query for question in questions}) == len(questions) >= 40
    assert all(question.gold for question in questions)


def test_the_set_of_the_first_days_asks_for_what_was_never_stored_too() -> None:
    (first,) = read_sets([FIRST_DAYS])
    questions = [question for store in first.stores for question in store.questions]

    assert sum(len(store.items) for store in first.stores) >= 45
    assert {question.category for question in questions} == {"stored", "another language", "never stored"}
    assert all(question.answerable == (question.category != "never stored") for question in questions)


def test_the_set_of_other_languages_asks_for_what_was_never_stored_too() -> None:
    (one,) = read_sets([LANGUAGES])
    questions = [question for store in one.stores for question in store.questions]

    assert len(one.stores) == 13
    assert {question.category for question in questions} == {"stored", "never stored"}
    assert all(question.answerable == (question.category == "stored") for question in questions)


def test_generated_texts_are_distinct_and_the_same_each_time() -> None:
    sets = read_sets([OWN])
    texts, questions = texts_like(sets, 3_000), questions_like(sets, 400)

    assert len(set(texts)) == 3_000
    assert len(set(questions)) == 400
    assert texts == texts_like(sets, 3_000)


def test_tables_line_up_and_end_with_the_target() -> None:
    table = transposed({"1,000": {"recall": 1234.5, "share": 0.98765}, "target": {"share": 0.95}})

    assert as_text("ms", table).splitlines() == ["ms      1,000  target", "recall  1,234", "share   0.988    0.95"]


def test_works_are_taken_in_turns() -> None:
    seen: list[str] = []

    assert in_turns({name: lambda name=name: seen.append(name) for name in "ab"}, rounds=2).keys() == {"a", "b"}
    assert seen == ["a", "b"] * 3


def test_every_part_can_be_measured() -> None:
    """The driver imports them all; a renamed module would only be noticed when somebody measures."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks", "--help"], capture_output=True, text=True, check=True)

    for part in ("quality", "latency", "vectors", "text", "tiers", "cache", "embedding", "start"):
        assert part in done.stdout
