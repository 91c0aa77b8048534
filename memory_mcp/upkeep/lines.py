"""A memory as a line of JSON: how an export holds it, and what an import makes of it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from memory_mcp.errors import RequestError
from memory_mcp.knowledge.identities import identity
from memory_mcp.models import Caller, Draft, Memory, Scope
from memory_mcp.remember import door
from memory_mcp.remember.drafts import RememberRequest, draft
from memory_mcp.remember.hygiene import Policy, cleaned

MAX_LINE_BYTES = 8 << 20
"""Of a memory of the largest size, everything written as escapes."""
_REQUEST = ("content", "kind", "domain", "tags", "metadata", "key", "session_id", "importance", "retention", "occurred_at")
_PAST = ("superseded_by", "forgotten_at")
_KNOWN = {*_REQUEST, *_PAST, "id", "namespace", "confidence", "created_at", "valid_from", "valid_to", "expires_at", "provenance"}
_TYPES: Mapping[str, type | tuple[type, ...]] = {"tags": list, "metadata": dict, "importance": (int, float), "confidence": (int, float)}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file, read and checked but for what the door checks.

    Attributes:
        number: Counted from 1.
        id: Of the memory that it was written from, if it says so.
        fault: What is wrong with it, in words; empty if nothing is.
    """

    number: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    id: UUID | None = None
    fault: str = ""


def written(memory: Memory) -> str:
    """The line of a memory; what is empty is left out."""

    def moment(value: datetime | None) -> str:
        return "" if value is None else value.isoformat()

    fields = {
        "id": str(memory.id),
        "namespace": memory.scope.namespace,
        "content": memory.content,
        "kind": memory.kind,
        "domain": memory.domain,
        "tags": list(memory.tags),
        "metadata": dict(memory.metadata),
        "key": memory.key,
        "session_id": memory.session_id,
        "importance": memory.importance,
        "confidence": memory.confidence,
        "retention": memory.retention,
        "created_at": moment(memory.created_at),
        "occurred_at": moment(memory.occurred_at),
        "valid_from": moment(memory.valid_from) if memory.valid_from != memory.when else "",
        "valid_to": moment(memory.valid_to),
        "expires_at": moment(memory.expires_at),
        "superseded_by": str(memory.superseded_by or ""),
        "forgotten_at": moment(memory.forgotten_at),
        "provenance": {name: value for name in ("client", "user", "agent", "source") if (value := getattr(memory.provenance, name))},
    }
    return json.dumps({name: value for name, value in fields.items() if value not in ("", [], {})}, ensure_ascii=False)


def read(number: int, text: bytes) -> Line:
    """The line of that number."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return Line(number, fault="it is not JSON; if it is the last line, the file may have been cut off")
    if not isinstance(fields, dict) or not isinstance(fields.get("content"), str):
        return Line(number, fault="it is no object with a text `content`")
    if unknown := sorted(fields.keys() - _KNOWN):
        return Line(number, fault=f"it has a field {unknown[0][:40]!r}; there are: {', '.join(sorted(_KNOWN))}")
    for name, value in fields.items():
        if name != "provenance" and (isinstance(value, bool) or not isinstance(value, _TYPES.get(name, str))):
            return Line(number, fault=f"its {name} is of the wrong type")
    if not all(isinstance(tag, str) for tag in fields.get("tags", ())):
        return Line(number, fault="its tags are not all texts")
    try:
        return Line(number, fields, UUID(fields["id"]) if fields.get("id") else None)
    except ValueError:
        return Line(number, fault="its id is none")


def is_past(line: Line, now: datetime) -> bool:
    """Whether it is of a memory that was an answer no more: superseded, forgotten, or expired by now."""
    expires = door.moment(line.fields.get("expires_at", ""), "expires_at")
    return any(line.fields.get(name) for name in _PAST) or (expires is not None and expires <= now)


def drafted(line: Line, scope: Scope, caller: Caller, now: datetime, policy: Policy) -> Draft:
    """The draft of a memory that was exported, with its dates, under a new id.

    Raises:
        RequestError: A value is not allowed, or holds a secret that the policy refuses.
    """
    fields = line.fields
    request = RememberRequest(**{name: fields[name] for name in _REQUEST if name in fields})
    clean, _ = cleaned(request, policy)
    clean = replace(clean, identity=identity(clean.kind, clean.content, clean.tags, clean.metadata))
    made = draft(clean, scope, caller, now)
    created = door.moment(fields.get("created_at", ""), "created_at")
    if created is not None and created > now:
        raise RequestError("its created_at lies in the future")
    return replace(
        made,
        created=created,
        confidence=door.fraction(fields.get("confidence", made.confidence), "confidence"),
        valid_from=door.moment(fields.get("valid_from", ""), "valid_from"),
        expires_at=door.moment(fields.get("expires_at", ""), "expires_at") or made.expires_at,
    )
