"""Who may rewrite what, and what a client may call itself."""

from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.hygiene.trust import SOURCES, client_named, may_rewrite, trust
from memory_mcp.models import Provenance

provenances = st.builds(
    Provenance,
    client=st.text(max_size=5),
    user=st.text(max_size=5),
    agent=st.text(max_size=5),
    source=st.sampled_from([*SOURCES, "unknown", ""]),
)


@given(provenances, provenances, provenances)
def test_no_chain_of_rewriting_raises_what_a_text_is_trusted(held: Provenance, by: Provenance, then: Provenance) -> None:
    """Whoever may rewrite is trusted at least as far as the memory says, so that no text stands under more trust than its writer has."""
    assert may_rewrite(held, by) == (trust(by.source) >= trust(held.source))
    if may_rewrite(held, by) and may_rewrite(by, then):
        assert may_rewrite(held, then)


def test_an_unknown_source_is_trusted_least() -> None:
    assert [trust(source) for source in (*SOURCES, "made-up", "")] == [*range(len(SOURCES)), 0, 0]


@given(st.text())
def test_a_clients_name_is_one_printable_line(name: str) -> None:
    assert client_named(name).isprintable()
    assert len(client_named(name)) <= 200
    assert client_named("Claude Desktop") == "Claude Desktop"
