"""Memories in full, as `get` tells them, in both forms: everything about each, and what it was before."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from mcp.types import CallToolResult

from memory_mcp.hygiene.hidden import shown_openly
from memory_mcp.models import Memory, Operation, Version
from memory_mcp.recall.excerpts import excerpt
from memory_mcp.server.render import CAUTIONS, DATA_NOTE, age, cautions, common_length, one_line, quoted, result, said, warnings
from memory_mcp.states import state_in_words
from memory_mcp.text.graphemes import whole_until
from memory_mcp.text.passages import beginning, weight

PAGE_TOKENS = 15_000
"""Of the texts in one reply: hosts refuse replies of more than 25,000 real tokens."""
_NEAR = 0.9
"""Share of a page after which it may end with a line."""


def whole(
    memories: Sequence[tuple[Memory, list[Version]]], now: datetime, log: Mapping[int, Operation] = MappingProxyType({}), start: int = 0
) -> CallToolResult:
    """The answer to `get`: everything about each memory, in full, and by the log who changed it.

    Long texts are told in pages of `PAGE_TOKENS` together, shorter ones of them whole.

    Args:
        start: Where in the texts to begin.
    """
    entries, lines = [], [DATA_NOTE]
    most = common_length([weight(memory.content[start:], PAGE_TOKENS) for memory, _ in memories], PAGE_TOKENS)
    for memory, versions in memories:
        entry = _page(everything(memory, now, log.get(memory.operation)), start, most)
        lines += [f"| {part}" for part in (shown_openly(entry["text"]) if "hidden_characters" in entry else entry["text"]).splitlines()]
        facts = [f"{name} {said(value)}" for name, value in entry.items() if name not in ("text", "next", "characters", *CAUTIONS)]
        facts += [f"the text goes on: get with start={entry['next']} (of {entry['characters']} characters)"] if "next" in entry else []
        lines.append(f"  ({one_line(shown_openly('; '.join([*facts, *warnings(entry)])))})")
        if versions:
            entry["history"] = [_past(past, memory, log.get(past.operation), most) for past in versions]
            lines += [f"  before {past['until']} ({_beside(past)}): {quoted(past['text'], past)}" for past in entry["history"]]
        entries.append(entry)
    return result({"memories": entries}, lines)


def was_changed(memory: Memory) -> bool:
    """Whether anything has changed it since it was stored; what it took the place of has not."""
    return memory.updated_at != memory.created_at or memory.superseded_by is not None


def _page(entry: dict[str, Any], start: int, most: float) -> dict[str, Any]:
    """The entry with so much of its text from there on, up to the end of a line where one is near; and where the next page begins."""
    text = entry["text"]
    part = beginning(text[start:], most)
    end = start + len(part)
    if start == 0 and end == len(text):
        return entry
    if end < len(text):
        end = text.rfind("\n", start + int(_NEAR * len(part)), end) + 1 or max(whole_until(text, end), start + 1)
    return {**entry, "text": text[start:end], "characters": len(text), **({"next": end} if end < len(text) else {})}


def _past(past: Version, memory: Memory, by: Operation | None, most: float) -> dict[str, Any]:
    """A past form, with what besides its text was otherwise than it is now; of a long one the beginning."""
    form = past.memory
    text = excerpt(form.content, len(beginning(form.content, most)))
    told: dict[str, Any] = {"text": text, "until": past.replaced_at.isoformat(timespec="seconds"), "operation": past.operation}
    told |= {} if by is None else {"by": done_by(by)}
    told |= {"id": str(form.id)} if form.id != memory.id else {}
    told |= {name: value for name, value in _attributes(form).items() if value != _attributes(memory)[name]}
    return told | cautions(form.content, *form.tags, json.dumps(dict(form.metadata), ensure_ascii=False))


def _attributes(memory: Memory) -> dict[str, Any]:
    """What `update` can change beside the text."""
    expires = None if memory.expires_at is None else memory.expires_at.isoformat(timespec="seconds")
    return {"tags": list(memory.tags), "metadata": dict(memory.metadata), "importance": memory.importance, "expires": expires}


def done_by(entry: Operation) -> str:
    """Who did it, and how far that is trusted, in words: `update by cursor, ann (conversation)`."""
    who = ", ".join(filter(None, (entry.actor.client, entry.actor.user)))
    return f"{entry.action} by {who or 'nobody named'} ({entry.actor.source})"


def _beside(told: Mapping[str, Any]) -> str:
    facts = [f"operation {told['operation']}", *([told["by"]] if "by" in told else [])]
    facts += [f"{name} {said(told[name] or 'none')}" for name in ("id", "tags", "metadata", "importance", "expires") if name in told]
    return one_line(shown_openly("; ".join([*facts, *warnings(told)])))


def everything(memory: Memory, now: datetime, changed: Operation | None = None) -> dict[str, Any]:
    """All that is known of a memory, with the entry of the log that changed it last; what is empty is left out."""

    def moment(value: datetime | None) -> str:
        return "" if value is None else value.isoformat(timespec="seconds")

    entry = {
        "id": str(memory.id),
        "text": memory.content,
        "kind": memory.kind,
        "domain": memory.domain,
        "namespace": memory.scope.namespace,
        "age": age(memory.when, now),
        "created": moment(memory.created_at),
        "updated": moment(memory.updated_at) if memory.updated_at != memory.created_at else "",
        "occurred_at": moment(memory.occurred_at),
        "valid_to": moment(memory.valid_to),
        "expires": moment(memory.expires_at),
        "state": state_in_words(memory, now),
        "key": memory.key,
        "tags": list(memory.tags),
        "metadata": dict(memory.metadata),
        "session_id": memory.session_id,
        "importance": memory.importance,
        "retention": memory.retention,
        "superseded_by": str(memory.superseded_by or ""),
        "source": memory.provenance.client,
        "source_class": memory.provenance.source,
        "author": memory.provenance.user,
        "changed": done_by(changed) if changed is not None and was_changed(memory) else "",
        "recalled": memory.recalled_count,
    }
    found = {name: value for name, value in entry.items() if value not in ("", [], {}, None, 0)}
    return found | cautions(memory.content, memory.key, *memory.tags, json.dumps(found.get("metadata", {}), ensure_ascii=False))
