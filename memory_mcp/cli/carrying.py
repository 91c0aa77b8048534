"""Carrying everything of one record store into another: in steps that a broken-off copy is taken up from, and checked at the end."""

import hashlib
from collections.abc import AsyncIterator, Callable
from uuid import UUID

from memory_mcp.errors import RequestError
from memory_mcp.portable import CarriedMemory, Carrier, digest

_BATCH = 200

Progress = Callable[[str, int, int], None]
"""Takes what is being done, how many are done, and of how many."""


async def carry(source: Carrier, target: Carrier, told: Progress) -> int:
    """Copy memories, past forms, vectors, uses and the log; how many memories there are then.

    Raises:
        RequestError: The target holds something else, the source's log is broken, or the copies differ at the end.
    """
    there, found = await source.inventory(), await target.inventory()
    broken = await source.broken()
    if broken is not None:
        raise RequestError(f"The log of the source was changed from outside at operation {broken}. Nothing was copied.")
    operations = await source.operations()
    held = {memory.id async for memory in _each(target)}
    if found.operations or not held <= {memory.id async for memory in _each(source)}:
        raise RequestError("The target holds other memories, a log that has begun (of tokens, say), or a finished copy. Name an empty one.")
    await target.prepare(there)
    done = len(held)
    batch: list[CarriedMemory] = []
    async for memory in _each(source):
        if memory.id not in held:
            batch.append(memory)
        if len(batch) == _BATCH:
            await target.put(batch)
            done += len(batch)
            batch = []
            told("copied", done, there.memories)
    if batch:
        await target.put(batch)
    told("copied", there.memories, there.memories)
    if await _checksum(source, told, there.memories) != await _checksum(target, told, there.memories):
        raise RequestError("Source and copy differ: was something stored meanwhile? Stop its servers, and copy into an empty target again.")
    await target.finish(operations)
    if (await target.operations())[: len(operations)] != operations or await target.broken() is not None:
        raise RequestError("The log did not arrive as it was. Copy into an empty target again.")
    return there.memories


async def _each(carrier: Carrier) -> AsyncIterator[CarriedMemory]:
    last: UUID | None = None
    while memories := await carrier.memories(last, _BATCH):
        for memory in memories:
            yield memory
        last = memories[-1].id


async def _checksum(carrier: Carrier, told: Progress, most: int) -> tuple[int, bytes]:
    count, sum_of_all = 0, hashlib.blake2b(digest_size=16)
    async for memory in _each(carrier):
        count += 1
        sum_of_all.update(digest(memory))
        if count % _BATCH == 0:
            told("checked", count, most)
    return count, sum_of_all.digest()
