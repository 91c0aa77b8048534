"""What `doctor` looks at where memories are kept in PostgreSQL."""

from memory_mcp.cli.verdicts import Check
from memory_mcp.errors import MemoryMcpError, SchemaTooNewError
from memory_mcp.tiers.postgres import schema
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.postgres.store import PostgresStore, look

_SCALE = "memory-mcp migrate"


async def examine(settings: PostgresSettings) -> list[Check]:
    """Whether the database is there, who serves from it, and what is in it."""
    try:
        standing = await look(settings)
    except SchemaTooNewError as error:
        return [Check("database", "wrong", str(error), "pip install --upgrade memory-mcp")]
    except MemoryMcpError as error:
        return [Check("database", "wrong", str(error), "Check that it runs, and dsn in [records].")]
    checks = [
        Check("database", "ok", f"PostgreSQL {standing.server}"),
        *_writing(standing),
        _role(standing),
        _schema(standing, settings),
        _guard(standing),
    ]
    if standing.refusal:
        return checks
    try:
        # never with the owner at hand: looking changes nothing
        async with PostgresStore.open(settings.model_copy(update={"owner_dsn": type(settings.owner_dsn)("")})) as store:
            broken = await store.verify_chain()
            waiting = await store.waiting("embed")
            indexed = await store.has_index() if settings.hnsw else True
    except MemoryMcpError as error:
        return [*checks, Check("store", "wrong", str(error), "See the rows above.")]
    if broken is not None:
        checks.append(Check("operations", "wrong", f"the log was changed from outside at operation {broken}", "Restore a dump."))
    else:
        checks.append(Check("operations", "ok", "the logs of changes are unbroken"))
    if waiting:
        found = f"{waiting:,} memories are found by their words only"
        checks.append(Check("backlog", "note", found, "A running server with a working model catches up."))
    else:
        checks.append(Check("backlog", "ok", "every memory can be found by its meaning"))
    if not indexed:
        checks.append(Check("index", "note", "hnsw is set, but the index is not built for this model", _SCALE))
    return checks


def _writing(standing: schema.Standing) -> list[Check]:
    if not standing.read_only:
        return []
    remedy = "Let dsn of [records] name the primary, or have an administrator reset default_transaction_read_only."
    return [Check("writing", "wrong", "the database is read-only: recall works, but nothing can be stored", remedy)]


def _role(standing: schema.Standing) -> Check:
    if standing.powers:
        return Check("role", "wrong", f"{standing.role} {' and '.join(standing.powers)}", standing.refusal)
    if standing.lacking and standing.version == standing.known:
        return Check("role", "wrong", f"{standing.role} may not {', '.join(standing.lacking)}", f"{_SCALE}, with owner_dsn set")
    return Check("role", "ok", f"{standing.role} can do no more than serve")


def _schema(standing: schema.Standing, settings: PostgresSettings) -> Check:
    found = f"version {standing.version}"
    if standing.version == standing.known:
        return Check("schema", "ok", found)
    if settings.owner_dsn.get_secret_value():
        return Check("schema", "note", found, f"The next start of the server brings it to {standing.known}.")
    return Check("schema", "wrong", f"{found}, and {standing.known} is needed", f"{_SCALE}, with owner_dsn set")


def _guard(standing: schema.Standing) -> Check:
    if standing.unguarded:
        return Check(
            "isolation",
            "wrong",
            f"row-level security is off for {', '.join(standing.unguarded)}",
            "As the owner: ALTER TABLE ... FORCE ROW LEVEL SECURITY",
        )
    return Check("isolation", "ok", "row-level security is forced on every table of tenants")
