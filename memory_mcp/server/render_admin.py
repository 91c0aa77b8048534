"""What the set `admin` answers, in both forms and within the budget."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mcp.types import CallToolResult

from memory_mcp.answers import Browsed, ToErase
from memory_mcp.counted import counted
from memory_mcp.models import Memory, Operation, Recalled, Scope
from memory_mcp.pages import Behind
from memory_mcp.server.cursors import Cursors
from memory_mcp.server.render import (
    COUNT_TOKENS,
    DATA_NOTE,
    TOO_SMALL,
    brief,
    brief_line,
    fitting,
    line,
    result,
    shown,
    size,
    tokens,
)
from memory_mcp.server.render_whole import done_by
from memory_mcp.states import State, state_in_words

if TYPE_CHECKING:  # a handshake does not wait for what they bring along
    from memory_mcp.upkeep.erasing import Erased
    from memory_mcp.upkeep.exporting import Saved
    from memory_mcp.upkeep.maintenance import Tidied

_HEAD_TOKENS = 80
_SAMPLE_CHARACTERS = 100


def browsed(page: Browsed, now: datetime, *, max_tokens: int, cursors: Cursors) -> CallToolResult:
    """The answer to `browse`."""
    entries = [_entry(memory, now, page.namespace) for memory in page.memories]
    ends = [cursors.write(Behind(one.when, one.id)) for one in page.memories]
    room = max_tokens - size(_page(page, [], "", ends[-1] if ends else "")) - COUNT_TOKENS
    kept = fitting(entries, room)
    hint = "" if kept else TOO_SMALL if entries else "Nothing of that kind."
    more = kept and (page.more or len(kept) < len(entries))
    return _page(page, kept, hint, ends[len(kept) - 1] if more else "")


def _page(page: Browsed, kept: list[dict[str, Any]], hint: str, cursor: str) -> CallToolResult:
    facts: dict[str, Any] = {"namespace": page.namespace, "memories": kept}
    lines = [f"{len(kept)} in {page.namespace}, newest first. {DATA_NOTE}", *map(line, kept)]
    if hint:
        facts["hint"] = hint
        lines = [f"0 in {page.namespace}. {hint}"]
    if cursor:
        facts["cursor"] = cursor
        lines.append(f"more: cursor {cursor}")
    return result(facts, lines)


def _entry(memory: Memory, now: datetime, namespace: str) -> dict[str, Any]:
    entry = shown(Recalled(memory, 0.0), now, namespace, scored=False)
    return entry | ({"state": state} if (state := state_in_words(memory, now)) else {})


def namespaces(found: Mapping[Scope, Mapping[State, int]], max_tokens: int) -> CallToolResult:
    """How much there is where, the fullest first."""
    ranked = sorted(found.items(), key=lambda pair: (-pair[1].get("live", 0), pair[0].namespace))
    entries = [{"namespace": scope.namespace, **held} for scope, held in ranked]
    said = [f"- {scope.namespace}: {', '.join(f'{count:,} {state}' for state, count in held.items())}" for scope, held in ranked]
    return _listed("namespace", entries, said, max_tokens)


def operations(entries: Sequence[Operation], max_tokens: int) -> CallToolResult:
    """The log, newest first."""
    told = [
        {
            "operation": one.number,
            "at": one.at.isoformat(timespec="seconds"),
            "what": done_by(one),
            "namespace": one.scope.namespace,
            "memories": len(one.subjects),
            **({"undoes": one.undoes} if one.undoes is not None else {}),
            **({"undone_by": one.undone_by} if one.undone_by is not None else {}),
        }
        for one in entries
    ]
    said = [
        f"- operation {one['operation']}: {one['what']}, {one['memories']} in {one['namespace']}, {one['at']}"
        + (f"; undoes {one['undoes']}" if "undoes" in one else "")
        + (f"; undone by {one['undone_by']}" if "undone_by" in one else "")
        for one in told
    ]
    return _listed("operation", told, said, max_tokens)


def _listed(name: str, entries: Sequence[Mapping[str, Any]], said: Sequence[str], max_tokens: int) -> CallToolResult:
    """As many as the budget allows in either form, and how many there are."""
    kept, left = 0, max_tokens - _HEAD_TOKENS // 2
    for entry, words in zip(entries, said, strict=True):
        left -= max(tokens(str(entry)), tokens(words)) + 1
        if left < 0:
            break
        kept += 1
    head = f"{kept} of {counted(len(entries), name)}" if kept < len(entries) else counted(kept, name)
    return result({f"{name}s": list(entries[:kept]), "total": len(entries)}, [head, *said[:kept]])


def saved(made: "Saved", what: str) -> CallToolResult:
    """The answer to an export or a backup."""
    facts = {"file": made.path, "memories": made.memories, "bytes": made.size_bytes}
    size = f"{counted(made.memories, 'memory')}, {counted(made.size_bytes, 'byte')}"
    return result(facts, [f"{what}: {size}, in {made.path} of the data directory"])


def tidied(done: "Tidied", token: str) -> CallToolResult:
    """The answer to maintenance, whether it was done or would be."""
    counts = {
        "kept_for_good": sum(len(plan.promote) for plan in done.plans.values()),
        "archived": sum(len(plan.archive) for plan in done.plans.values()),
        "merged": sum(len(others) for plan in done.plans.values() for _, others in plan.merge),
        "emptied_from_trash": done.purged,
    }
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count) or "nothing to do"
    if token:
        examples = [brief(one, _SAMPLE_CHARACTERS) for plan in done.plans.values() for one in _some(plan.archive, plan.merge)][:5]
        facts: dict[str, Any] = {"would": counts, "sample": examples, "confirm": token}
        lines = [f"Dry run: {told}. Call again with confirm: {token} to do it; all but the trash can be undone."]
        return result(facts, [*lines, *map(brief_line, examples)])
    numbers = [operation.number for operation in done.operations]
    facts = {"done": counts, "operations": numbers[:100]}
    undo = f"; undo takes each of the operations {', '.join(map(str, numbers[:100]))}" if numbers else ""
    return result(facts, [f"maintenance: {told}{undo}"])


def _some(archive: Sequence[Memory], merge: Sequence[tuple[Memory, Sequence[Memory]]]) -> list[Memory]:
    return [*archive[:3], *(kept for kept, _ in merge[:3])]


def to_erase(meant: ToErase) -> CallToolResult:
    """The dry run of an erasure: what it will reach."""
    if not meant.count:
        return result({"would_erase": 0}, ["No memory is meant by this; nothing to erase."])
    where = ", ".join(f"{count:,} in {namespace}" for namespace, count in list(meant.by_namespace.items())[:20])
    facts: dict[str, Any] = {
        "would_erase": meant.count,
        "namespaces": dict(list(meant.by_namespace.items())[:20]),
        "sample": [brief(memory, _SAMPLE_CHARACTERS) for memory in meant.sample],
        "confirm": meant.token,
    }
    lines = [
        f"Would erase {counted(meant.count, 'memory')} for good, past forms and forgotten ones included: {where}. It reaches every tier "
        f"and file of the data directory, exports and backups there included, and nothing brings them back. Ask the user, and only "
        f"then call again with confirm: {meant.token}.",
        *map(brief_line, facts["sample"]),
    ]
    if meant.mentions:
        facts["mentions"] = [brief(memory, _SAMPLE_CHARACTERS) for memory in meant.mentions[:10]]
        lines += [f"{len(meant.mentions)} with that name in the text would stay; to erase them, give their ids:"]
        lines += map(brief_line, facts["mentions"])
    return result(facts, lines)


def erased(done: "Erased") -> CallToolResult:
    """The answer to an erasure: what was found afterwards, and what it did not reach."""
    count, proof = sum(len(operation.subjects) for operation in done.operations), done.proof
    files = sorted({path.rpartition("/")[2] for paths in proof.found.values() for path in paths})
    facts: dict[str, Any] = {
        "erased": count,
        "operations": [operation.number for operation in done.operations],
        "proven": proof.holds,
        "looked_for": proof.strings,
        "files": proof.files,
        "found_in": files,
        "also_in_other_memories": proof.elsewhere,
        "tiers_away": list(done.away),
        "files_scoured": done.scoured,
        "copies_cleaned": len(done.copies),
        "copies_not_looked_into": [path.name for path in done.closed],
    }
    looked = f"{counted(proof.strings, 'piece')} of text in {counted(proof.files, 'file')}"
    lines = [f"erased {counted(count, 'memory')} for good; looked for {looked}"]
    lines[0] += ": nothing is left" if proof.holds else f": something is left in {', '.join(files) or 'the tables'}"
    lines += [f"{tier} is away and is told when it is back" for tier in done.away]
    lines += [] if done.scoured else ["the store's own files could not be overwritten now; a later start does it, or the database's owner"]
    lines += [f"{path.name} could not be looked into, and may hold them" for path in done.closed]
    lines.append("Not reached: backups and exports elsewhere, other processes on this store until they end, and what clients keep.")
    return result(facts, lines)
