"""`memory-mcp remember|recall|browse|insights|forget`: the tools, for people and scripts."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from memory_mcp.cli.asking import conversation
from memory_mcp.cli.options import AsJson, DataDir, Namespace
from memory_mcp.cli.printed import say_json
from memory_mcp.counted import counted
from memory_mcp.errors import RequestError

Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Only this kind; may be repeated.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Only with this tag; may be repeated.")]

_VERDICT_STYLES = {"strong": "bold green", "weak": "bold yellow", "none": "bold red"}
_SHOWN_BESIDE = ("namespace", "key", "tags", "superseded_by")


def remember(
    text: Annotated[str, typer.Argument(help="One statement; - or nothing: read from stdin.")] = "-",
    kind: Annotated[str, typer.Option("--kind", help="fact, decision, rule, error, ...")] = "fact",
    tags: Annotated[list[str] | None, typer.Option("--tag", help="May be repeated.")] = None,
    key: Annotated[str, typer.Option("--key", help="Has one current value; a new one replaces the old.")] = "",
    supersedes: Annotated[list[str] | None, typer.Option("--supersedes", help="Id of a memory that this replaces.")] = None,
    importance: Annotated[float, typer.Option("--importance", min=0.0, max=1.0)] = 0.5,
    session: Annotated[str, typer.Option("--session", help="What belongs to one conversation.")] = "",
    occurred_at: Annotated[str, typer.Option("--occurred-at", help="ISO date or time, if not now.")] = "",
    expires_in: Annotated[str, typer.Option("--expires-in", help="Like 7d or 12h, or until a date.")] = "",
    data_dir: DataDir = None,
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Store a text."""
    given = {
        "content": _read() if text == "-" else text,
        "kind": kind,
        "tags": tags or [],
        "key": key,
        "supersedes": supersedes or [],
        "importance": importance,
        "session_id": session,
        "occurred_at": occurred_at,
        "expires_in": expires_in,
    }
    with conversation(data_dir, namespace) as engine:
        facts, told = engine.call("remember", given)
    _print(facts, told, as_json=as_json)


def recall(
    query: Annotated[list[str] | None, typer.Argument(help="What to know, in plain words; nothing: the newest.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100)] = 8,
    kinds: Kinds = None,
    tags: Tags = None,
    since: Annotated[str, typer.Option("--since", help="ISO date or time.")] = "",
    until: Annotated[str, typer.Option("--until", help="ISO date or time.")] = "",
    as_of: Annotated[str, typer.Option("--as-of", help="What was true then: ISO date (its end) or time.")] = "",
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Search every namespace.")] = False,
    min_score: Annotated[float, typer.Option("--min-score", min=0.0, max=1.0)] = 0.0,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=50, max=20_000)] = 5_000,
    explain: Annotated[bool, typer.Option("--explain", help="Show how each score came about.")] = False,
    data_dir: DataDir = None,
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Search the memories for what answers a question."""
    given = {
        "query": " ".join(query or []),
        "limit": limit,
        "kind": kinds or [],
        "tags": tags or [],
        "since": since,
        "until": until,
        "as_of": as_of,
        "namespace": "*" if everywhere else "",
        "min_score": min_score,
        "max_tokens": max_tokens,
        "explain": explain,
    }
    with conversation(data_dir, namespace) as engine:
        facts, _ = engine.call("recall", given)
    if as_json:
        say_json(facts)
    else:
        _print_hits(facts)


def browse(
    state: Annotated[str, typer.Option("--state", help="live, archived, superseded, forgotten (the trash) or all.")] = "live",
    kinds: Kinds = None,
    tags: Tags = None,
    since: Annotated[str, typer.Option("--since", help="ISO date or time.")] = "",
    until: Annotated[str, typer.Option("--until", help="ISO date or time.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100)] = 20,
    cursor: Annotated[str, typer.Option("--cursor", help="From the last page, for the next.")] = "",
    everywhere: Annotated[bool, typer.Option("--everywhere", help="In every namespace.")] = False,
    data_dir: DataDir = None,
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Page through what is stored, newest first, also what is no answer any more."""
    given = {"state": state, "kind": kinds or [], "tags": tags or [], "since": since, "until": until, "limit": limit, "cursor": cursor}
    with conversation(data_dir, namespace, all_tools=True) as engine:
        facts, _ = engine.call("browse", {**given, "namespace": "*" if everywhere else "", "max_tokens": 20_000})
    if as_json:
        say_json(facts)
        return
    console = Console(soft_wrap=not sys.stdout.isatty())
    console.print(Text(f"{len(facts['memories'])} in {facts['namespace']}", "bold"))
    for entry in facts["memories"]:
        console.print(Text(f"\n{entry['text'].rstrip()}"))
        console.print(Text("      " + "; ".join([*_beside(entry), f"id {entry['id']}"]), "dim"))
    if "cursor" in facts:
        console.print(Text(f"\nThere are older ones: add --cursor {facts['cursor']}", "dim"))


def insights(
    days: Annotated[int, typer.Option("--days", min=1, max=3_650, help="How far to look back.")] = 30,
    data_dir: DataDir = None,
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """What a project's memory shows: errors that came again, decisions without outcome, questions that found nothing."""
    with conversation(data_dir, namespace, all_tools=True) as engine:
        facts, told = engine.call("insights", {"days": days, "max_tokens": 5_000})
    _print(facts, told, as_json=as_json)


def forget(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of memories.")] = None,
    kinds: Kinds = None,
    tags: Tags = None,
    before: Annotated[str, typer.Option("--before", help="Only what happened before this ISO date or time.")] = "",
    undo: Annotated[str, typer.Option("--undo", help='Number of an operation to reverse, or last, or "last 3".')] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Take memories out of all answers; --undo brings them back."""
    given: dict[str, Any] = {"ids": ids or [], "kind": kinds or [], "tags": tags or [], "before": before, "undo": undo}
    with conversation(data_dir, namespace) as engine:
        facts, told = engine.call("forget", given)
        if facts.get("confirm"):
            _confirm(facts, yes=yes, as_json=as_json)
            facts, told = engine.call("forget", {**given, "confirm": facts["confirm"]})
    _print(facts, told, as_json=as_json)


def _confirm(facts: Mapping[str, Any], *, yes: bool, as_json: bool) -> None:
    console = Console(stderr=as_json)
    count = facts["would_forget"]
    console.print(Text(f"{counted(count, 'memory')} in {facts['namespace']} would be forgotten:", "bold"))
    for entry in facts["sample"]:
        console.print(Text(f"  {' '.join(entry['line'].split())}"))
    if count > len(facts["sample"]):
        console.print(Text(f"  and {count - len(facts['sample']):,} more", "dim"))
    if yes:
        return
    if not sys.stdin.isatty():
        raise RequestError("Nothing was forgotten. Add --yes to forget them.")
    if not typer.confirm("Forget them?"):
        raise RequestError("Nothing was forgotten.")


def _read() -> str:
    if sys.stdin.isatty():
        raise RequestError("Give the text to remember, or pipe it in.")
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n")  # which a shell adds
    except UnicodeDecodeError:
        raise RequestError("What was piped in is not UTF-8 text.") from None


def _print(facts: Mapping[str, Any], told: str, *, as_json: bool) -> None:
    if as_json:
        say_json(facts)
    else:
        Console(soft_wrap=not sys.stdout.isatty()).print(Text(told))


def _beside(entry: Mapping[str, Any]) -> list[str]:
    """What is told of a memory beside its text."""
    beside = [entry["kind"], *([entry["state"]] if "state" in entry else []), f"{entry['when']}, {entry['age']}"]
    beside += [f"{name} {', '.join(entry[name]) if name == 'tags' else entry[name]}" for name in _SHOWN_BESIDE if name in entry]
    return beside + [f"{name} {_plain(value)}" for name, value in entry.get("metadata", {}).items()]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_hits(facts: Mapping[str, Any]) -> None:
    console = Console(soft_wrap=not sys.stdout.isatty())
    console.print(Text.assemble((facts["verdict"], _VERDICT_STYLES[facts["verdict"]]), f" in {facts['namespace']}"))
    if "hint" in facts:
        console.print(Text(facts["hint"]))
    for hit in facts["hits"]:
        beside = _beside(hit)
        beside += [f"worked {hit['worked']} of {hit['tried']} times"] if "tried" in hit else []
        beside += [f"{len(hit['same_again'])} more say the same"] if "same_again" in hit else []
        beside += [", ".join(f"{name} {part:+}" for name, part in hit["explain"].items())] if "explain" in hit else []
        console.print(Text.assemble("\n", (f"{hit['score']:.2f}  ", "cyan"), hit["text"].rstrip()))
        console.print(Text("      " + "; ".join([*beside, f"id {hit['id']}"]), "dim"))
    for sentence in facts.get("degraded", ()):
        console.print(Text(f"\n{sentence}", "yellow"))
