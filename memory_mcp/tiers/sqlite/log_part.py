"""The part of the store that is the log, and the tokens whose making it holds."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import apsw

from memory_mcp.audit.chain import Chain
from memory_mcp.audit.entries import EVERY_ENTRY, LogFilter
from memory_mcp.models import Operation, Provenance
from memory_mcp.tiers.sqlite import audit, database, tokens
from memory_mcp.tiers.sqlite.lane import Write
from memory_mcp.tokens import NOBODY_SAYS, Token

T = TypeVar("T")

_YOUNGEST = timedelta(days=1)


class LogPart(ABC):
    """`OperationLog` and `Gate`, over the connections of a store."""

    @abstractmethod
    async def _read(self, read: Callable[[apsw.Connection], T]) -> T: ...

    @abstractmethod
    async def _write(self, write: Write[T], *, alone: bool = False) -> T: ...

    async def operations(self, tenant: str, *, limit: int, before: int | None = None, where: LogFilter = EVERY_ENTRY) -> list[Operation]:
        """See `OperationLog`."""
        return await self._read(partial(audit.operations, tenant=tenant, limit=limit, before=before, where=where))

    async def entries(self, tenant: str, numbers: Collection[int]) -> dict[int, Operation]:
        """See `OperationLog`."""
        return await self._read(partial(audit.entries, tenant=tenant, numbers=numbers))

    async def record(self, tenant: str, action: str, actor: Provenance, now: datetime, details: Mapping[str, Any]) -> Operation:
        """See `OperationLog`."""
        return await self._write(partial(audit.record, tenant=tenant, action=action, actor=actor, now=now, details=details))

    async def prune(self, tenant: str, before: datetime, actor: Provenance, now: datetime) -> int:
        """See `OperationLog`; looked for beside the writers, who are not to wait for it."""
        numbers = await self._read(partial(audit.prunable, tenant=tenant, before=min(before, now - _YOUNGEST)))
        return await self._write(partial(audit.prune, tenant=tenant, numbers=numbers, actor=actor, now=now)) if numbers else 0

    async def chains(self, wanted: int = 0) -> list[Chain]:
        """See `OperationLog`."""
        return [await self._read(partial(audit.chain, wanted=wanted))]

    async def verify_chain(self) -> int | None:
        """See `OperationLog`."""
        (chain,) = await self.chains()
        return chain.broken

    async def ready(self) -> None:
        """See `Gate`."""
        await self._read(database.version_of)

    async def add_token(self, token: Token, actor: Provenance = NOBODY_SAYS) -> None:
        """See `Gate`."""
        await self._write(partial(tokens.add, token=token, actor=actor))

    async def find_token(self, digest: bytes) -> Token | None:
        """See `Gate`."""
        return await self._read(partial(tokens.find, digest=digest))

    async def tokens(self) -> list[Token]:
        """See `Gate`."""
        return await self._read(tokens.everyone)

    async def revoke_token(self, token_id: str, now: datetime, actor: Provenance = NOBODY_SAYS) -> bool:
        """See `Gate`."""
        return await self._write(partial(tokens.revoke, token_id=token_id, now=now, actor=actor))
