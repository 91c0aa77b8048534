"""`memory-mcp erase`: memories taken away for good, out of every tier and file."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console
from rich.text import Text

from memory_mcp.answers import EraseRequest, ToErase
from memory_mcp.cli.acting import operator
from memory_mcp.cli.configured import settings_of
from memory_mcp.cli.opened import with_memory
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import say_json
from memory_mcp.config import Settings
from memory_mcp.counted import counted
from memory_mcp.errors import RequestError
from memory_mcp.models import Caller
from memory_mcp.service import MemoryService
from memory_mcp.tiers.sqlite import presence
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.upkeep.erasing import Erased
from memory_mcp.upkeep.register import FILE_NAME as LIST_NAME

OUT_OF_REACH = (
    "Out of reach are backups and exports elsewhere. "
    f"The list {LIST_NAME} holds a backup to this erasure when it is restored: keep it with them."
)
OF_A_SERVER = (
    "The database server keeps deleted rows in its files until its owner runs VACUUM FULL on the tables of the schema memory_mcp; "
    "its write-ahead log, archives and dumps are out of reach. "
)
IN_USE = (
    "The memory store is in use, and whoever uses it may hold texts in memory. Nothing was erased. "
    "Run `memory-mcp engine stop`, and close the clients whose server runs with --isolated, then erase again."
)


def erase(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of memories.")] = None,
    person: Annotated[str, typer.Option("--person", help="All that this user wrote, or whose metadata name this person.")] = "",
    namespace: Annotated[str, typer.Option("--whole-namespace", help="All of a namespace.")] = "",
    everything: Annotated[bool, typer.Option("--everything", help="All of the tenant.")] = False,
    tenant: Annotated[str, typer.Option("--tenant", help="Whose memories, where PostgreSQL has several tenants'.")] = "local",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be erased, and leave it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take memories away for good, past forms included, out of every tier and file; nothing brings them back.

    `forget` is what can be undone. Ends with status 1 if any of it is found afterwards.
    """
    settings = settings_of(data_dir)
    request = EraseRequest(ids or [], person, namespace, everything)
    in_use = settings.records.backend == "sqlite" and _in_use(settings)
    caller = Caller(tenant, settings.namespace or "personal", operator())
    meant, done = anyio.run(_erase, settings, request, caller, dry_run, yes, as_json, in_use)
    facts = {**_of_meant(meant), **({} if done is None else _of_done(done))}
    if as_json:
        say_json(facts)
    elif done is not None:
        _tell(done, of_a_server=settings.records.backend != "sqlite")
    if done is not None and not (done.proof.holds and not done.closed):
        raise typer.Exit(1)


def _in_use(settings: Settings) -> bool:
    if not (settings.data_dir / FILE_NAME).exists():
        raise RequestError(f"There is no memory store in {settings.data_dir}.")
    with presence.alone(settings.data_dir) as alone:
        return not alone


async def _erase(
    settings: Settings, request: EraseRequest, caller: Caller, dry_run: bool, yes: bool, as_json: bool, in_use: bool
) -> tuple[ToErase, Erased | None]:
    async def use(service: MemoryService) -> tuple[ToErase, Erased | None]:
        meant = await service.to_erase(request, caller)
        if not as_json or not (dry_run or yes):
            _show(meant, Console(stderr=as_json))
        if dry_run or not meant.count:
            return meant, None
        if in_use:
            raise RequestError(IN_USE)
        if not yes:
            _confirm(meant.count)
        return meant, await service.erase(request, caller, meant.token)

    return await with_memory(settings, use)


def _show(meant: ToErase, console: Console) -> None:
    if not meant.count:
        console.print("No memory is meant by this; nothing to erase.")
        return
    console.print(Text(f"{counted(meant.count, 'memory')} would be erased, forgotten ones included:", "bold"))
    for namespace, count in meant.by_namespace.items():
        console.print(Text(f"  {count:,} in {namespace}"))
    for memory in meant.sample:
        console.print(Text(f"  {' '.join(memory.content[:100].split())}", "dim"))
    if meant.mentions:
        others = counted(len(meant.mentions), "memory")
        console.print(Text(f"{others} with that name in the text would stay. Erase them by their ids, if they should go:"))
    for memory in meant.mentions:
        console.print(Text(f"  {memory.id}  {' '.join(memory.content[:80].split())}", "dim"))


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise RequestError("Nothing was erased. Add --yes to erase them.")
    answer = typer.prompt(f"This is final. Write {count} to erase them", default="", show_default=False)
    if answer.strip() != str(count):
        raise RequestError("Nothing was erased.")


def _of_meant(meant: ToErase) -> Mapping[str, Any]:
    mentions = [str(memory.id) for memory in meant.mentions]
    return {"memories": meant.count, "namespaces": dict(meant.by_namespace), "mentions": mentions}


def _of_done(done: Erased) -> Mapping[str, Any]:
    return {
        "erased": sum(len(operation.subjects) for operation in done.operations),
        "operations": [operation.number for operation in done.operations],
        "proven": done.proof.holds,
        "looked_for": done.proof.strings,
        "files": done.proof.files,
        "found_in": sorted({path for paths in done.proof.found.values() for path in paths}),
        "also_in_other_memories": done.proof.elsewhere,
        "tiers_away": list(done.away),
        "copies_cleaned": [str(path) for path in done.copies],
        "copies_not_looked_into": [str(path) for path in done.closed],
        "files_scoured": done.scoured,
    }


def _tell(done: Erased, *, of_a_server: bool) -> None:
    proof = done.proof
    console = Console(soft_wrap=True)
    console.print(f"Erased {counted(sum(len(operation.subjects) for operation in done.operations), 'memory')} for good.", style="bold")
    where = "the database" if of_a_server else f"{proof.files} files"
    if not proof.strings:
        console.print("What they said is too short to be looked for.")
    elif proof.holds:
        rest = "only what other memories, or names in the log, hold as well is left" if proof.elsewhere else "nothing is left"
        console.print(f"Looked for {proof.strings} pieces and words of them in {where}: {rest}.")
    for name in sorted({path for paths in proof.found.values() for path in paths}):
        console.print(Text(f"Something of it stands in {name}.", "bold red"))
    for table in sorted(name for name, paths in proof.found.items() if not paths):
        console.print(Text(f"Something of it is left in the table {table}.", "bold red"))
    if not done.scoured and not of_a_server:
        console.print(Text("The store's files could not be overwritten while somebody reads them; the next start does it.", "yellow"))
    for tier in done.away:
        console.print(Text(f"{tier} is away; it is told when it is back.", "yellow"))
    for path in done.copies:
        console.print(f"Also erased in {path}.")
    for path in done.closed:
        console.print(Text(f"{path} could not be looked into, and may hold them: delete it if you do not need it.", "bold red"))
    console.print((OF_A_SERVER if of_a_server else "") + OUT_OF_REACH)
