"""The list of what was erased: ids, and never a text. It lies beside the store, so that an older copy of it, put back, is
held to it. Keep it with your backups.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

FILE_NAME = "erased.ids"


class Register:
    """A file of lines `<tenant> <id>`, only ever added to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def add(self, tenant: str, ids: Iterable[UUID]) -> None:
        """Write ids down; on return they are on the disk."""
        self._append("".join(f"{tenant} {memory_id}\n" for memory_id in ids))

    def include(self, other: "Register") -> None:
        """Take over what another list has, too."""
        mine = self.read()
        for tenant, ids in other.read().items():
            self.add(tenant, [memory_id for memory_id in ids if memory_id not in mine.get(tenant, ())])

    def read(self) -> dict[str, dict[UUID, None]]:
        """The ids of each tenant in the order they were written; a line that was cut off by a crash is passed over."""
        found: dict[str, dict[UUID, None]] = {}
        try:
            lines = self.path.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        for line in lines:
            tenant, _, name = line.rpartition(" ")
            try:
                found.setdefault(tenant, {})[UUID(name)] = None
            except ValueError:
                continue
        return found

    def _append(self, text: str) -> None:
        if not text:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(handle).st_size
            cut_off = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            left = memoryview(("\n" * cut_off + text).encode())
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)
