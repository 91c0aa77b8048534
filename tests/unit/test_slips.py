"""Slips in the names of settings, and what is somebody else's."""

import pytest

from memory_mcp.slips import meant, misnamed

SECTIONS = {"recall": {"candidates", "embed_seconds"}, "http": {"port", "metrics_token"}, "tools": {"sets"}, "namespace": ()}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MEMORY_MCP_RECAL__CANDIDATES", "belongs to no section"),
        ("MEMORY_MCP_RECALL_CANDIDATES", "MEMORY_MCP_RECALL__CANDIDATES"),
        ("memory_mcp_http_port", "MEMORY_MCP_HTTP__PORT"),
        ("MEMORY_MCP_DATADIR", "MEMORY_MCP_DATA_DIR is one"),
        ("MEMORY_MCP_NAMESPCE", "MEMORY_MCP_NAMESPACE is one"),
        ("MEMORY_MCP_CONFG", "MEMORY_MCP_CONFIG is one"),
    ],
)
def test_what_can_only_be_meant_as_a_setting_is_named_with_the_right_one(name: str, told: str) -> None:
    said = misnamed(["PATH", name], SECTIONS)

    assert said is not None
    assert said.startswith(name)
    assert told in said


@pytest.mark.parametrize(
    "name",
    [
        "MEMORY_MCP_RECALL__CANDIDATES",
        "MEMORY_MCP_DATA_DIR",
        "MEMORY_MCP_CONFIG",
        "MEMORY_MCP_NAMESPACE",
        "MEMORY_MCP_TOOLS",
        "RECALL_CANDIDATES",
    ],
)
def test_a_setting_is_right(name: str) -> None:
    assert misnamed([name], SECTIONS) is None


@pytest.mark.parametrize("name", ["MEMORY_MCP_HTTP_TOKEN", "MEMORY_MCP_TEST_INSPECTOR", "MEMORY_MCP_BENCH_DATA", "MEMORY_MCP_URL"])
def test_what_may_be_somebody_elses_is_let_be(name: str) -> None:
    assert misnamed([name], SECTIONS) is None


def test_a_slip_finds_the_key_that_was_meant_and_another_word_none() -> None:
    assert meant("candidate", SECTIONS["recall"]) == "candidates"
    assert meant("colour", SECTIONS["recall"]) == ""
