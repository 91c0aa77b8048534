"""Files that are written on request, in folders of the data directory that nobody else chooses."""

import json
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import anyio
import anyio.to_thread

from memory_mcp.errors import RequestError
from memory_mcp.models import Memory
from memory_mcp.partials import clear_left_over, written_beside
from memory_mcp.upkeep.lines import written

EXPORTS, BACKUPS = "exports", "backups"
MOST_FILES = 50
"""In each folder, so that no client fills the disk."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A file that was written.

    Attributes:
        path: Relative to the data directory.
    """

    path: str
    memories: int
    size_bytes: int


BackUp = Callable[[Path], tuple[int, int]]
"""Copies the store into a new file, and says how many memories that holds, and bytes."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where exports and backups go.

    Attributes:
        back_up: None where the store has tools of its own for it.
    """

    folder: Path
    back_up: BackUp | None = None

    async def export(self, pages: AsyncIterator[Sequence[Memory]], tenant: str, now: datetime) -> Saved:
        """Write memories, a line each, into a new file that only its owner can read; it is there whole or not at all."""
        target = await anyio.to_thread.run_sync(self._place, EXPORTS, f"{tenant}-{now:%Y%m%d-%H%M%S-%f}.jsonl")
        count = await write_lines(target, pages)
        return Saved(f"{EXPORTS}/{target.name}", count, target.stat().st_size)

    async def backup(self, now: datetime) -> Saved:
        """Copy the whole store, of all tenants, into a new file.

        Raises:
            RequestError: The store is no file, or there are too many backups.
        """
        if self.back_up is None:
            raise RequestError("The memories are in PostgreSQL, which has its own tools for this: pg_dump, as the owner.")
        target = await anyio.to_thread.run_sync(self._place, BACKUPS, f"{now:%Y%m%d-%H%M%S-%f}.db")
        memories, size = await anyio.to_thread.run_sync(self.back_up, target)
        return Saved(f"{BACKUPS}/{target.name}", memories, size)

    def _place(self, kind: str, name: str) -> Path:
        folder = self.folder / kind
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink():
            raise RequestError(f"The folder {kind} of the data directory is a link to another. Nothing was written.")
        clear_left_over(folder)
        if sum(1 for _ in folder.iterdir()) >= MOST_FILES:
            raise RequestError(f"There are {MOST_FILES} files in {kind} of the data directory. Move or delete some first.")
        return folder / name


async def write_lines(target: Path, pages: AsyncIterator[Sequence[Memory]]) -> int:
    """Write memories into a file that is not there, a line each; how many. It is there whole and on the disk, or not at all.

    Raises:
        OSError: It cannot be written.
    """
    count = 0
    with beside(target) as file:
        async for page in pages:
            count += len(page)
            await anyio.to_thread.run_sync(file.writelines, [f"{written(memory)}\n".encode() for memory in page])
        await anyio.to_thread.run_sync(_sync, file)
    return count


def erase_in_exports(folder: Path, ids: Collection[UUID]) -> list[Path]:
    """Take the lines of memories out of the exports in a data directory; from which. Half written ones are removed."""
    clear_left_over(folder / EXPORTS)
    gone, cleaned = {str(memory_id) for memory_id in ids}, []
    for path in sorted((folder / EXPORTS).glob("*.jsonl")):
        lines = path.read_bytes().split(b"\n")  # which no text in them holds
        kept = [line for line in lines if _id_in(line) not in gone]
        if len(kept) < len(lines):
            with beside(path) as file:
                file.write(b"\n".join(kept))
                _sync(file)
            cleaned.append(path)
    return cleaned


@contextmanager
def beside(target: Path) -> Iterator[BinaryIO]:
    """A new file that takes the target's place at the end, or is gone on an error."""
    with written_beside(target) as partial:
        with partial.open("wb") as file:
            yield file
        os.replace(partial, target)


def _sync(file: BinaryIO) -> None:
    """See to it that all of a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _id_in(line: bytes) -> str:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):  # somebody else has written it
        return ""
    return str(fields.get("id")) if isinstance(fields, dict) else ""
