"""The schema: numbered scripts that its owner runs, one program at a time, and what the serving role may do with it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from memory_mcp.errors import SchemaTooNewError, TierError, TierUnavailableError
from memory_mcp.tiers.postgres.faults import TIER, postgres_errors

SCHEMA = "memory_mcp"
PATH = f"{SCHEMA}, public"
"""Where names are looked for: the extension's types lie in `public`, or wherever an administrator put them."""
CONNECT_SECONDS = 3

_LOCK = 0x4D4D4350  # "MMCP"
TENDING_LOCK = _LOCK + 1
"""Held by whoever tends the database; gone with its connection."""
_GRANTS = {
    "SELECT, INSERT, UPDATE": ("tenants", "epochs", "scopes", "tokens"),
    "SELECT, INSERT, UPDATE, DELETE": (
        "memories",
        "vectors",
        "words",
        "uses",
        "outcomes",
        "versions",
        "idempotency",
        "outbox",
        "questions",
        "mentions",
        "relations",
        "pruned",
    ),
    "SELECT, INSERT": ("operations",),  # a log is only ever added to
    "SELECT": ("schema_version",),
}
_OPEN_TABLES = ("tenants", "epochs", "outbox", "tokens", "schema_version")

NO_EXTENSION = (
    "The database lacks the extension pgvector, 0.8 or later. Have an administrator run, once and in this database: CREATE EXTENSION vector"
)
BEHIND = (
    "The tables in the memory database are of version {found}, and this program needs {known}. "
    "Run `memory-mcp migrate` with owner_dsn set (MEMORY_MCP_RECORDS__OWNER_DSN will do), then start again."
)


def migrations() -> list[str]:
    """The numbered scripts, in order; the schema's version is how many have run."""
    folder = resources.files("memory_mcp.tiers.postgres") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if re.fullmatch(r"\d{4}_\w+\.sql", entry.name))
    return [(folder / name).read_text("utf-8") for name in names]


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[AsyncConnection[tuple[Any, ...]]]:
    """A connection of its own, beside any pool.

    Raises:
        TierUnavailableError: The server cannot be reached, or does not let this role in.
        TierError: The dsn is none.
    """
    with postgres_errors():
        try:
            connection = await AsyncConnection.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS)
        except psycopg.ProgrammingError:  # its words hold the dsn
            raise TierError(TIER, "dsn of [records] is no address of a database: it is to be like postgresql://role@host/name.") from None
        except psycopg.OperationalError as error:
            raise TierUnavailableError(
                TIER, "The memory database cannot be reached, or refuses the login. Check that it runs, and dsn of [records]."
            ) from error
        try:
            await prepare(connection)
            yield connection
        finally:
            await connection.close()


async def prepare(connection: AsyncConnection[Any]) -> None:
    """What every connection needs before it is used."""
    await connection.execute("SELECT set_config('search_path', %s, false)", (PATH,))


async def version_of(connection: AsyncConnection[Any]) -> int:
    """The schema's version, 0 where there is none.

    Raises:
        SchemaTooNewError: A newer program has been here.
    """
    cursor = await connection.execute("SELECT to_regclass('schema_version') IS NOT NULL")
    found = await cursor.fetchone()
    if not found or not found[0]:
        return 0
    cursor = await connection.execute("SELECT max(version) FROM schema_version")
    row = await cursor.fetchone()
    version = int(row[0] or 0) if row else 0
    if version > len(migrations()):
        raise SchemaTooNewError(TIER, version, len(migrations()))
    return version


async def migrate(owner_dsn: str, role: str) -> int:
    """Bring the schema up to date as its owner, and let `role` serve from it; the version it had before.

    Several programs at once wait for each other. Each script is a transaction of its own.

    Raises:
        TierError: The owner may not make the tables, or the extension is missing.
        SchemaTooNewError: A newer program has been here.
    """
    async with connected(owner_dsn) as connection:
        with postgres_errors():
            await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            await _make_extension(connection)
            await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
            await connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)")
            before = await version_of(connection)
            for number, script in enumerate(migrations()[before:], start=before + 1):
                async with connection.transaction():
                    await connection.execute(script.encode())
                    await connection.execute("INSERT INTO schema_version VALUES (%s)", (number,))
            await _grant(connection, role)
            return before


async def _make_extension(connection: AsyncConnection[Any]) -> None:
    cursor = await connection.execute("SELECT 1 FROM pg_type WHERE typname = 'halfvec'")
    if await cursor.fetchone():
        return
    try:
        await connection.execute("CREATE EXTENSION vector")
    except psycopg.Error as error:
        raise TierError(TIER, NO_EXTENSION) from error


async def _grant(connection: AsyncConnection[Any], role: str) -> None:
    async with connection.transaction():
        who, where = sql.Identifier(role), sql.Identifier(SCHEMA)
        await connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(where, who))
        for rights, tables in _GRANTS.items():
            names = sql.SQL(", ").join(map(sql.Identifier, tables))
            await connection.execute(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), names, who))
        await connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION found_words, counted_words, prune_operations TO {}").format(who))


@dataclass(frozen=True, slots=True)
class Standing:
    """How a role stands to the schema: what `doctor` tells, and what serving is refused for.

    Attributes:
        role: Who is connected.
        version, known: Of the schema, and of this program.
        powers: In words, what the role could go around row-level security by; empty for one that may serve.
        unguarded: Tables of tenants without forced row-level security.
        read_only: Whether nothing can be written: it is a standby, or its default is set so.
        lacking: Rights on tables that `migrate` gives, and that the role has not.
    """

    role: str
    version: int
    known: int
    powers: tuple[str, ...]
    unguarded: tuple[str, ...]
    server: str
    read_only: bool = False
    lacking: tuple[str, ...] = ()

    @property
    def refusal(self) -> str:
        """Why nothing may be served to this role, and what to do; empty where everything is well."""
        if self.powers:
            return (
                f"The database role {self.role} {' and '.join(self.powers)}, so that row-level security would not hold for it. "
                "Let dsn of [records] name a role of its own, made with CREATE ROLE memory_app LOGIN, and run `memory-mcp migrate`."
            )
        if self.version < self.known:
            return BEHIND.format(found=self.version, known=self.known)
        if self.unguarded:
            tables = ", ".join(self.unguarded)
            return f"Row-level security was switched off for {tables} in the memory database: have its owner force it again."
        return ""


_POWERS = """
    SELECT current_user::text, current_setting('server_version'),
        EXISTS (SELECT FROM pg_roles r WHERE r.rolsuper AND pg_has_role(current_user, r.oid, 'MEMBER')),
        EXISTS (SELECT FROM pg_roles r WHERE r.rolbypassrls AND pg_has_role(current_user, r.oid, 'MEMBER')),
        EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = %(schema)s AND pg_has_role(current_user, c.relowner, 'MEMBER')),
        ARRAY(SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = %(schema)s AND c.relkind = 'r' AND NOT c.relname = ANY(%(open)s)
                AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY 1),
        current_setting('transaction_read_only') = 'on',
        ARRAY(SELECT r.privilege || ' on ' || r.name FROM unnest(%(rights)s::text[], %(tables)s::text[]) r (privilege, name)
              JOIN pg_class c ON c.relname = r.name JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %(schema)s
              WHERE NOT has_table_privilege(c.oid, r.privilege) ORDER BY 1)
"""


async def standing(connection: AsyncConnection[Any]) -> Standing:
    """Look at the role that is connected, and at the schema it sees.

    Raises:
        SchemaTooNewError: A newer program has been here.
    """
    with postgres_errors():
        rights = [(right, table) for names, tables in _GRANTS.items() for table in tables for right in names.split(", ")]
        asked = {"rights": [right for right, _ in rights], "tables": [table for _, table in rights]}
        cursor = await connection.execute(_POWERS, {"schema": SCHEMA, "open": list(_OPEN_TABLES), **asked})
        row = await cursor.fetchone()
        assert row is not None
        role, server, superuser, bypasses, owns, unguarded, read_only, lacking = row
        try:
            version = await version_of(connection)
        except psycopg.errors.InsufficientPrivilege:  # the tables are there, but not for this role
            version = 0
    told = {
        "is a superuser": superuser,
        "may bypass row-level security": bypasses and not superuser,
        "owns the tables": owns and not superuser,
    }
    powers = tuple(words for words, holds in told.items() if holds)
    return Standing(role, version, len(migrations()), powers, tuple(unguarded), server, read_only, tuple(lacking))


def index_name(epoch: int) -> str:
    """Of the approximate index of an epoch's vectors."""
    return f"vectors_hnsw_{epoch}"


async def index_vectors(owner_dsn: str, *, wanted: bool) -> bool:
    """Build the approximate index of the vectors that are made now, or take away what is not wanted; whether there is one then.

    Takes minutes for a million vectors; reading and writing go on meanwhile.

    Raises:
        TierError: The owner may not do that.
    """
    async with connected(owner_dsn) as connection:
        with postgres_errors():
            await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            cursor = await connection.execute("SELECT number, dimension, active FROM epochs ORDER BY number")
            there = False
            for number, dimension, active in await cursor.fetchall():
                name = sql.Identifier(index_name(number))
                if not (wanted and active and dimension):
                    await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
                    continue
                if not await _is_valid(connection, index_name(number)):  # one that was broken off is in the way
                    await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
                    await connection.execute(
                        sql.SQL(
                            "CREATE INDEX CONCURRENTLY {} ON vectors USING hnsw ((vector::halfvec({})) halfvec_cosine_ops) "
                            "WHERE live AND epoch = {}"
                        ).format(name, sql.Literal(dimension), sql.Literal(number))
                    )
                there = True
            return there


async def _is_valid(connection: AsyncConnection[Any], index: str) -> bool:
    cursor = await connection.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (index,))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])
