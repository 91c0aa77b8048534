"""`memory-mcp migrate`: the tables in PostgreSQL made or brought up to date, and memories carried from one store to another."""

import anyio

from memory_mcp.cli.options import DataDir
from memory_mcp.config import load_settings
from memory_mcp.errors import RequestError
from memory_mcp.log import configure_log
from memory_mcp.tiers.postgres.settings import PostgresSettings


def migrate(data_dir: DataDir = None) -> None:
    """Make the tables in PostgreSQL, or bring them up to date, as their owner (owner_dsn of [records])."""
    settings = load_settings(data_dir=data_dir)
    configure_log("error")
    if not isinstance(settings.records, PostgresSettings):
        raise RequestError("The memories are in SQLite, which is brought up to date by itself. For PostgreSQL set [records] first.")
    print(anyio.run(_migrate, settings.records))  # noqa: T201


async def _migrate(records: PostgresSettings) -> str:
    from memory_mcp.tiers.postgres import schema  # noqa: PLC0415 - the driver is for those who use it
    from memory_mcp.tiers.postgres.store import look  # noqa: PLC0415

    owner = records.owner_dsn.get_secret_value()
    if not owner:
        raise RequestError(
            "owner_dsn is not set: the role that owns the tables. Set it for this command alone with MEMORY_MCP_RECORDS__OWNER_DSN=..."
        )
    standing = await look(records)
    if standing.powers:
        raise RequestError(standing.refusal)
    before = await schema.migrate(owner, standing.role)
    indexed = await schema.index_vectors(owner, wanted=records.hnsw)
    done = f"The tables are of version {standing.known}" + (f" (before: {before})." if before < standing.known else " already.")
    if records.hnsw:
        done += " The approximate index is built." if indexed else " The approximate index can be built when there are vectors."
    return f"{done} {standing.role} may serve from them."
