"""Several servers on one PostgreSQL, and the example that speaks to one."""

import subprocess
import sys
from pathlib import Path

from memory_mcp.access import Role
from memory_mcp.clock import utc_now
from memory_mcp.tokens import mint
from tests.engines import PATIENCE, surroundings, wait_until
from tests.http_servers import ROOT, client_of, new_token, post, refused, serving, tell
from tests.postgres_server import APP, Databases, server


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
            wait_until(lambda: [post(each, tokens["ann"]).status_code for each in (one, two)] == [401, 401], 2.5)
    finally:
        databases.drop()

    assert [hit["id"] for hit in found["hits"]] == [receipt["id"]]
    assert "No memory with id" in said
    assert everything["hits"] == []


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
