"""Which collection holds an epoch, by aliases: found, made, checked, taken into use, dropped."""

import secrets
from collections.abc import Sequence

import structlog
from qdrant_client import AsyncQdrantClient, models

from memory_mcp.tiers.qdrant import layout
from memory_mcp.tiers.qdrant.settings import QdrantSettings

log = structlog.get_logger(__name__)


async def behind(client: AsyncQdrantClient, alias: str) -> str | None:
    """The collection that an alias leads to."""
    found = await client.get_aliases()
    return next((each.collection_name for each in found.aliases if each.alias_name == alias), None)


async def make(client: AsyncQdrantClient, settings: QdrantSettings, alias: str, dimension: int, *, local: bool) -> str:
    """A new, empty collection behind an alias, in place of one that may be there; its indexes are there before it is.

    Two processes that do this at once make two; the one that the alias leads to in the end is the one that counts.
    """
    former = await behind(client, alias)
    name = f"{alias}-{secrets.token_hex(4)}"
    await client.create_collection(name, **layout.creation(settings, dimension))
    if not local:
        for field, schema in layout.INDEXES.items():
            await client.create_payload_index(name, field, field_schema=schema, wait=True)
    await _lead(client, alias, name, ending=[] if former is None else [alias])
    log.info("qdrant_collection_made", collection=name)
    if former is not None:
        await client.delete_collection(former)
    return name


async def promote(client: AsyncQdrantClient, building: str, alias: str) -> str | None:
    """Let an alias lead to the collection that another alias leads to, which ends, in one step; drop the former one.

    Returns:
        The collection that is in use now; None where neither alias leads anywhere.
    """
    new, former = await behind(client, building), await behind(client, alias)
    if new is None:
        return former
    await _lead(client, alias, new, ending=[building] if former is None else [building, alias])
    if former is not None and former != new:
        await client.delete_collection(former)
    return new


async def _lead(client: AsyncQdrantClient, alias: str, name: str, *, ending: Sequence[str]) -> None:
    """Let an alias lead to a collection as these aliases end, in one step."""
    changes: list[models.AliasOperations] = [
        models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=former)) for former in ending
    ]
    changes.append(models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name=alias)))
    await client.update_collection_aliases(changes)


async def strays(client: AsyncQdrantClient, prefix: str, alias: str) -> tuple[list[str], list[str]]:
    """Collections of this prefix that no alias leads to: those made for this alias, and those of others.

    The others may belong to another store, or be in the making there.
    """
    used = {each.collection_name for each in (await client.get_aliases()).aliases}
    names = [each.name for each in (await client.get_collections()).collections]
    loose = [name for name in names if name.startswith(f"{prefix}-") and name not in used]
    return [name for name in loose if name.startswith(f"{alias}-")], [name for name in loose if not name.startswith(f"{alias}-")]
