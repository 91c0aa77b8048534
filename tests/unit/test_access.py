"""What is open to whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.access import EVERYTHING, Access, Role, is_tenant, subject
from memory_mcp.remember import door

ANN = Access(Role.WRITER, "ann")


@pytest.mark.parametrize(
    ("access", "namespace", "reads", "writes"),
    [
        (EVERYTHING, "personal/ann", True, True),
        (ANN, "web", True, True),
        (ANN, "personal/ann", True, True),
        (ANN, "personal/ann/web", True, True),
        (ANN, "personal/anna", False, False),
        (ANN, "personal/bob/web", False, False),
        (ANN, "personal", False, False),
        (ANN, "personality", True, True),
        (Access(Role.READER, "ann"), "personal/ann", True, False),
        (Access(Role.READER, "ann"), "web", True, False),
        (Access(Role.MANAGER, "max"), "personal/ann", True, True),
        (Access(Role.MANAGER, "max", ("web",)), "personal/ann", False, False),
        (Access(Role.WRITER, "ann", ("web",)), "web/team", True, True),
        (Access(Role.WRITER, "ann", ("web",)), "webmasters", False, False),
        (Access(Role.WRITER, "ann", ("web",)), "global", False, False),
        (Access(Role.WRITER, "ann", ("web",)), "personal/ann", True, True),
        (Access(Role.WRITER, "ann", ("personal",)), "personal/bob", False, False),
        (Access(Role.WRITER), "personal/ann", False, False),
    ],
)
def test_what_is_open(access: Access, namespace: str, reads: bool, writes: bool) -> None:
    assert (access.may_read(namespace), access.may_write(namespace)) == (reads, writes)


def test_the_private_part_of_a_namespace_is_the_callers_own() -> None:
    assert ANN.private_part("web") == "personal/ann/web"
    assert ANN.private_part("personal/ann") == "personal/ann"
    assert EVERYTHING.private_part("web") == "web"
    assert ANN.meant("personal") == "personal/ann"
    assert EVERYTHING.meant("personal") == "personal"


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_a_subject_can_stand_in_a_namespace_and_stays_apart_from_others(one: str, other: str) -> None:
    assert door.namespace(f"personal/{subject(one)}")
    assert "/" not in subject(one)
    assert (subject(one) == subject(other)) == (one.encode(errors="replace") == other.encode(errors="replace"))


@pytest.mark.parametrize(("name", "good"), [("acme", True), ("a" * 64, True), ("a" * 65, False), ("", False), ("a/b", False), ("ä", False)])
def test_a_tenants_name(name: str, good: bool) -> None:
    assert is_tenant(name) is good
