"""What the set `learning` answers, in both forms and within the budget."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mcp.types import CallToolResult

from memory_mcp.answers import ErrorSeen, Outcome
from memory_mcp.counted import counted
from memory_mcp.knowledge.failures import in_a_line
from memory_mcp.knowledge.insights import Insights
from memory_mcp.knowledge.solutions import Solution
from memory_mcp.models import Asked, Memory, Recalled, Tally
from memory_mcp.recall.excerpts import excerpt
from memory_mcp.server.render import (
    CAUTIONS,
    COUNT_TOKENS,
    DATA_NOTE,
    TOO_SMALL,
    cautions,
    fitting,
    line,
    quoted,
    result,
    shown,
    size,
    warnings,
)

_SHOWN = 5
"""Solutions beside a recorded error, and entries of each heading of the insights."""
_LINE_CHARACTERS = 160


def error_seen(seen: ErrorSeen, now: datetime) -> CallToolResult:
    """The answer to `record_error`."""
    added = seen.receipt.added
    again = added.status == "already_known"
    facts: dict[str, Any] = {"id": str(added.id), "status": "seen_again" if again else added.status, "times": seen.times}
    facts["namespace"] = seen.receipt.namespace
    met = f"met {counted(seen.times, 'time')}" if again else "met for the first time"
    lines = [f"{facts['status']} in {seen.receipt.namespace}: {met}; id {added.id}"]
    if seen.receipt.pending:
        facts["pending"] = seen.receipt.pending
        lines.append(f"pending: {seen.receipt.pending}")
    if seen.receipt.redacted:
        facts["redacted"] = list(seen.receipt.redacted)
        lines.append(f"redacted, and not stored: {', '.join(seen.receipt.redacted)}")
    if seen.solutions:
        facts["solutions"] = fitting([_entry(one, now, seen.receipt.namespace) for one in seen.solutions[:_SHOWN]], 1_000)
        lines += [f"what was told to help, the most proven first. {DATA_NOTE}", *map(line, facts["solutions"])]
    return result(facts, lines)


def solutions(found: Sequence[Solution], now: datetime, namespace: str, max_tokens: int) -> CallToolResult:
    """The answer to `find_solution`."""
    hint = TOO_SMALL if found else "nothing is known that helps. Once it is solved, tell by record_error with solution what helped."
    none = result({"namespace": namespace, "solutions": [], "hint": hint}, [f"none in {namespace}: {hint}"])
    kept = fitting([_entry(one, now, namespace) for one in found], max_tokens - size(_solutions(namespace, [])) - COUNT_TOKENS)
    return _solutions(namespace, kept) if kept else none


def _solutions(namespace: str, kept: list[dict[str, Any]]) -> CallToolResult:
    head = f"{len(kept)} in {namespace}, the most proven first; tell by report_outcome whether it worked. {DATA_NOTE}"
    return result({"namespace": namespace, "solutions": kept}, [head, *map(line, kept)])


def outcome(told: Outcome) -> CallToolResult:
    """The answer to `report_outcome`."""
    facts = {"id": str(told.memory.id), **_record(told.tally), "expected": round(told.success.expected, 2)}
    words = f"{facts['worked']} of {facts['tried']} worked; the next one works with a chance of {facts['expected']}"
    return result(facts, [f"counted: {words}; id {told.memory.id}"])


def insights(found: Insights, namespace: str, days: int, max_tokens: int) -> CallToolResult:
    """The answer to `insights`: each heading by its most telling entries, as many as the budget allows."""
    head: dict[str, Any] = {"namespace": namespace, "days": days, "grew": dict(found.grew)}
    grew = ", ".join(counted(count, kind) for kind, count in found.grew.items()) or "nothing"
    lines = [f"{namespace}, {counted(days, 'day')}. {DATA_NOTE}", f"new: {grew}"]
    if found.calibration is not None:
        own = found.calibration
        head["decisions_with_outcome"] = {
            "decisions": own.decisions,
            "mean_confidence": round(own.stated, 2),
            "worked": round(own.worked, 2),
            "brier": round(own.brier, 3),
        }
        lines.append(
            f"{counted(own.decisions, 'decision')} with confidence and outcome: mean confidence {own.stated:.2f}, worked {own.worked:.2f}, "
            f"Brier score {own.brier:.3f}"
        )
    sections = {
        "errors that came again": [_brief(memory, times=times) for memory, times in found.recurring],
        "unsolved errors": [_brief(memory) for memory in found.unsolved],
        "decisions without outcome": [_brief(memory) for memory in found.undecided],
        "questions that found nothing": list(map(_question, found.unanswered)),
        "questions asked again": list(map(_question, found.frequent)),
        "rules never recalled": [_brief(memory) for memory in found.unused_rules],
        "recalled most": [_brief(memory, recalled=memory.recalled_count) for memory in found.most_recalled],
    }
    for per_heading in range(_SHOWN, -1, -1):
        shown_sections = {name: (len(entries), entries[:per_heading]) for name, entries in sections.items() if entries}
        facts = {**head, **{name.replace(" ", "_"): {"total": total, "first": first} for name, (total, first) in shown_sections.items()}}
        answer = result(facts, [*lines, *_headings(shown_sections)])
        if size(answer) <= max_tokens:
            return answer
    nothing = {"namespace": namespace, "days": days, "grew": {}, "hint": TOO_SMALL}
    return result(nothing, [f"{namespace}, {counted(days, 'day')}: {TOO_SMALL}"])


def _headings(sections: Mapping[str, tuple[int, Sequence[Mapping[str, Any]]]]) -> Iterable[str]:
    for name, (total, entries) in sections.items():
        yield f"{name}: {total}" if len(entries) == total else f"{name}: {total}, of which"
        for entry in entries:
            facts = [f"{key} {value}" for key, value in entry.items() if key not in ("text", *CAUTIONS)]
            yield f"- {quoted(entry['text'], entry)} ({'; '.join([*warnings(entry), *facts])})"


def _entry(solution: Solution, now: datetime, namespace: str) -> dict[str, Any]:
    entry = shown(Recalled(solution.memory, solution.likeness), now, namespace)
    entry["tags"] = [tag for tag in entry.get("tags", ()) if not tag.startswith("error:")]
    for name in ("worked", "tried"):  # which stand in the record below, also where they are 0
        entry.pop(name, None)
    facts: dict[str, Any] = {"for": "this error" if solution.same else "", **_record(solution.tally), "seconds": solution.seconds}
    return {name: value for name, value in {**entry, "metadata": {**entry.get("metadata", {}), **_given(facts)}}.items() if value != []}


def _given(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in facts.items() if value not in ("", None)}


def _record(tally: Tally) -> dict[str, int]:
    return {"worked": tally.good, "tried": tally.good + tally.bad}


def _brief(memory: Memory, **more: int) -> dict[str, Any]:
    text = excerpt(in_a_line(memory.content) if memory.kind == "error" else memory.content, _LINE_CHARACTERS)
    return {"text": text, **cautions(text), **more, "when": memory.when.date().isoformat(), "id": str(memory.id)}


def _question(asked: Asked) -> dict[str, Any]:
    return {
        "text": asked.text,
        **cautions(asked.text),
        "times": asked.times,
        "unanswered": asked.unanswered,
        "last": asked.last.strftime("%Y-%m-%d"),
    }
