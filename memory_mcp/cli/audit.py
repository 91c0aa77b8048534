"""`memory-mcp audit ...`: who did what, when and from where, who was refused, and that nobody has changed that account."""

import json
import re
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, TextIO

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memory_mcp.assembly import open_records
from memory_mcp.audit.chain import VOUCHES, Chain
from memory_mcp.audit.entries import LogFilter
from memory_mcp.cli.configured import settings_of, with_a_store
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import say, say_json
from memory_mcp.cli.sentences import in_one_line
from memory_mcp.clock import utc_now
from memory_mcp.config import Settings
from memory_mcp.contracts import OperationLog
from memory_mcp.counted import counted
from memory_mcp.errors import RequestError
from memory_mcp.folders import expanded
from memory_mcp.models import Operation
from memory_mcp.remember import door
from memory_mcp.upkeep.exporting import beside

commands = typer.Typer(no_args_is_help=True, help="Who did what, when and from where; who was refused; and that nobody changed that log.")

_PAGE = 1_000

Since = Annotated[str, typer.Option("--since", help="From then on: a date, a time, or how long ago, like 24h or 7d.")]
Until = Annotated[str, typer.Option("--until", help="Before then; likewise.")]
Who = Annotated[str, typer.Option("--who", help="A person, client or agent, an address, or the id of a token.")]
What = Annotated[str, typer.Option("--what", help="An act, like remember or 'token create', or a tool that was refused.")]
InNamespace = Annotated[str, typer.Option("--namespace", help="That was written to, or asked for.")]
OnlyDenied = Annotated[bool, typer.Option("--denied", help="Only calls that were refused.")]
OfTenant = Annotated[str, typer.Option("--tenant", help="Of one tenant; @server: what concerns none. Left out: of all.")]


@commands.command("list")
def show(
    since: Since = "",
    until: Until = "",
    who: Who = "",
    what: What = "",
    namespace: InNamespace = "",
    denied: OnlyDenied = False,
    tenant: OfTenant = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="So many, the newest.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The newest entries, newest last."""
    with in_one_line():
        where = _filter(since, until, who, what, namespace, denied)
        found: list[Operation] = anyio.run(_newest, with_a_store(settings_of(data_dir)), tenant, where, limit)
        if as_json:
            say_json([facts(entry) for entry in found])
        else:
            Console().print(_table(found) if found else "There is no such entry.")


@commands.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where it goes, readable by you alone (default: stdout).")] = None,
    since: Since = "",
    until: Until = "",
    who: Who = "",
    what: What = "",
    namespace: InNamespace = "",
    denied: OnlyDenied = False,
    tenant: OfTenant = "",
    data_dir: DataDir = None,
) -> None:
    """Every entry as a line of JSON, oldest first, tenant by tenant."""
    with in_one_line():
        where, settings = _filter(since, until, who, what, namespace, denied), with_a_store(settings_of(data_dir))
        with _opened(file) as out:
            count = anyio.run(_write_all, settings, tenant, where, out)
        if file is not None:
            say(f"Wrote {counted(count, 'entry')} to {file}")


@commands.command()
def verify(
    anchor: Annotated[
        str, typer.Option("--anchor", help="NUMBER:HASH that an earlier verify told: finds out whether the log was made anew since.")
    ] = "",
    tenant: Annotated[str, typer.Option("--tenant", help="Whose log the anchor is of, where each tenant has one (PostgreSQL).")] = "local",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Follow the chain from the first entry to the last; exit status 1, and the first broken entry by its number, if it is broken.

    It finds what was changed, taken away, put in or moved. Who can write the whole store can also make all of it anew: keep
    what this command tells of the newest entry elsewhere, and give it as --anchor.
    """
    with in_one_line():
        number, digest = _anchor(anchor)
        chains: list[Chain] = anyio.run(_follow, with_a_store(settings_of(data_dir)), number)
        verdicts = [_verdict(chain, number, digest if chain.tenant in ("", tenant) else "") for chain in chains]
        if anchor and not any(chain.tenant in ("", tenant) for chain in chains):
            raise RequestError(f"There is no log of a tenant {tenant[:64]!r}.")
        if as_json:
            say_json([verdict.facts() for verdict in verdicts])
        else:
            for verdict in verdicts:
                say(verdict.sentence)
        if any(verdict.wrong for verdict in verdicts):
            raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one log."""

    chain: Chain
    wrong: bool
    sentence: str

    def facts(self) -> dict[str, Any]:
        """For programs."""
        chain = self.chain
        newest = {"newest": chain.newest, "hash": chain.hash}
        return {
            "tenant": chain.tenant,
            "ok": not self.wrong,
            "entries": chain.entries,
            **newest,
            "broken": chain.broken,
            "said": self.sentence,
        }


def _verdict(chain: Chain, number: int, digest: str) -> Verdict:
    whose = f"{chain.tenant}: " if chain.tenant else ""
    if chain.broken is not None:
        return Verdict(chain, True, f"{whose}broken at entry {chain.broken}: {chain.why}. Before it, {chain.entries:,} entries are sound.")
    if digest and number > chain.newest:
        return Verdict(chain, True, f"{whose}broken at entry {chain.newest + 1}: the anchor knows entry {number}, and it is not there.")
    if digest and not chain.asked:
        return Verdict(chain, True, f"{whose}entry {number} was pruned, so that the anchor proves nothing any more. The rest is sound.")
    if digest and chain.asked != digest:
        return Verdict(chain, True, f"{whose}broken at entry {number} or before: the log was made anew since the anchor was told.")
    if not chain.newest:
        return Verdict(chain, False, f"{whose}the log is empty.")
    held = " The anchor holds." if digest else ""
    sound = f"{whose}{counted(chain.entries, 'entry')}, unbroken.{held}"
    return Verdict(chain, False, f"{sound} Newest, to be kept elsewhere: {chain.newest}:{chain.hash}")


def _anchor(text: str) -> tuple[int, str]:
    match = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{40})", text.strip().lower())
    if text and not match:
        raise RequestError("--anchor is written NUMBER:HASH, as an earlier `memory-mcp audit verify` told it.")
    return (int(match[1]), match[2]) if match else (0, "")


def facts(entry: Operation) -> dict[str, Any]:
    """An entry for programs; ids of memories, never their texts."""
    actor = entry.actor
    return {
        "number": entry.number,
        "tenant": entry.scope.tenant,
        "at": entry.at.isoformat(),
        "action": entry.action,
        "namespace": entry.scope.namespace,
        "memories": [str(subject) for subject in entry.subjects],
        "user": actor.user,
        "client": actor.client,
        "agent": actor.agent,
        "source": actor.source,
        "address": actor.origin.address,
        "role": actor.origin.role,
        "token": actor.origin.token,
        "undoes": entry.undoes,
        "undone_by": entry.undone_by,
        "details": dict(entry.details),
    }


def _table(entries: Sequence[Operation]) -> Table:
    table = Table(box=None, pad_edge=False)
    several = len({entry.scope.tenant for entry in entries}) > 1
    for heading in ("no", *(["tenant"] if several else []), "when (UTC)", "who", "from", "role", "what", "where", ""):
        table.add_column(heading)
    for entry in entries:
        actor, origin = entry.actor, entry.actor.origin
        who = " ".join(name for name in (actor.user, f"({actor.client})" if actor.client else "", actor.agent) if name)
        place = entry.scope.namespace or entry.details.get("namespace", "")
        style = "yellow" if entry.action == "denied" else ""
        cells = [str(entry.number), *([entry.scope.tenant] if several else []), f"{entry.at:%Y-%m-%d %H:%M:%S}", who or "-"]
        cells += [origin.address or actor.source or "-", origin.role or "-", entry.action, str(place), _said(entry)]
        table.add_row(*(Text(_plain(cell), style) for cell in cells))
    return table


def _said(entry: Operation) -> str:
    """What else there is to know, in a few words."""
    told = {name: value for name, value in entry.details.items() if name not in (VOUCHES, "namespace", "since") and value}
    words = [f"{len(entry.subjects):,} memories" if len(entry.subjects) > 1 else str(entry.subjects[0])] if entry.subjects else []
    words += [f"undoes {entry.undoes}"] if entry.undoes else []
    words += [f"undone by {entry.undone_by}"] if entry.undone_by else []
    words += [f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in told.items()]
    words += [f"by token {entry.actor.origin.token}"] if entry.actor.origin.token else []
    return ", ".join(words)


def _plain(text: str) -> str:
    """On one line, whatever a client calls itself."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _filter(since: str, until: str, who: str, what: str, namespace: str, denied: bool) -> LogFilter:
    return LogFilter(
        since=_moment(since, "--since"),
        until=_moment(until, "--until"),
        who=who.strip(),
        what=what.strip(),
        namespace=namespace.strip(),
        denied=denied,
    )


def _moment(text: str, what: str) -> datetime | None:
    """A date or time, or one that lies so long ago."""
    if not text or (text[:4].isdigit() and "-" in text):
        return door.moment(text, what)
    now = utc_now()
    ahead = door.lifetime(text, what, now)
    try:
        return None if ahead is None else now - (ahead - now)
    except OverflowError:
        raise RequestError(f"{what} lies before the year 1. Leave it out to go back to the first entry.") from None


async def _newest(settings: Settings, tenant: str, where: LogFilter, limit: int) -> list[Operation]:
    async with open_records(settings) as store:
        found = [entry for name in await _tenants(store, tenant) for entry in await store.operations(name, limit=limit, where=where)]
    return sorted(found, key=lambda entry: (entry.at, entry.number))[-limit:]


async def _write_all(settings: Settings, tenant: str, where: LogFilter, out: TextIO) -> int:
    count = 0
    async with open_records(settings) as store:
        for name in await _tenants(store, tenant):
            async for entry in _oldest_first(store, name, where):
                out.write(json.dumps(facts(entry), ensure_ascii=False) + "\n")
                count += 1
    return count


async def _oldest_first(store: OperationLog, tenant: str, where: LogFilter) -> AsyncIterator[Operation]:
    """Every entry; where each page begins is looked for first, so that not all are in memory at once."""
    newest = await store.operations(tenant, limit=1)
    before = newest[0].number + 1 if newest else 0  # what comes meanwhile would move the pages
    bounds: list[int] = []
    while page := await store.operations(tenant, limit=_PAGE, before=before, where=where):
        bounds.append(before)
        before = page[-1].number
    for bound in reversed(bounds):
        for entry in reversed(await store.operations(tenant, limit=_PAGE, before=bound, where=where)):
            yield entry


async def _tenants(store: Any, tenant: str) -> list[str]:
    return [tenant] if tenant else list(await store.tenants())


async def _follow(settings: Settings, wanted: int) -> list[Chain]:
    async with open_records(settings) as store:
        return await store.chains(wanted)


@contextmanager
def _opened(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        return
    target = expanded(file).absolute()
    if target.exists():
        raise RequestError(f"{target} exists. Name another file.")
    # it names people and addresses, and is its owner's alone to read
    with beside(target) as raw, TextIOWrapper(raw, "utf-8", newline="\n") as out:
        yield out
