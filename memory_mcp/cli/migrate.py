"""`memory-mcp migrate`: the tables in PostgreSQL made or brought up to date, and memories carried from one store to another."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.progress import Progress

from memory_mcp.audit.entries import SERVER
from memory_mcp.cli.carrying import carry
from memory_mcp.cli.configured import settings_of
from memory_mcp.cli.options import DataDir
from memory_mcp.cli.printed import say
from memory_mcp.clock import utc_now
from memory_mcp.config import Settings
from memory_mcp.contracts import Origin
from memory_mcp.counted import counted
from memory_mcp.errors import RequestError
from memory_mcp.folders import expanded
from memory_mcp.portable import Carrier
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.sqlite.carry import SqliteCarrier
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.upkeep.erasing import Eraser, Erasing, Surroundings
from memory_mcp.upkeep.register import Register

_PLACES = "sqlite:///folder or postgresql://...; left out: what is configured"
_TENANT = "local"
"""Of a store that nobody has written to."""


def migrate(
    source: Annotated[str, typer.Option("--from", help=f"Copy all memories from another store: {_PLACES}.")] = "",
    target: Annotated[str, typer.Option("--to", help=f"Where the copy goes, which is to be empty: {_PLACES}.")] = "",
    tenant: Annotated[str, typer.Option("--tenant", help="Copy this tenant's memories alone.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Make the tables in PostgreSQL or bring them up to date, as their owner; or copy all memories from one store to another.

    A copy that was broken off goes on where it was. Stop the engine first (`memory-mcp engine stop`), so that nothing is stored meanwhile.
    """
    settings = settings_of(data_dir)
    if tenant and not (source or target):
        raise RequestError("--tenant says whose memories to copy: say --from or --to, too.")
    if source or target:
        if source == target:
            raise RequestError("--from and --to name the same store.")
        count = anyio.run(_copy, settings, source, target, tenant)
        say(f"Copied and checked {counted(count, 'memory')}; the source is as it was.")
        return
    if not isinstance(settings.records, PostgresSettings):
        raise RequestError("The memories are in SQLite, which is brought up to date by itself. For PostgreSQL set [records] first.")
    say(anyio.run(_migrate, settings.records))


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


async def _copy(settings: Settings, source: str, target: str, tenant: str) -> int:
    console = Console(stderr=True)
    async with _opened(settings, source, must_exist=True) as one, _opened(settings, target) as other:
        tenants = await _tenants(one, other, tenant)
        carried = 0
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
            bar = bars.add_task("looking", total=None)

            def told(what: str, done: int, total: int) -> None:
                bars.update(bar, description=what, completed=done, total=total)

            for each in tenants:
                carried += await carry(one.carrier(each), other.carrier(each), told)
        return carried - await _erase_again(settings, one, other)


async def _tenants(source: "_Place", target: "_Place", wanted: str) -> Sequence[str]:
    """Whose memories are to be copied.

    Raises:
        RequestError: There are none of that tenant, or those of several would meet in one file, which has one log.
    """
    known = await source.origin.tenants()
    if wanted and wanted not in known:
        raise RequestError(f"The source holds no memories of the tenant {wanted}. Nothing was copied.")
    tenants = [wanted] if wanted else known or [_TENANT]
    if target.has_one_log:  # what its log tells of the server itself is no tenant's, and stays behind
        tenants = [tenant for tenant in tenants if tenant != SERVER]
    if target.has_one_log and len({*tenants, *await target.origin.tenants()} - {SERVER}) > 1:
        raise RequestError("A file takes the memories of one tenant: name it with --tenant, and an empty folder. Nothing was copied.")
    return tenants


async def _erase_again(settings: Settings, source: "_Place", target: "_Place") -> int:
    """What was erased here, there or where it comes from is not brought back; how many memories that were."""
    register = Register(target.folder)
    for folder in dict.fromkeys((settings.data_dir, source.folder)):
        if folder != target.folder:
            register.include(Register(folder))
    return await Eraser(target.store, register, Surroundings()).replay(utc_now())


@dataclass(frozen=True, slots=True)
class _Place:
    """A store to be carried from or to.

    Attributes:
        carrier: Reaches what a tenant has in it.
        folder: Where the list of what was erased lies.
        has_one_log: Whether all its tenants write one.
    """

    carrier: Callable[[str], Carrier]
    store: Erasing
    origin: Origin
    folder: Path
    has_one_log: bool


@asynccontextmanager
async def _opened(settings: Settings, place: str, *, must_exist: bool = False) -> AsyncIterator[_Place]:
    records = settings.records
    if place.startswith(("postgresql://", "postgres://")):
        allowed = isinstance(records, PostgresSettings) and records.allow_plaintext
        records = PostgresSettings(dsn=SecretStr(place), allow_plaintext=allowed)
    elif place and not place.startswith("sqlite:///"):
        raise RequestError("A store is named like sqlite:///home/me/.memory-mcp or postgresql://memory_app@host/memory.")
    if isinstance(records, PostgresSettings) and not place.startswith("sqlite:"):
        from memory_mcp.tiers.postgres.carry import PostgresCarrier  # noqa: PLC0415 - the driver is for those who use it
        from memory_mcp.tiers.postgres.store import PostgresStore  # noqa: PLC0415

        async with PostgresStore.open(records) as store:
            yield _Place(partial(PostgresCarrier, store), store, store, settings.data_dir, has_one_log=False)
        return
    folder = _folder(place) if place else settings.data_dir
    if must_exist and not (folder / FILE_NAME).exists():
        raise RequestError(f"There is no memory store in {folder}.")
    async with SqliteStore.open(folder, settings.encryption) as file:
        yield _Place(partial(SqliteCarrier, file), file, file, folder, has_one_log=True)


def _folder(place: str) -> Path:
    path = expanded(Path(place.removeprefix("sqlite://")))
    return path.parent if path.name == FILE_NAME else path
