"""What of the Redis tier needs no Redis: addresses, settings, keys, and bytes that are believed or not."""

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from memory_mcp.config import load_settings
from memory_mcp.contracts import Candidates, Circumstances
from memory_mcp.errors import ConfigError, TierUnavailableError
from memory_mcp.tiers.guard import Guard
from memory_mcp.tiers.redis.address import Address, parse
from memory_mcp.tiers.redis.behind import WriteBehind
from memory_mcp.tiers.redis.codec import decode_candidates, decode_vector, encode_candidates, encode_vector
from memory_mcp.tiers.redis.keys import candidates_key, changes_key, question_key
from memory_mcp.tiers.redis.settings import RedisSettings

KEY, STAMP = "local/0123", "[5, 7] model@1/384"

# addresses and settings

ADDRESSES = {
    "redis://cache": Address("server", (("cache", 6379),)),
    "redis://cache:7000/3": Address("server", (("cache", 7000),), database=3),
    "rediss://me:p%40ss%3A@cache": Address("server", (("cache", 6379),), tls=True, username="me", password="p@ss:"),
    "redis://:secret@[::1]:6380/": Address("server", (("::1", 6380),), password="secret"),
    "unix:///run/redis.sock": Address("socket", path="/run/redis.sock"),
    "unix://me:secret@/run/redis.sock": Address("socket", path="/run/redis.sock", username="me", password="secret"),
    "redis+sentinel://a:1,b/mymaster": Address("sentinel", (("a", 1), ("b", 26379)), service="mymaster"),
    "rediss+sentinel://a/mymaster/2": Address("sentinel", (("a", 26379),), tls=True, service="mymaster", database=2),
    "redis+cluster://a,b:7001": Address("cluster", (("a", 6379), ("b", 7001))),
    "rediss+cluster://me:x@a/0": Address("cluster", (("a", 6379),), tls=True, username="me", password="x"),
}
NO_ADDRESSES = [
    "redis",
    "redis://",
    "http://cache",
    "redis://cache:port",
    "redis://cache:99999",
    "redis://cache/database",
    "redis://cache/1/2",
    "redis://cache?ssl=true",
    "redis://a,b",
    "redis+sentinel://a",
    "redis+cluster://a/1",
    "unix://run/redis.sock",
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_a_url_names_a_redis(url: str) -> None:
    assert parse(url) == ADDRESSES[url]
    assert RedisSettings(url=url, allow_plaintext=True).address == ADDRESSES[url]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_names_none_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]") as caught:
        parse(url.replace("://", "://user:hunter2@"))

    assert "hunter2" not in str(caught.value)


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"ttl_seconds": 5}, "belongs to a Redis"),
    ({"password": "x"}, "belongs to a Redis"),
    ({"url": "rediss://a:b@c", "username": "d"}, "username stands in url"),
    ({"url": "rediss://:hunter2@c", "password": "d"}, "password stands in url"),
    ({"url": "redis://c", "ca_file": "/ca.pem"}, "begin url with rediss"),
    ({"url": "reddis://:hunter2@c"}, "a Redis is named by a URL"),
]


@pytest.mark.parametrize(("given_settings", "said"), CONTRADICTIONS)
def test_contradictions_are_refused_and_secrets_not_told(given_settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        RedisSettings.model_validate(given_settings)

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(RedisSettings(url="rediss://:hunter2@cache"))


def test_a_configuration_that_names_no_redis_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[redis]\nurl = "redis:/:hunter2@cache"\n', "utf-8")
    with pytest.raises(ConfigError, match="redis: a Redis is named by a URL that begins with redis://") as caught:
        load_settings(data_dir=tmp_path, environment={})

    assert "hunter2" not in str(caught.value)


# keys


def test_keys_name_format_and_tenant_and_no_text() -> None:
    assert candidates_key("acme/0123") == "memory:1:acme:candidates:0123"
    assert changes_key("acme") == "memory:1:acme:changes"
    assert question_key("model@1/384", "Where is the key?").startswith("memory:1::question:")
    assert "Where" not in question_key("model@1/384", "Where is the key?")


def test_no_tenant_can_name_anothers_keys() -> None:
    """Whatever a tenant is called, its keys begin with nothing but its own name."""
    names = ["acme", "acme:candidates", "acme/x", "", ":", "*", "acme:changes", "%3A"]
    keys = [key for name in names for key in (candidates_key(f"{name}/0123"), changes_key(name))]

    assert len(set(keys)) == len(keys)
    assert {key.count(":") for key in keys} == {3, 4}


def test_a_questions_key_depends_on_where_epoch_ends_and_text_begins() -> None:
    assert len({question_key("ab", "c"), question_key("a", "bc"), question_key("", "abc"), question_key("ab", "c ")}) == 4
    assert question_key("a", "\ud800")  # a lone surrogate is a text like another


# bytes


def some_candidates(k: int = 5, m: int = 2, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(-1, 1, k)
    similarity[: k // 3] = np.nan
    around = Circumstances(
        lexical=rng.random(k),
        standing=rng.integers(0, 2**64, k, np.uint64),
        kinds=rng.random(k),
        session=rng.integers(-1, m, k) if m else np.full(k, -1),
        order=rng.integers(0, 9, k),
        session_lexical=rng.random(m),
        when=rng.integers(0, 2**60, k),
        asking=rng.random(k) > 0.5,
        dated=rng.random(k) > 0.5,
        specific=rng.random(k) > 0.5,
        named=rng.random(k),
        importance=rng.random(k),
    )
    ids = tuple(UUID(bytes=rng.bytes(16)) for _ in range(k))
    return Candidates(
        ids,
        similarity,
        around,
        0.1,
        0.2,
        -0.3,
        100,
        1000,
        (0.5, 7.0),
        passage=dict.fromkeys(ids[:2], 3),
        related=dict.fromkeys(ids[1:4], 0.5),
    )


def assert_equal(one: Candidates | None, other: Candidates) -> None:
    assert one is not None
    for of, same in ((one, other), (one.around, other.around)):
        for each in fields(of):  # type: ignore[arg-type]
            left, right = getattr(of, each.name), getattr(same, each.name)
            if isinstance(right, np.ndarray):
                assert left.dtype == right.dtype
                assert np.array_equal(left, right, equal_nan=right.dtype.kind == "f")
            elif each.name != "around":
                assert left == right


@given(st.integers(0, 40), st.integers(0, 5), st.integers(0, 2**32))
def test_candidates_come_back_as_they_were(k: int, m: int, seed: int) -> None:
    candidates = some_candidates(k, m, seed)

    assert_equal(decode_candidates(encode_candidates(KEY, STAMP, candidates), KEY, STAMP), candidates)


def test_another_key_or_stamp_is_a_miss() -> None:
    data = encode_candidates(KEY, STAMP, some_candidates())

    assert decode_candidates(data, "stranger/0123", STAMP) is None
    assert decode_candidates(data, KEY, STAMP + "1") is None
    assert decode_vector(data, KEY, 384) is None


def test_any_changed_byte_and_any_cut_is_a_miss() -> None:
    data = encode_candidates(KEY, STAMP, some_candidates(2))
    changed = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]

    assert [decode_candidates(one, KEY, STAMP) for one in changed] == [None] * len(data)
    assert [decode_candidates(data[:end], KEY, STAMP) for end in range(len(data))] == [None] * len(data)
    assert decode_candidates(data + b"\0", KEY, STAMP) is None


@given(st.binary(max_size=300))
def test_foreign_bytes_are_a_miss(data: bytes) -> None:
    for mark in (b"", b"mmc4", b"mmv1"):
        assert decode_candidates(mark + data, KEY, STAMP) is None
        assert decode_vector(mark + data, KEY, 2) is None


def forged(data: bytes, **header: Any) -> bytes:
    """An entry with another header and a checksum that fits."""
    end = 24 + int.from_bytes(data[20:24], "little")
    text = json.dumps({**json.loads(data[24:end]), **header}).encode()
    body = len(text).to_bytes(4, "little") + text + data[end:]
    return data[:4] + hashlib.blake2b(body, digest_size=16).digest() + body


FORGERIES = [
    {"candidates": 6},
    {"candidates": -1},
    {"candidates": 10**30},
    {"candidates": "5"},
    {"candidates": True},
    {"sessions": 3},
    {"passages": None},
    {"related": 2},
    {"mean": "NaN"},
    {"mean": float("nan")},
    {"deviation": float("inf")},
    {"deviation": -1.0},
    {"rows": 2**40},
    {"rarity": None},
    {"rarity": [1]},
    {"rarity": [-0.5]},
    {"rarity": [float("inf")]},
    {"rarity": [0.5] * 65},
    {"key": ["local/0123"]},
    {"stamp": None},
]


@pytest.mark.parametrize("header", FORGERIES)
def test_a_forged_header_is_a_miss(header: dict[str, Any]) -> None:
    data = encode_candidates(KEY, STAMP, some_candidates())

    assert decode_candidates(forged(data), KEY, STAMP) is not None
    assert decode_candidates(forged(data, **header), KEY, STAMP) is None


@pytest.mark.parametrize("text", [b"[]", b"1", b'"x"', b"{}", b"[" * 100_000, b"\xff", b""])
def test_a_header_that_is_something_else_is_a_miss(text: bytes) -> None:
    for mark in (b"mmc4", b"mmv1"):
        body = len(text).to_bytes(4, "little") + text
        data = mark + hashlib.blake2b(body, digest_size=16).digest() + body
        assert decode_candidates(data, KEY, STAMP) is None
        assert decode_vector(data, KEY, 2) is None


def test_numbers_that_ranking_would_stumble_over_are_a_miss() -> None:
    good = some_candidates()
    bad = [
        replace(good, similarity=np.full(5, np.inf)),
        replace(good, around=replace(good.around, lexical=np.full(5, np.nan))),
        replace(good, around=replace(good.around, importance=np.full(5, np.inf))),
        replace(good, around=replace(good.around, session=np.full(5, 2))),
        replace(good, around=replace(good.around, session=np.full(5, -2))),
        replace(good, passage={good.ids[0]: -1}),
        replace(good, related={good.ids[0]: float("nan")}),
        replace(good, related={good.ids[0]: 1.5}),
    ]

    assert [decode_candidates(encode_candidates(KEY, STAMP, one), KEY, STAMP) for one in bad] == [None] * len(bad)


def test_a_vector_comes_back_if_it_is_one() -> None:
    vector = np.zeros(384, np.float32)
    vector[7] = 1.0
    data = encode_vector("key", vector)
    found = decode_vector(data, "key", 384)

    assert found is not None
    assert found.dtype == np.float32
    assert found.tolist() == vector.tolist()
    assert decode_vector(data, "other", 384) is None
    assert decode_vector(data, "key", 383) is None
    for bad in (2 * vector, 0 * vector, np.full(384, np.nan, np.float32), np.full(384, np.inf, np.float32)):
        assert decode_vector(encode_vector("key", bad), "key", 384) is None


# writing behind


async def test_what_is_written_behind_is_written_in_order() -> None:
    behind, written = WriteBehind(Guard("tier")), []

    async def write(number: int) -> None:
        written.append(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(behind.run)
        for number in range(50):
            behind.put(lambda number=number: write(number))
        with anyio.fail_after(5):
            await behind.flush()
        tasks.cancel_scope.cancel()

    assert (written, behind.dropped) == (list(range(50)), 0)


async def test_too_many_waiting_writes_push_out_the_oldest() -> None:
    behind, written = WriteBehind(Guard("tier")), []

    async def write(number: int) -> None:
        written.append(number)

    for number in range(1000):
        behind.put(lambda number=number: write(number))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(behind.run)
        with anyio.fail_after(5):
            await behind.flush()
        tasks.cancel_scope.cancel()

    assert written == list(range(1000 - len(written), 1000))
    assert len(written) == 1000 - behind.dropped < 500


async def test_a_write_that_fails_is_let_go() -> None:
    behind, written = WriteBehind(Guard("tier")), []

    async def fail() -> None:
        raise TierUnavailableError("tier", "away")

    async def write() -> None:
        written.append(1)

    behind.put(fail)
    behind.put(write)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(behind.run)
        with anyio.fail_after(5):
            await behind.flush()
        tasks.cancel_scope.cancel()

    assert (len(written), behind.dropped) == (1, 1)
