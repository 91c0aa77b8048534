"""A store's rows as they travel from one record store to another, in a form that neither has. Standard library only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

COLUMNS = (
    "content kind domain tags metadata key session_id importance confidence short_term created updated occurred valid_from valid_to "
    "expires superseded_by forgotten fingerprint salt actor change operation"
).split()
"""Of a memory: times are microseconds since 1970 UTC, tags a list, metadata an object, ids and bytes are hex."""

FORM = (
    "kind domain tags metadata key session_id importance confidence short_term updated occurred valid_from valid_to expires "
    "superseded_by forgotten fingerprint operation"
).split()
"""Of a past form, beside its text."""


@dataclass(frozen=True, slots=True)
class CarriedVersion:
    """A past form; `vectors` as in `CarriedMemory`."""

    n: int
    operation: int
    replaced: int
    content: str | None
    form: Mapping[str, Any]
    epoch: str | None
    vectors: bytes | None


@dataclass(frozen=True, slots=True)
class CarriedMemory:
    """A memory with all that hangs on it.

    Attributes:
        vectors: A little-endian float16 row for each passage, one after the other; None where there is none.
        uses: How often it was an answer, and when last.
        outcomes: Good ones, bad ones, seconds of the timed good ones, how many those are, and when the last was told.
    """

    id: UUID
    namespace: str
    columns: Mapping[str, Any]
    epoch: str | None
    vectors: bytes | None
    uses: tuple[int, int] | None
    versions: tuple[CarriedVersion, ...] = ()
    outcomes: tuple[int, int, float, int, int] | None = None


@dataclass(frozen=True, slots=True)
class CarriedOperation:
    """An entry of the log; its hash is made anew where it arrives.

    Attributes:
        origin: Address, role, token; see `models.Origin`.
        details: A JSON object, or empty.
    """

    number: int
    namespace: str
    at: int
    action: str
    subjects: bytes
    actor: tuple[str, str, str, str]
    undoes: int | None
    origin: tuple[str, str, str] = ("", "", "")
    details: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a tenant has in a store.

    Attributes:
        scopes: The revision of each namespace.
        epochs: Name, dimension and whether it is the active one.
        operations: Entries of the log, those of other tenants included where they are numbered together.
    """

    scopes: Mapping[str, int]
    epochs: Sequence[tuple[str, int | None, bool]]
    memories: int
    operations: int


class Carrier(Protocol):
    """One tenant of a record store, to be carried from or to."""

    async def inventory(self) -> Inventory:
        """How much there is."""

    async def memories(self, after: UUID | None, limit: int) -> list[CarriedMemory]:
        """By id, those that come after one."""

    async def operations(self) -> list[CarriedOperation]:
        """The whole log, oldest first."""

    async def broken(self) -> int | None:
        """The first entry of the log that does not follow from the one before it."""

    async def prepare(self, inventory: Inventory) -> None:
        """Make the namespaces and epochs; repeating it changes nothing."""

    async def put(self, memories: Sequence[CarriedMemory]) -> None:
        """Write memories that are not there, in one transaction."""

    async def finish(self, operations: Sequence[CarriedOperation]) -> None:
        """Write the log, by which the copy is complete."""


def digest(memory: CarriedMemory) -> bytes:
    """16 bytes over everything of a memory, the same whichever store it lies in; counts of uses and outcomes go on and are left out."""
    versions = [[v.n, v.operation, v.replaced, v.content, v.form, v.epoch, _hex(v.vectors)] for v in memory.versions]
    parts = [memory.id.hex, memory.namespace, memory.columns, memory.epoch, _hex(memory.vectors), versions]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).digest()


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()
