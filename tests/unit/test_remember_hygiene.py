"""Secrets on the way in: refused, cut out or let through, in every part of a request."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.errors import RequestError
from memory_mcp.hygiene.secrets import found
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.remember.hygiene import Policy, cleaned
from tests.hygiene.secret_shapes import ASSIGNMENTS, TOKENS, URLS, WORD, drawing

SHAPES = {**TOKENS, **ASSIGNMENTS, **URLS}
DRAW = drawing(11)
TOKEN = TOKENS["github"](DRAW)
PASSWORD = DRAW(WORD, 14)
PLAIN = RememberRequest("The staging database runs on db7", tags=["ops"], key="staging.db", metadata={"speaker": "Ann", "n": 3})

PLACES: list[tuple[str, dict[str, Any]]] = [
    ("content", {"content": f"The CI uses {TOKEN} to push."}),
    ("tags", {"tags": ["ops", TOKEN]}),
    ("metadata", {"metadata": {"note": f"push with {TOKEN}"}}),
    ("metadata", {"metadata": {"deep": {"list": ["a", {"b": TOKEN}]}}}),
    ("metadata", {"metadata": {"password": PASSWORD}}),
    ("metadata", {"metadata": {"db": {"api_key": PASSWORD * 2}}}),
]
NAMES: list[tuple[str, dict[str, Any]]] = [
    ("key", {"key": TOKEN}),
    ("session_id", {"session_id": TOKEN}),
    ("idempotency key", {"idempotency_key": TOKEN}),
    ("metadata", {"metadata": {TOKEN: 1}}),
]


@pytest.mark.parametrize(("where", "given"), [*PLACES, *NAMES])
def test_a_secret_anywhere_is_refused_by_its_kind_and_never_repeated(where: str, given: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        cleaned(replace(PLAIN, **given), "refuse")

    said = str(refused.value)
    assert where in said
    assert "a GitHub token" in said or "a password" in said or "a token" in said
    assert TOKEN not in said
    assert PASSWORD not in said


@pytest.mark.parametrize(("where", "given"), PLACES)
def test_redacted_it_is_gone_and_said_to_be(where: str, given: dict[str, Any]) -> None:
    clean, redactions = cleaned(replace(PLAIN, **given), "redact")

    assert len(redactions) == 1
    assert redactions[0].endswith(f" in {where}")
    assert "[redacted: a" in repr(clean)
    assert TOKEN not in repr(clean)
    assert PASSWORD not in repr(clean)


@pytest.mark.parametrize(("where", "given"), NAMES)
def test_what_means_something_only_as_it_is_is_never_cut(where: str, given: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=where):
        cleaned(replace(PLAIN, **given), "redact")


@pytest.mark.parametrize("given", [given for _, given in [*PLACES, *NAMES]])
def test_where_secrets_are_allowed_nothing_is_looked_for(given: dict[str, Any]) -> None:
    request = replace(PLAIN, **given)
    clean, redactions = cleaned(request, "allow")

    assert (clean.content, list(clean.tags), clean.metadata, clean.key) == (
        request.content,
        list(request.tags),
        request.metadata,
        request.key,
    )
    assert redactions == ()


@pytest.mark.parametrize("policy", ["refuse", "redact", "allow"])
def test_a_request_without_secrets_is_left_as_it_is(policy: Policy) -> None:
    clean, redactions = cleaned(PLAIN, policy)

    assert (clean, redactions) == (replace(PLAIN, tags=("ops",)), ())


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(sorted(SHAPES)), st.integers(0, 2**32))
def test_what_was_redacted_would_not_be_refused(before: str, shape: str, seed: int) -> None:
    request = RememberRequest(f"{before.replace(chr(0), ' ')}\n{SHAPES[shape](drawing(seed))}")
    try:
        clean, redactions = cleaned(request, "redact")
    except RequestError:
        return  # half of a surrogate pair

    assert redactions
    assert found(clean.content) == []
    assert cleaned(clean, "refuse") == (clean, ())


def test_what_is_too_deep_is_refused_before_it_is_looked_through() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    with pytest.raises(RequestError, match="nested"):
        cleaned(replace(PLAIN, metadata=deep), "refuse")
