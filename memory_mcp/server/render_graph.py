"""What the set `graph` answers, in both forms and within the budget."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mcp.types import CallToolResult

from memory_mcp.answers import Explored, Related
from memory_mcp.counted import counted
from memory_mcp.hygiene.hidden import shown_openly
from memory_mcp.knowledge.neighbourhood import Fact, ended
from memory_mcp.models import Recalled
from memory_mcp.server.render import DATA_NOTE, cautions, cost, fitting, line, quoted, result, shown, size, tokens, warnings
from memory_mcp.text.entities import Statement

_LEFT_OUT_TOKENS = 15
"""What saying how many relations are left out costs at most."""
_HINT_TOKENS = 25
"""And that nothing is known."""
_LEAST_FOR_MEMORIES = 120
_IDS_SHOWN = 3
_NAMES_SHOWN = 10
_NAMES_SHARE = 8
"""Of the budget an eighth is for names of each sort: types, other names, longer ones."""


def related(done: Sequence[Related]) -> CallToolResult:
    """The answer to `relate`."""
    entries = [
        {
            "relation": _words(one.statement),
            "status": one.status,
            "memory": str(one.memory),
            **({} if one.operation is None else {"operation": one.operation}),
        }
        for one in done
    ]
    lines = [
        f"{entry['status']}: {entry['relation']} (memory {entry['memory']}"
        + (f", operation {entry['operation']})" if "operation" in entry else ")")
        for entry in entries
    ]
    return result({"relations": entries}, lines)


def explored(found: Explored, now: datetime, max_tokens: int) -> CallToolResult:
    """The answer to `explore`: relations get what they need, as long as the memories keep half, or all that they need."""
    facts: dict[str, Any] = {"entity": found.name, "namespace": found.namespace}
    facts |= cautions(found.name, *found.types, *found.aliases, *(one.name for one in found.others))
    name = quoted(found.name, facts)
    others = [one.name for one in found.others]
    if not found.memories and not found.facts:
        others = _names(others, max_tokens - tokens(json.dumps(facts, ensure_ascii=False)) - _HINT_TOKENS)
        hint = "nothing is known of it" + (": did you mean one of these?" if others else ". Try recall.")
        facts |= {"hint": hint, **({"others": others} if others else {})}
        return result(facts, [f"{name} in {found.namespace}: {hint}", *(f"- {quoted(one, facts)}" for one in others)])
    share = max_tokens // _NAMES_SHARE
    names = {"type": _names(found.types, share), "also_called": _names(found.aliases, share)}
    facts |= {name: values for name, values in names.items() if values}
    called = f", also called {quoted(', '.join(names['also_called']), facts)}" if names["also_called"] else ""
    kinds = f" ({quoted(', '.join(names['type']), facts)})" if names["type"] else ""
    lines = ["; ".join([f"{name}{kinds}{called}, in {found.namespace}", *warnings(facts)]) + f". {DATA_NOTE}"]
    if others := _names(others, share):
        facts["others"] = others
        lines.append(f"only words of these texts; known by a longer name: {quoted(', '.join(facts['others']), facts)}")
    entries = [shown(Recalled(memory, 1.0), now, found.namespace, scored=False) for memory in found.memories]
    bare = result({**facts, "relations": [], "memories": []}, lines)
    budget = max_tokens - size(bare) - (_LEFT_OUT_TOKENS if found.facts else 0)
    needed = sum(map(cost, entries))
    relations = _within([_entry(fact, now) for fact in found.facts], budget - min(needed, budget // 2))
    facts["relations"] = relations
    lines += [_line(entry) for entry in relations]
    if len(relations) < len(found.facts):
        facts["relations_left_out"] = len(found.facts) - len(relations)
        lines.append(f"{counted(facts['relations_left_out'], 'more relation')}: raise max_tokens")
    left = budget - sum(map(_relation_cost, relations))
    facts["memories"] = fitting(entries, left) if left >= min(needed, _LEAST_FOR_MEMORIES) else []
    lines += [line(entry) for entry in facts["memories"]]
    return result(facts, lines)


def _names(names: Sequence[str], budget: int) -> list[str]:
    """The first that fit."""
    kept = []
    for name in names[:_NAMES_SHOWN]:
        budget -= tokens(shown_openly(json.dumps(name, ensure_ascii=False))) + 1
        if budget < 0:
            break
        kept.append(name)
    return kept


def _entry(fact: Fact, now: datetime) -> dict[str, Any]:
    statement = fact.statement
    entry: dict[str, Any] = {"relation": " | ".join((statement.subject, statement.predicate, statement.object))}
    optional = {
        "from": "" if statement.valid_from is None else statement.valid_from.date().isoformat(),
        "until": "" if statement.valid_to is None else statement.valid_to.date().isoformat(),
        "ended": ended(statement, now),
        "depth": fact.depth + 1 if fact.depth else 0,
    }
    entry |= {name: value for name, value in optional.items() if value} | cautions(entry["relation"])
    entry["memories"] = [str(memory) for memory in fact.memories[:_IDS_SHOWN]]
    return entry


def _line(entry: Mapping[str, Any]) -> str:
    told = [f"{name} {entry[name]}" for name in ("from", "until") if name in entry]
    told += ["ended"] if "ended" in entry else []
    told += [f"{entry['depth']} away"] if "depth" in entry else []
    told += [*warnings(entry), "memories " + ", ".join(entry["memories"])]
    return f"- {quoted(entry['relation'], entry)} ({'; '.join(told)})"


def _words(statement: Statement) -> str:
    dates = [f"{name} {moment.date()}" for name, moment in (("from", statement.valid_from), ("until", statement.valid_to)) if moment]
    return " ".join([" | ".join((statement.subject, statement.predicate, statement.object)), *dates])


def _within(entries: Sequence[dict[str, Any]], budget: int) -> list[dict[str, Any]]:
    """The first that fit."""
    kept = []
    for entry in entries:
        budget -= _relation_cost(entry)
        if budget < 0:
            break
        kept.append(entry)
    return kept


def _relation_cost(entry: Mapping[str, Any]) -> int:
    return max(tokens(_line(entry)), tokens(json.dumps(entry, ensure_ascii=False))) + 1
