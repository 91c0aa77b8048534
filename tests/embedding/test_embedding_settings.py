from typing import Any

import pytest
from pydantic import ValidationError

from memory_mcp.embedding.settings import EmbeddingSettings

REMOTE = {"provider": "remote", "model": "m", "base_url": "https://api.example.com/v1"}


def test_nothing_needs_to_be_said() -> None:
    settings = EmbeddingSettings()

    assert (settings.provider, settings.model, settings.threads, settings.cache_entries) == ("local", "all-MiniLM-L6-v2", 0, 10_000)


def test_every_key_is_described() -> None:
    assert all(field.description for field in EmbeddingSettings.model_fields.values())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"base_url": "https://a.b"}, ["base_url", "provider"]),
        ({"api_key": "sk-x"}, ["api_key", "provider"]),
        ({"dimensions": 256}, ["dimensions", "provider"]),
        ({"timeout_seconds": 3}, ["timeout_seconds", "provider"]),
        (REMOTE | {"threads": 2}, ["threads", "provider"]),
        ({"provider": "remote", "base_url": "https://a.b"}, ["model", "provider"]),
        ({"provider": "remote", "model": "m"}, ["base_url", "provider"]),
        (REMOTE | {"base_url": "api.example.com"}, ["base_url"]),
        (REMOTE | {"base_url": "https://user:pw@a.b/v1"}, ["base_url", "api_key"]),
        (REMOTE | {"base_url": "https://a.b/v1?key=pw"}, ["base_url", "api_key"]),
        ({"modle": "x"}, ["modle"]),
        ({"threads": -1}, ["threads"]),
        (REMOTE | {"timeout_seconds": 0}, ["timeout_seconds"]),
    ],
)
def test_a_contradiction_is_refused_with_the_keys_named(given: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        EmbeddingSettings(**given)

    assert all(key in str(caught.value) for key in named)
    assert "sk-x" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_the_key_is_not_shown() -> None:
    assert "sk-x" not in repr(EmbeddingSettings(**REMOTE, api_key="sk-x"))
