"""Several servers on one PostgreSQL, and the example that speaks to one."""

import itertools
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from memory_mcp.access import Role
from memory_mcp.clock import utc_now
from memory_mcp.tokens import mint
from tests import qdrant_wire
from tests.engines import PATIENCE, surroundings, wait_until
from tests.http_servers import ROOT, Serving, client_of, new_token, post, refused, serving, tell
from tests.postgres_server import APP, Databases, server
from tests.qdrants import SERVER as QDRANT
from tests.qdrants import on_a_server
from tests.redis_servers import needs_redis, redis_server


async def test_servers_on_one_database_share_tokens_and_memories_and_keep_tenants_apart(tmp_path: Path) -> None:
    databases = Databases(tmp_path)
    name = databases.make()
    more = f'[records]\nbackend = "postgres"\ndsn = "{server().dsn(name, APP)}"\npool_size = 4\n'
    tokens = {}
    try:
        async with databases.open() as store:
            for tenant, subject in (("acme", "ann"), ("globex", "eve")):
                tokens[subject], kept = mint(tenant, Role.WRITER, utc_now(), subject=subject)
                await store.add_token(kept)
        with serving(tmp_path / "one", more) as one, serving(tmp_path / "two", more) as two:
            async with client_of(one, tokens["ann"]) as here, client_of(two, tokens["ann"], "legacy") as there:
                receipt = await tell(here, "remember", content="The replicas agree.", namespace="shared")
                found = await tell(there, "recall", query="Do the replicas agree?", namespace="shared")
            async with client_of(two, tokens["eve"]) as stranger:
                said = await refused(stranger, "get", ids=[receipt["id"]])
                everything = await tell(stranger, "recall", namespace="*")
            async with databases.open() as store:
                await store.revoke_token((await store.tokens())[0].id, utc_now())
            wait_until(lambda: [post(each, tokens["ann"]).status_code for each in (one, two)] == [401, 401], 8)
    finally:
        databases.drop()

    assert [hit["id"] for hit in found["hits"]] == [receipt["id"]]
    assert "No memory with id" in said
    assert everything["hits"] == []


@asynccontextmanager
async def qdrant_behind(kind: str) -> AsyncIterator[str]:
    """The configuration of one that both replicas share."""
    if kind == "wire":
        async with qdrant_wire.serving() as port:
            yield f'[qdrant]\nurl = "http://127.0.0.1:9"\ngrpc_port = {port}\ntimeout_seconds = 10\n'
    elif kind == "server":
        yield f'[qdrant]\nurl = "{QDRANT}"\nprefix = "memory-mcp-test-{uuid4().hex[:8]}"\ntimeout_seconds = 10\n'
    else:
        yield ""


@needs_redis
@pytest.mark.parametrize("qdrant", ["none", "wire", pytest.param("server", marks=on_a_server)])
async def test_replicas_that_share_caches_and_indexes_never_tell_what_was_and_revoke_in_time(tmp_path: Path, qdrant: str) -> None:
    """Each question has just been asked of both, so that what they know of it is stale with every change of the other."""
    databases = Databases(tmp_path)
    name = databases.make()
    question = {"query": "Where is the key of the archive?", "namespace": "shared"}
    text, kept = mint("acme", Role.ADMIN, utc_now(), subject="ann")
    seen: list[tuple[set[str], set[str]]] = []
    try:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(databases.open())
            await store.add_token(kept)
            redis = stack.enter_context(redis_server())
            more = (
                f'[records]\nbackend = "postgres"\ndsn = "{server().dsn(name, APP)}"\npool_size = 4\n'
                f'[redis]\nurl = "{redis.url}"\ntimeout_seconds = 5\nlookup_seconds = 5\n'
                f'[stack]\nvectors = ["qdrant"]\n[http.limits]\ncalls_per_minute = 0\naddress_calls_per_minute = 0\n'
            ) + await stack.enter_async_context(qdrant_behind(qdrant))
            replicas: list[Serving] = []
            for number in range(2):  # in a thread: what they connect to may be served here
                replica = serving(tmp_path / str(number), more)
                replicas.append(await anyio.to_thread.run_sync(replica.__enter__))
                stack.push(replica.__exit__)
            clients = [await stack.enter_async_context(client_of(each, text)) for each in replicas]

            async def look(true: set[str]) -> None:
                """What each of the two says now, twice."""
                for client in (*clients, *clients):
                    hits = (await tell(client, "recall", **question))["hits"]
                    seen.append(({hit["text"] for hit in hits}, true))

            await look(set())
            for turn in range(3):
                here, there = clients[turn % 2], clients[1 - turn % 2]
                stored = f"The key of the archive is in drawer {turn}."
                updated = f"The key of the archive is on shelf {turn}."
                receipt = await tell(here, "remember", content=stored, namespace="shared")
                await look({stored})
                await tell(there, "update", id=receipt["id"], content=updated)
                await look({updated})
                await tell(here, "forget", ids=[receipt["id"]])
                await look(set())
                await tell(here, "forget", undo="last", namespace="shared")
                await look({updated})
                await tell(there, "forget", ids=[receipt["id"]])
            with anyio.fail_after(20):  # what one has found is in Redis a moment later
                for number in itertools.count():
                    asked = {"query": f"Is there a key number {number}?", "namespace": "shared"}
                    await tell(clients[0], "recall", **asked)
                    await anyio.sleep(0.1)
                    await tell(clients[1], "recall", **asked)
                    if (await tell(clients[1], "stats"))["tiers"]["redis"]["hit_rate"]:
                        break
            tiers = [(await tell(client, "stats"))["tiers"] for client in clients]
            before = [post(each, text).status_code for each in replicas]
            await store.revoke_token(kept.id, utc_now())
            with anyio.fail_after(8):  # two seconds are promised; the rest is for a busy machine
                while [post(each, text).status_code for each in replicas] != [401, 401]:  # noqa: ASYNC110
                    await anyio.sleep(0.1)
    finally:
        databases.drop()

    assert [told for told, _ in seen] == [true for _, true in seen]
    assert before == [200, 200]
    assert all(told["cache"]["hit_rate"] > 0 for told in tiers)
    assert qdrant == "none" or all(told["qdrant"]["calls"] > 0 for told in tiers)


async def test_the_example_speaks_to_a_server(tmp_path: Path) -> None:
    token = await new_token(tmp_path)
    with serving(tmp_path) as made:
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "http_client.py"), f"{made.url}/mcp"],
            env=surroundings({"MEMORY_TOKEN": token}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert done.stdout == "stored in personal/ann\nstrong: Invoices are due after 30 days.\n", done.stderr
