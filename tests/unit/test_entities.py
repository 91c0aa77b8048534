"""Names, identifiers and addresses are read by their form; what is no name is passed over; nothing hostile holds it up."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_mcp.text.entities import (
    MAX_ENTITIES,
    MAX_NAME_CHARACTERS,
    Entity,
    Statement,
    asked_keys,
    entities_in,
    entities_of,
    entity_key,
    read_relation,
    relations_of,
)

TEXTS = st.text(max_size=400) | st.text(alphabet="aA@./_-|`'( :\n1Ää", max_size=400)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS, lambda inner: st.lists(inner, max_size=5), max_leaves=20
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ann prefers tea because Dr. Smith said so.", {"Ann": "name", "Dr": "name", "Smith": "name"}),
        (
            "Caroline's sister lives in San Francisco with Maria de la Cruz.",
            dict.fromkeys(["Caroline", "San Francisco", "Maria de la Cruz"], "name"),
        ),
        ("We use PostgreSQL at Acme Corp, not IBM.", dict.fromkeys(["PostgreSQL", "Acme Corp", "IBM"], "name")),
        ("Иван Петров met Jürgen in München", dict.fromkeys(["Иван Петров", "Jürgen", "München"], "name")),
        ("Restart Redis. Use Docker when Bob is out", dict.fromkeys(["Redis", "Docker", "Bob"], "name")),
        ("see src/app/main.py, ~/.ssh/config and /etc/hosts", dict.fromkeys(["src/app/main.py", "~/.ssh/config", "/etc/hosts"], "path")),
        (r"it lies in C:\Users\ann\notes.txt there", {r"C:\Users\ann\notes.txt": "path"}),
        ("getUserName() and max_retries, then os.path.join()", dict.fromkeys(["getUserName", "max_retries", "os.path.join"], "identifier")),
        ("run `pip install x`, it closes ABC-123", dict.fromkeys(["pip install x", "ABC-123"], "identifier")),
        ("write to ann.lee@acme.io or ask @bob about it", {"ann.lee@acme.io": "email", "@bob": "handle"}),
        ("it is at https://example.com/a_b?c=d.", {"https://example.com/a_b?c=d": "url"}),
    ],
)
def test_what_a_text_speaks_of(text: str, found: dict[str, str]) -> None:
    assert {entity.name: entity.type for entity in entities_in(text)} == found


@pytest.mark.parametrize(
    "text",
    [
        "We met on Monday in March.",
        "I think so. It's fine!",
        "and/or 24/7, e.g. i.e. 3.14",
        "Fixing this now. Deployed",
        "The end",
        "don't",
        "",
        "a_ _b",
    ],
)
def test_what_is_no_name(text: str) -> None:
    assert entities_in(text) == []


def test_each_is_found_once_however_it_is_spelled() -> None:
    assert [entity.name for entity in entities_in("Acme met ACME and acme, Acme's lawyers")] == ["Acme"]
    assert entity_key("  Ann\n Smith ") == entity_key("ann smith") == entity_key("Ａｎｎ SMITH")
    assert entity_key("https://a.io/") == "https://a.io"


@given(TEXTS)
def test_anything_is_read_and_what_is_found_stands_in_the_text(text: str) -> None:
    found = entities_in(text)

    assert len({entity.key for entity in found}) == len(found) <= MAX_ENTITIES
    for entity in found:
        assert entity.name in text
        assert 1 <= len(entity.key) <= MAX_NAME_CHARACTERS
        assert entity_key(entity.key) == entity.key
    assert entities_in(text) == found


@given(TEXTS)
def test_a_question_gives_keys_within_bounds(text: str) -> None:
    keys = asked_keys(text)

    assert len(set(keys)) == len(keys) <= 256
    assert all(1 < len(key) <= MAX_NAME_CHARACTERS for key in keys)


def test_a_question_names_what_it_spells_and_its_words_together() -> None:
    keys = asked_keys("Where does the billing service keep Ann's invoices?")

    assert {"ann", "billing service", "invoices"} <= set(keys)
    assert not {"the", "where", "does"} & set(keys)


@given(st.dictionaries(st.sampled_from(["entity", "entities", "relations", "other"]), JSON))
def test_any_metadata_is_borne(metadata: dict[str, Any]) -> None:
    ends = {entity_key(one.subject) for one in relations_of(metadata)}

    assert ends <= {entity.key for entity in entities_of("", metadata)}


def test_who_writes_knows_better_than_the_form() -> None:
    metadata = {
        "entity": "tea",
        "entities": "green tea, Japan",
        "relations": ["Sencha | comes from | Japan", "Sencha | is a | tea leaf", "nonsense"],
    }

    assert entities_of("We like Japan and Ann", metadata) == [
        Entity("tea"),
        Entity("green tea"),
        Entity("Japan", "name"),
        Entity("Sencha"),
        Entity("Ann", "name"),
    ]


RELATION_PARTS = st.text(
    alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"], exclude_characters="|"), min_size=1, max_size=50
)
MOMENTS = st.none() | st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))


@given(RELATION_PARTS, RELATION_PARTS, RELATION_PARTS, MOMENTS, MOMENTS)
def test_a_relation_is_read_back_as_it_was_written(
    subject: str, predicate: str, other: str, since: datetime | None, until: datetime | None
) -> None:
    written = str(Statement(subject, predicate, other, since, until))
    read = read_relation(written)

    if read is not None:
        assert read_relation(str(read)) == read
        assert read.triple == Statement(subject, predicate, other).triple
        assert (read.valid_from, read.valid_to) == (since, until)
    else:
        blank = not all(part.strip() and part.isprintable() for part in (subject, predicate, other))
        assert blank or (since is not None and until is not None and since >= until)


@pytest.mark.parametrize(
    "text", ["", "a | b", "a | b | c | d", "a | | c", "a | b | c | 2026-01-01 | 2025-01-01", "a|b|c|||", "a | b | " + "c" * 999]
)
def test_what_is_no_relation(text: str) -> None:
    assert read_relation(text) is None


def test_dates_may_be_left_out() -> None:
    assert read_relation("a|knows|b") == Statement("a", "knows", "b")
    assert read_relation("a | knows | b | | 2026-01-01") == Statement("a", "knows", "b", None, datetime(2026, 1, 1, tzinfo=UTC))
    assert str(Statement("a", "knows", "b", None, datetime(2026, 1, 1, tzinfo=UTC))) == "a | knows | b |  | 2026-01-01T00:00:00+00:00"


@settings(max_examples=60)
@given(st.text(alphabet="aA@./_-|`'( :\\1~", min_size=1, max_size=4))
def test_no_repetition_takes_long(piece: str) -> None:
    """Whatever is repeated to fill the longest text: twenty times what prose of that length takes would be noticed at every write."""
    started = time.process_time()
    entities_in(piece * (30_000 // len(piece)))

    assert time.process_time() - started < 0.5
