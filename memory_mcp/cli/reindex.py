"""`memory-mcp reindex`: a derived tier made anew from the record store."""

import json
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Annotated, Literal

import anyio
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from memory_mcp.assembly import open_records
from memory_mcp.cli.configured import settings_of, with_a_store
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.config import Settings
from memory_mcp.counted import counted
from memory_mcp.errors import RequestError
from memory_mcp.upkeep.carrier import Source
from memory_mcp.upkeep.reindex import rebuild
from memory_mcp.vector_tiers import open_qdrant_index


def reindex(
    tier: Annotated[Literal["qdrant"], typer.Option("--tier", help="Which.")] = "qdrant",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fill a tier anew from the record store, and put it in the place of the present one; nothing is embedded again.

    Servers go on working meanwhile. Ended and run again, it goes on where it was.
    """
    settings = settings_of(data_dir)
    if not settings.qdrant.on:
        raise RequestError("There is no Qdrant to fill: set url or path of [qdrant] in config.toml.")
    with_a_store(settings)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=as_json or not sys.stdout.isatty())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Filling", total=None)
        carried = anyio.run(_rebuild, settings, lambda total: progress.update(bar, total=total), lambda count: progress.advance(bar, count))
    if as_json:
        print(json.dumps({"tier": tier, "memories": carried}))  # noqa: T201
    else:
        Console().print(f"{counted(carried, 'memory')} carried to {tier}, which answers from them now.")


async def _rebuild(settings: Settings, total: Callable[[int], None], told: Callable[[int], None]) -> int:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_records(settings))
        epoch = await store.active_epoch()
        if epoch is None:
            raise RequestError("Nothing has been embedded yet, so there is nothing to fill it with.")
        total(await _live(store))
        index, _ = await open_qdrant_index(settings, store, stack)
        return await rebuild(index, store, epoch, told=told)


async def _live(store: Source) -> int:
    counts = [await store.counts(tenant) for tenant in await store.tenants()]
    return sum(sum(each.by_namespace.values()) for each in counts)
