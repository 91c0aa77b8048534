"""On whose behalf a command acts, as the log has it, and what commands enter there that change no single memory."""

import getpass
from contextlib import suppress
from typing import Any

import anyio

from memory_mcp.access import Role
from memory_mcp.assembly import open_records
from memory_mcp.audit.entries import SERVER, Origin
from memory_mcp.cli.asking import CLIENT
from memory_mcp.cli.printed import remark
from memory_mcp.clock import utc_now
from memory_mcp.config import Settings
from memory_mcp.errors import MemoryMcpError
from memory_mcp.models import Provenance


def operator() -> Provenance:
    """Whoever has the data directory and this program in hand."""
    login = ""
    with suppress(OSError, KeyError):  # a container may know none
        login = getpass.getuser()
    return Provenance(CLIENT, source="command", origin=Origin("command line", Role.ADMIN.word, f"os/{login}" if login else ""))


def note(settings: Settings, action: str, **details: Any) -> None:
    """Enter in the log of the store what was done to all of it; if that fails, it is said, and stays done."""
    try:
        anyio.run(_record, settings, action, details)
    except MemoryMcpError as error:
        remark(f"it is done, but could not be entered in the log. {error}")


async def _record(settings: Settings, action: str, details: dict[str, Any]) -> None:
    async with open_records(settings) as store:
        await store.record(SERVER, action, operator(), utc_now(), details)
