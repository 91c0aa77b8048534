"""The part of the store that is the log, and the tokens whose making it holds."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from memory_mcp.audit.chain import Chain
from memory_mcp.audit.entries import EVERY_ENTRY, LogFilter
from memory_mcp.models import Operation, Provenance
from memory_mcp.tiers.postgres import audit, tokens
from memory_mcp.tiers.postgres.session import NOBODY, Transaction
from memory_mcp.tokens import NOBODY_SAYS, Token

T = TypeVar("T")
Work = Callable[[Transaction], Awaitable[T]]

_YOUNGEST = timedelta(days=1)


class LogPart(ABC):
    """`OperationLog` and `Gate`, over the transactions of a store."""

    @abstractmethod
    async def _read(self, tenant: str, work: Work[T]) -> T: ...

    @abstractmethod
    async def _write(self, tenant: str, work: Work[T]) -> T: ...

    async def operations(self, tenant: str, *, limit: int, before: int | None = None, where: LogFilter = EVERY_ENTRY) -> list[Operation]:
        """See `OperationLog`."""
        return await self._read(tenant, partial(audit.operations, limit=limit, before=before, where=where))

    async def entries(self, tenant: str, numbers: Collection[int]) -> dict[int, Operation]:
        """See `OperationLog`."""
        return await self._read(tenant, partial(audit.entries, numbers=numbers))

    async def record(self, tenant: str, action: str, actor: Provenance, now: datetime, details: Mapping[str, Any]) -> Operation:
        """See `OperationLog`."""
        return await self._write(tenant, partial(audit.record, action=action, actor=actor, now=now, details=details))

    async def prune(self, tenant: str, before: datetime, actor: Provenance, now: datetime) -> int:
        """See `OperationLog`; looked for beside the writers, who are not to wait for it."""
        numbers = await self._read(tenant, partial(audit.prunable, before=min(before, now - _YOUNGEST)))
        return await self._write(tenant, partial(audit.prune, numbers=numbers, actor=actor, now=now)) if numbers else 0

    async def chains(self, wanted: int = 0) -> list[Chain]:
        """See `OperationLog`; each tenant has a chain of its own."""
        tenants = await self._read(NOBODY, _tenants)
        return [await self._read(tenant, partial(audit.chain, wanted=wanted)) for tenant in tenants]

    async def verify_chain(self) -> int | None:
        """See `OperationLog`."""
        return next((chain.broken for chain in await self.chains() if chain.broken is not None), None)

    async def ready(self) -> None:
        """See `Gate`."""
        await self._read(NOBODY, tokens.ready)

    async def add_token(self, token: Token, actor: Provenance = NOBODY_SAYS) -> None:
        """See `Gate`."""
        await self._write(token.tenant, partial(tokens.add, token=token, actor=actor))

    async def find_token(self, digest: bytes) -> Token | None:
        """See `Gate`."""
        return await self._read(NOBODY, partial(tokens.find, digest=digest))

    async def tokens(self) -> list[Token]:
        """See `Gate`."""
        return await self._read(NOBODY, tokens.everyone)

    async def revoke_token(self, token_id: str, now: datetime, actor: Provenance = NOBODY_SAYS) -> bool:
        """See `Gate`."""
        return await self._write(NOBODY, partial(tokens.revoke, token_id=token_id, now=now, actor=actor))


async def _tenants(tx: Transaction) -> list[str]:
    return [row[0] for row in await tx.rows("SELECT name FROM tenants ORDER BY name")]
