"""Drafts: fingerprints, ids, domains."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from memory_mcp.errors import RequestError
from memory_mcp.models import Caller, Scope
from memory_mcp.remember.drafts import SHORT_TERM, RememberRequest, draft, fingerprint, guess_domain, uuid7

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SCOPE = Scope("local", "project")


def test_the_same_text_has_the_same_fingerprint_whatever_its_spacing_or_composition() -> None:
    assert fingerprint("Café  au lait\r\n", "fact", "", None) == fingerprint("Cafe\u0301 au lait", "fact", "", None)


@pytest.mark.parametrize(("one", "other"), [("FOO=1", "foo=1"), ("if a:\n  b\nc", "if a:\n  b\n  c"), ("a b", "ab")])
def test_texts_that_may_mean_different_things_have_different_fingerprints(one: str, other: str) -> None:
    assert fingerprint(one, "fact", "", None) != fingerprint(other, "fact", "", None)


def test_only_chat_and_event_are_told_apart_by_their_occasion() -> None:
    for kind, equal in (("fact", True), ("chat", False), ("event", False)):
        assert (fingerprint("Hello", kind, "s1", NOW) == fingerprint("Hello", kind, "s2", NOW)) is equal


def test_ids_are_version_7_and_sort_by_their_time() -> None:
    ids = [uuid7(NOW + timedelta(microseconds=step)) for step in range(100)]

    assert all(UUID(str(one)).version == 7 and one.variant == "specified in RFC 4122" for one in ids)
    assert ids == sorted(ids)
    assert len({uuid7(NOW) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("given", [{"domain": "\ud800"}, {"domain": "x" * 300_000}, {"retention": "for ever"}, {"kind": "opinion"}])
def test_what_is_one_of_a_few_words_is_refused_as_any_other(given: dict[str, str]) -> None:
    (name,) = given
    with pytest.raises(RequestError, match=name) as refused:
        draft(RememberRequest("x", **given), SCOPE, Caller("local", "project"), NOW)

    assert len(str(refused.value)) < 200


def test_a_short_term_memory_ends_by_itself() -> None:
    made = draft(RememberRequest("x", retention="short_term"), SCOPE, Caller("local", "project"), NOW)

    assert made.expires_at == NOW + SHORT_TERM


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("def main(): pass", "coding"),
        ("call getUserName() first", "coding"),
        ("tests live in tests/unit/test_door.py", "coding"),
        ("run git rebase", "coding"),
        ("the invoice for the customer is due", "business"),
        ("I like strawberries", "general"),
        ("We return the books to the library on class days", "general"),
    ],
)
def test_domains(text: str, domain: str) -> None:
    assert guess_domain(text) == domain
