"""What is said around an entity, each thing once, nearest first."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from memory_mcp.graph import Relation
from memory_mcp.knowledge.neighbourhood import facts_around, other_names, said_of
from memory_mcp.text.entities import Statement, with_relations

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PAST = NOW - timedelta(days=30)


def relation(text: str, memory: int, until: datetime | None = None) -> Relation:
    subject, predicate, other = text.split(" | ")
    return Relation(Statement(subject, predicate, other, None, until), UUID(int=memory))


def test_the_same_relation_is_one_fact_as_it_was_last_stated() -> None:
    relations = [relation("ANN | works at | Acme", 3, PAST), relation("Ann | knows | Bob", 2), relation("Ann | works at | acme", 1)]

    facts = facts_around({"ann": 0, "acme": 1, "bob": 1}, relations, NOW)

    assert [(str(fact.statement.predicate), fact.memories) for fact in facts] == [
        ("knows", (UUID(int=2),)),
        ("works at", (UUID(int=3), UUID(int=1))),
    ]


def test_nearer_ones_come_first_and_own_names_and_types_are_no_facts() -> None:
    relations = [
        relation("Bob | knows | Carl", 9),
        relation("Bob | is a | pilot", 8),
        relation("Ann | is a | person", 7),
        relation("Ann | also called | Annie", 6),
        relation("Annie | knows | Bob", 1),
    ]
    depths = {"ann": 0, "annie": 0, "bob": 1, "carl": 2}

    assert [(str(fact.statement), fact.depth) for fact in facts_around(depths, relations, NOW)] == [
        ("Annie | knows | Bob", 0),
        ("Bob | knows | Carl", 1),
        ("Bob | is a | pilot", 1),
    ]
    assert said_of(["ann", "annie"], relations, "is a") == ["person"]
    assert said_of(["bob"], relations, "is a") == ["pilot"]
    assert list(other_names("ANN", said_of(["ann", "annie"], relations, "also called"))) == ["Annie"]


def test_relations_are_added_replaced_and_taken_out_and_nothing_else_is_touched() -> None:
    before = {"n": 1, "relations": ["a | b | c", "not one", 7]}
    ended = Statement("A", "b", "C", None, PAST)
    other = Statement("x", "y", "z")

    after = with_relations(before, [ended, other])

    assert after == {"n": 1, "relations": ["not one", 7, str(ended), "x | y | z"]}
    assert with_relations(after, [ended, other], without=True) == {"n": 1, "relations": ["not one", 7]}
    assert with_relations({"relations": "a | b | c"}, [ended], without=True) == {}
    assert with_relations({}, [other]) == {"relations": ["x | y | z"]}
