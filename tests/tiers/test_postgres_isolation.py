"""Row-level security: what a connection sees without a tenant, what the serving role cannot do, and who is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from postgres_server import APP, EMPTY, OWNER, Databases, server
from psycopg import errors, sql
from record_stores import ACTOR, ANYTHING, DAY, ELSEWHERE, EPOCH, HOME, NOW, Store, add, draft, embedding, new_id, rewritten, texts, vector

from memory_mcp.clock import utc_now
from memory_mcp.errors import ConflictError, TierError
from memory_mcp.models import Asked
from memory_mcp.tiers.postgres import schema
from memory_mcp.tiers.postgres.store import PostgresStore

TENANTS_OWN = (
    *("scopes", "memories", "vectors", "words", "uses", "versions", "operations", "idempotency", "outcomes", "questions"),
    *("mentions", "relations", "pruned"),
)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OPEN = ("tenants", "epochs", "outbox", "tokens", "schema_version")


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    made = Databases(tmp_path)
    yield made
    made.drop()


async def full(store: Store) -> None:
    """Something in every table, of two tenants."""
    for scope in (HOME, ELSEWHERE):
        await store.record(scope.tenant, "denied", ACTOR, LONG_AGO, {})
        given = draft(
            f"secret of {scope.tenant}", scope, idempotency_key="k", request_digest=b"d" * 16, metadata={"relations": "me | am | me"}
        )
        stored = await store.add(given, embedding("x"), within=[scope])
        await store.count_uses(scope.tenant, {stored.id: 1}, NOW)
        await store.report([scope], stored.id, good=True, seconds=1.0, now=NOW)
        await store.count_questions(scope, [Asked(f"which secret has {scope.tenant}?", 1, 0, NOW)])
        await store.revise([scope], stored.id, rewritten(f"other secret of {scope.tenant}"), ACTOR, NOW)
        await store.prune(scope.tenant, LONG_AGO + DAY, ACTOR, NOW)


def connected(databases: Databases, role: str = APP) -> "psycopg.Connection[Any]":
    connection = server().connect(databases.make(), role)
    connection.execute("SET search_path TO memory_mcp, public")
    return connection


def count(connection: "psycopg.Connection[Any]", table: str) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


async def test_every_table_of_tenants_is_guarded_and_the_others_hold_names_ids_and_hashes(databases: Databases) -> None:
    with connected(databases, "postgres") as admin:
        guarded = dict(
            admin.execute(
                """SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                   WHERE nspname = 'memory_mcp' AND relkind IN ('r', 'v', 'm', 'p')"""
            ).fetchall()
        )
        keys = admin.execute(
            """SELECT i.indrelid::regclass::text, a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
               AND a.attnum = i.indkey[0] WHERE i.indisunique AND i.indrelid = ANY(%s::regclass[])""",
            ([f"memory_mcp.{table}" for table in TENANTS_OWN],),
        ).fetchall()
        columns = admin.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'outbox'").fetchall()

    assert guarded == {**dict.fromkeys(TENANTS_OWN, True), **dict.fromkeys(OPEN, False)}
    assert {name for table, name in keys} - {"number"} == {"tenant"}
    assert {name for (name,) in columns} == {"number", "tier", "tenant", "memory", "due", "attempts"}


@pytest.mark.parametrize("role", [APP, OWNER])
async def test_a_connection_without_a_tenant_sees_nothing(databases: Databases, role: str) -> None:
    async with databases.open() as store:
        await full(store)
    with connected(databases, role) as connection:
        seen = {table: count(connection, table) for table in TENANTS_OWN}
        found = connection.execute("SELECT * FROM found_words('''@1'' | ''@2''', '''secret''')").fetchall() if role == APP else []

    assert seen == {**dict.fromkeys(TENANTS_OWN, 0), "words": 0 if role == APP else 2}  # whose functions look for words
    assert found == []


async def test_after_the_transaction_of_a_tenant_nothing_is_seen_again(databases: Databases) -> None:
    """The setting is '' then, not NULL: neither a tenant of that name nor everything may appear."""
    async with databases.open() as store:
        await full(store)
    with connected(databases) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('app.tenant', 'local', true)")
            inside = {table: count(connection, table) for table in TENANTS_OWN}
        after = {table: count(connection, table) for table in TENANTS_OWN}
        setting = connection.execute("SELECT current_setting('app.tenant', true)").fetchone()

    assert inside == {**dict.fromkeys(TENANTS_OWN, 1), "operations": 3, "scopes": 2}
    assert after == dict.fromkeys(TENANTS_OWN, 0)
    assert setting == ("",)


async def test_a_tenant_cannot_write_into_another(databases: Databases) -> None:
    async with databases.open() as store:
        await full(store)
    with connected(databases) as connection, connection.transaction(force_rollback=True):
        connection.execute("SELECT set_config('app.tenant', 'local', true)")
        for table in TENANTS_OWN:
            with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
                connection.execute(sql.SQL("UPDATE {} SET tenant = 'stranger'").format(sql.Identifier(table)))
        assert connection.execute("UPDATE memories SET content = 'x' WHERE tenant = 'stranger'").rowcount == 0


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE memories",
        "TRUNCATE outbox",
        "DELETE FROM operations",
        "UPDATE operations SET action = 'x'",
        "ALTER FUNCTION prune_operations OWNER TO memory_app",
        "DELETE FROM tenants",
        "ALTER TABLE memories DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE memories NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY own_tenant ON memories",
        "CREATE TABLE memory_mcp.mine (x int)",
        "CREATE VIEW memory_mcp.everything AS SELECT * FROM memories",
        "UPDATE schema_version SET version = 0",
        "SET ROLE memory_owner",
        "SET SESSION AUTHORIZATION memory_owner",
        "ALTER ROLE memory_app BYPASSRLS",
        "SET LOCAL row_security = off; SELECT * FROM memories",
    ],
)
async def test_the_serving_role_cannot_go_around_it(databases: Databases, statement: str) -> None:
    async with databases.open() as store:
        await full(store)
    with connected(databases) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(f"SELECT set_config('app.tenant', 'local', false); {statement}".encode())


async def test_another_tenants_id_is_an_unknown_id(databases: Databases) -> None:
    """Not even by an error does a tenant learn that it is taken."""
    taken = new_id()
    async with databases.open() as store:
        await store.add(draft("mine", id=taken), embedding("mine"), within=[HOME])
        again = await store.add(draft("theirs", ELSEWHERE, id=taken), embedding("theirs"), within=[ELSEWHERE])
        with pytest.raises(ConflictError):
            await store.add(draft("mine too", id=taken), None, within=[HOME])
        await store.count_uses("stranger", {taken: 1}, NOW)
        (mine,) = await store.get_many([HOME], [taken])
        (theirs,) = await store.get_many([ELSEWHERE], [taken])
        ((nearest,),) = await store.search(HOME, vector("theirs")[None], ANYTHING, limit=9, epoch=EPOCH)
        words = await store.search_text([ELSEWHERE], "mine theirs", ANYTHING, limit=9)
        await store.forget([ELSEWHERE], [taken], ACTOR, NOW)

        assert again.status == "stored"
        assert (mine.content, mine.recalled_count, theirs.content, theirs.recalled_count) == ("mine", 0, "theirs", 1)
        assert (nearest.id, nearest.score < 0.99, [hit.id for hit in words]) == (taken, True, [taken])
        assert (await texts(store, HOME), await texts(store, ELSEWHERE)) == (["mine"], [])


async def test_each_tenant_has_a_log_of_its_own(databases: Databases) -> None:
    async with databases.open() as store:
        for n in range(3):
            await add(store, f"mine {n}")
        await add(store, "theirs", ELSEWHERE)

        assert [entry.number for entry in await store.operations("stranger", limit=9)] == [1]
        assert await store.verify_chain() is None
        with connected(databases, "postgres") as admin:
            admin.execute("UPDATE operations SET action = 'forget' WHERE tenant = 'local' AND number = 2")
        assert await store.verify_chain() == 2
        assert any("operation 2" in fault for fault in await store.check())


async def test_a_log_that_lost_its_end_is_found_out(databases: Databases) -> None:
    async with databases.open() as store:
        await add(store, "one")
        await add(store, "two")
        with connected(databases, "postgres") as admin:
            admin.execute("DELETE FROM operations WHERE number = 2")

        assert await store.verify_chain() == 2


async def test_the_serving_role_has_old_entries_of_its_own_tenant_taken_away_and_no_others(databases: Databases) -> None:
    now = utc_now()
    async with databases.open() as store:
        for tenant in ("local", "stranger"):
            for at in (LONG_AGO, LONG_AGO + DAY, now - timedelta(hours=23), now):
                await store.record(tenant, "denied", ACTOR, at, {})
    with connected(databases) as connection:
        connection.execute("SELECT set_config('app.tenant', 'local', false)")
        taken = connection.execute("SELECT number FROM prune_operations(ARRAY[1, 2, 3, 4])").fetchall()
    with connected(databases, "postgres") as admin:
        left = admin.execute("SELECT tenant, number FROM operations ORDER BY tenant, number").fetchall()

    assert sorted(taken) == [(1,), (2,)]
    assert left == [("local", 3), ("local", 4), *(("stranger", number) for number in (1, 2, 3, 4))]


class TestWhoMayServe:
    @staticmethod
    async def refusal(databases: Databases, **given: Any) -> str:
        with pytest.raises(TierError) as caught:
            async with databases.open(**given):
                pytest.fail("it was opened")
        assert "postgresql://" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize(("role", "why"), [("postgres", "is a superuser"), (OWNER, "owns the tables")])
    async def test_no_role_that_row_level_security_would_not_hold(self, databases: Databases, role: str, why: str) -> None:
        said = await self.refusal(databases, dsn=server().dsn(databases.make(), role))

        assert why in said
        assert "CREATE ROLE memory_app" in said

    @pytest.mark.parametrize(
        ("make", "why"), [("CREATE ROLE {} LOGIN BYPASSRLS", "bypass"), ("CREATE ROLE {} LOGIN IN ROLE memory_owner", "owns the tables")]
    )
    async def test_nor_one_that_could_become_such_a_role(self, databases: Databases, make: str, why: str) -> None:
        database = databases.make()
        with server().connect(database) as admin:
            admin.execute(sql.SQL(make).format(sql.Identifier("crooked")))
            try:
                assert why in await self.refusal(databases, dsn=server().dsn(database, "crooked"))
            finally:
                admin.execute("DROP ROLE crooked")

    async def test_not_where_the_guard_was_taken_off_a_table(self, databases: Databases) -> None:
        with connected(databases, OWNER) as owner:
            owner.execute("ALTER TABLE versions NO FORCE ROW LEVEL SECURITY")

        assert "switched off for versions" in await self.refusal(databases)

    async def test_an_older_schema_is_refused_by_one_that_may_not_change_it(self, databases: Databases) -> None:
        with connected(databases, OWNER) as owner:
            owner.execute("DELETE FROM schema_version")

        assert "memory-mcp migrate" in await self.refusal(databases, owner_dsn="")

    async def test_a_newer_schema_is_left_alone(self, databases: Databases) -> None:
        with connected(databases, OWNER) as owner:
            owner.execute("INSERT INTO schema_version VALUES (99)")

        assert "newer memory_mcp (schema 99" in await self.refusal(databases)


class TestMigrating:
    @pytest.fixture
    def bare(self, databases: Databases) -> str:
        return databases.make("bare", like=EMPTY)

    async def test_a_start_with_the_owner_at_hand_makes_the_tables(self, databases: Databases, bare: str) -> None:
        async with databases.open("bare") as store:
            await add(store, "one")
        async with databases.open("bare", owner_dsn="") as store:
            assert await texts(store) == ["one"]

    async def test_several_at_once_wait_for_each_other(self, bare: str) -> None:
        found: list[int] = []

        async def one() -> None:
            found.append(await schema.migrate(server().dsn(bare, OWNER), APP))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(one)

        assert sorted(found) == [0] + [len(schema.migrations())] * 3

    async def test_without_the_extension_it_says_who_can_make_it(self, databases: Databases, bare: str) -> None:
        with server().connect(bare) as admin:
            admin.execute("DROP EXTENSION vector")
        with pytest.raises(TierError, match=r"administrator.*CREATE EXTENSION vector"):
            await schema.migrate(server().dsn(bare, OWNER), APP)


@pytest.mark.parametrize("dsn", ["postgresql://me:hunter2@127.0.0.1:1/nowhere", "nonsense hunter2", "host=/nowhere password=hunter2"])
async def test_neither_error_nor_log_shows_the_dsn(dsn: str, databases: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    settings = server().settings(databases.make(), dsn=dsn)
    with pytest.raises(TierError) as caught:
        async with PostgresStore.open(settings):
            pytest.fail("it was opened")

    assert "hunter2" not in str(caught.value) + repr(settings) + "".join(capsys.readouterr())
