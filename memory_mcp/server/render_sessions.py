"""The sessions of a namespace, in both forms."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mcp.types import CallToolResult

from memory_mcp.counted import counted
from memory_mcp.recall.sessions import Session
from memory_mcp.server.render import DATA_NOTE, age, cautions, quoted, result, warnings


def sessions(found: Sequence[Session], now: datetime, namespace: str) -> CallToolResult:
    """The answer to `stats` for the section `sessions`."""
    entries = [_entry(one, now) for one in found]
    head = (
        f"{counted(len(entries), 'session')} in {namespace}, the latest first. {DATA_NOTE}"
        if entries
        else f"No sessions in {namespace} yet."
    )
    return result({"namespace": namespace, "sessions": entries}, [head, *map(_line, entries)])


def _entry(session: Session, now: datetime) -> dict[str, Any]:
    entry: dict[str, Any] = {"title": session.title, **({"session_id": session.name} if session.name else {})}
    entry |= {"began": _minute(session.began), "ended": _minute(session.ended), "age": age(session.ended, now)}
    return entry | {"memories": sum(session.kinds.values()), "kinds": dict(session.kinds), **cautions(session.title, session.name)}


def _line(entry: dict[str, Any]) -> str:
    kinds = ", ".join(counted(count, kind) for kind, count in entry["kinds"].items())
    until = entry["ended"] if entry["ended"][:10] != entry["began"][:10] else entry["ended"][11:]
    facts = [f"{entry['began']} to {until} UTC, {entry['age']}", kinds]
    facts += [f"session {quoted(entry['session_id'], entry)}"] if "session_id" in entry else []
    return f"- {quoted(entry['title'], entry)} ({'; '.join([*facts, *warnings(entry)])})"


def _minute(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "minutes")
