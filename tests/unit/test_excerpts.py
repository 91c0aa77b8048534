"""What is shown of a long text: the part that answers, in whole sentences, lines, words and characters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.recall.excerpts import excerpt
from memory_mcp.recall.ranking import best_passage, looked_for
from memory_mcp.text.passages import BEGINNING, Passage

MINUTES = (
    "Jonas reports that the release candidate is on staging. Two blockers remain, and Li takes the first one. "
    "The rota for April was discussed at length. Nobody wanted Easter; in the end Li volunteers. "
    "The cloud bill of February was 41,300 euros. Priya sets an alarm at 38,000 euros. The office moves on 2 June."
)
TRACE = "\n".join(f"    at app.module{n}.call(module{n}.py:{n * 7})" for n in range(60))
TRACE = TRACE.replace("    at app.module40.call(module40.py:280)", "Caused by: TimeoutError: tax service gave up after 30000 ms")
TABLE = "\n".join(["| port | service |", "|---|---|", *(f"| {7000 + n} | service-{n} |" for n in range(60))])
CODE = "\n".join(f"def step_{n}(queue):\n    if not queue:\n        return None\n    return queue.pop({n})\n" for n in range(40))
CHINESE = "出席人员有王芳和李强。" * 12 + "数据库迁移定于五月十八日凌晨两点进行。" + "会议在下午结束。" * 12


def shown(text: str, question: str, most: int) -> str:
    return excerpt(text, most, best_passage(text, looked_for(question)))


@pytest.mark.parametrize(
    ("text", "question", "most", "expected"),
    [
        (MINUTES, "Who is there at Easter?", 60, "…Nobody wanted Easter; in the end Li volunteers.…"),
        (MINUTES, "What was the bill of February?", 60, "…The cloud bill of February was 41,300 euros.…"),
        (MINUTES, "When does the office move?", 40, "…The office moves on 2 June."),
        (MINUTES, "Is the release candidate on staging?", 70, "Jonas reports that the release candidate is on staging.…"),
        (MINUTES, "Anything about gardens?", 60, "Jonas reports that the release candidate is on staging.…"),
        (TRACE, "What gave up after 30000 ms?", 70, "…Caused by: TimeoutError: tax service gave up after 30000 ms…"),
        (TABLE, "Which service has port 7033?", 30, "…| 7033 | service-33 |…"),
        (CODE, "What does step_17 do?", 60, "…def step_17(queue):\n    if not queue:\n        return None…"),
        (CHINESE, "数据库迁移什么时候进行", 24, "…数据库迁移定于五月十八日凌晨两点进行。…"),
        ("Treffen am 17. Mai mit Fr. B. Ott. " * 30, "Mai Ott", 40, "Treffen am 17. Mai mit Fr. B. Ott.…"),
    ],
    ids=["semicolon", "figures", "at the end", "at the beginning", "nothing of it", "trace", "table", "code", "Chinese", "abbreviations"],
)
def test_the_sentences_or_lines_that_hold_the_question_are_shown(text: str, question: str, most: int, expected: str) -> None:
    assert shown(text, question, most) == expected


def test_around_them_stands_as_much_as_there_is_room_for() -> None:
    text = shown(MINUTES, "Who is there at Easter?", 180)

    assert text.startswith("…The rota for April was discussed at length. Nobody wanted Easter")
    assert text.endswith("Priya sets an alarm at 38,000 euros.…")


def test_a_sentence_that_is_too_long_is_shown_by_its_words() -> None:
    text = "water " * 4_000 + "the spare key of the crane hangs behind the fuse box in shed 14 " + "water " * 4_000
    part = shown(text, "Where is the spare key of the crane?", 60)

    assert "the spare key of the crane hangs" in part
    assert set(part.strip("…").split()) <= set(text.split())


def test_what_has_no_words_is_shown_in_pieces() -> None:
    blob = "QWxsZXMgd2lyZCBndXQ" * 200

    assert shown(f"{blob} badge 5512 {blob}", "badge 5512", 60).count("badge 5512") == 1
    assert len(excerpt(blob, 60)) > 50


def test_the_beginning_is_shown_of_what_nobody_has_asked_about() -> None:
    assert excerpt(MINUTES, 110) == MINUTES[:104] + "…"
    assert excerpt(MINUTES, 10_000) == MINUTES
    assert excerpt("First sentence. Second sentence! Third one that is too long to stay", 40) == "First sentence. Second sentence!…"


PIECES = ["e\u0301", "👩\u200d👧", "🇧🇪", "👍🏽", "क्ष", "数据", "。", "word", "port", "7", " ", ". ", "\n", "\r\n", "x" * 30, "|"]


@given(st.lists(st.sampled_from(PIECES), max_size=120).map("".join), st.integers(8, 200), st.booleans())
def test_it_is_part_of_the_text_of_about_that_length_and_no_character_is_torn(text: str, most: int, asked: bool) -> None:
    part = excerpt(text, most, best_passage(text, looked_for("port 7 数据")) if asked else BEGINNING)
    bare = part.removeprefix("…").removesuffix("…")
    at = text.find(bare)

    assert len(bare) <= max(most, 8) + 32
    assert at >= 0
    assert (bare == "" and text.strip() == "") or bare or most < 32
    assert bare[:1] != "\u200d"
    assert not unicodedata.combining(bare[:1] or "x")
    assert part == text or len(text) > most


def test_the_passage_itself_may_begin_within_a_character() -> None:
    text = "e\u0301" * 200
    part = excerpt(text, 20, Passage(101, 201, 4))

    assert part.startswith("…e\u0301")
    assert part.endswith("e\u0301…")
