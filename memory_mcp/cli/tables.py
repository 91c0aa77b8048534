"""Facts as tables, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from memory_mcp.cli.verdicts import Check

_MARKS = {"ok": Text("ok", "green"), "note": Text("note", "yellow"), "wrong": Text("wrong", "bold red")}


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """One row a check, its remedy below it, and a sentence for the whole."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        table.add_row(Text(check.name), _MARKS[check.state], Text(check.found))
        if check.remedy:
            table.add_row("", "", Text(f"→ {check.remedy}", "cyan"))
    console.print(table)
    wrong = sum(check.state == "wrong" for check in checks)
    console.print(Text(f"\n{wrong} of {len(checks)} checks found something wrong." if wrong else "\nAll is well.", "bold"))


def print_statistics(console: Console, facts: Mapping[str, Any]) -> None:
    """The sections of `stats`, a table each."""
    counts, model = facts["counts"], facts["model"]
    console.print(_pairs("Memories", _counts(facts["namespace"], counts)))
    console.print(_pairs("By namespace", {name: f"{count:,}" for name, count in counts["by_namespace"].items()}))
    console.print(_pairs("By kind", {name: f"{count:,}" for name, count in counts["by_kind"].items()}))
    console.print(_pairs("Tiers", {name: _line(tier) for name, tier in facts["tiers"].items()}))
    console.print(_pairs("Model", {_words(name): _shown(name, fact) for name, fact in model.items() if fact != ""}))


def _counts(namespace: str, counts: Mapping[str, Any]) -> dict[str, str]:
    shown = {"this namespace": namespace, "live": f"{counts['memories'] - counts['archived']:,}"}
    for name in ("archived", "forgotten", "superseded", "unembedded", "operations"):
        shown[_words(name)] = f"{counts[name]:,}"
    return {**shown, "on disk": size(counts["bytes_on_disk"])}


def _pairs(title: str, rows: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", min_width=16)
    table.add_column()
    for name, shown in (rows or {"none": "yet"}).items():
        table.add_row(Text(name), Text(shown))
    return table


_NAMES = {"bytes": "holds", "budget_bytes": "may hold", "path": "in", "unembedded": "found by words only"}


def _line(tier: Mapping[str, Any]) -> str:
    head = f"{tier.get('health', '')} ({tier.get('role', '')})"
    rest = [f"{_words(name)} {_shown(name, fact)}" for name, fact in tier.items() if name not in ("health", "role")]
    return ", ".join([head, *rest])


def _words(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " "))


def _shown(name: str, fact: Any) -> str:
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, Mapping):
        return " / ".join(f"{inner} {_shown(inner, part)}" for inner, part in fact.items())
    if "bytes" in name and isinstance(fact, int):
        return size(fact)
    return f"{fact:,}" if isinstance(fact, int | float) else str(fact)


def size(count: int) -> str:
    """A number of bytes in the largest unit that fits."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1024
    raise AssertionError("unreachable")
