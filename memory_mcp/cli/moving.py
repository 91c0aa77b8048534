"""`memory-mcp export|import`: memories as a file of lines, a JSON object each."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console

from memory_mcp.answers import CarriedIn
from memory_mcp.cli.acting import operator
from memory_mcp.cli.configured import settings_of, with_a_store
from memory_mcp.cli.opened import with_memory
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import say, say_json
from memory_mcp.cli.sentences import ended_at_once, leave
from memory_mcp.counted import counted
from memory_mcp.errors import RequestError
from memory_mcp.folders import expanded
from memory_mcp.models import Caller
from memory_mcp.namespaces import client_namespace, home_folder
from memory_mcp.service import MemoryService
from memory_mcp.upkeep.exporting import write_lines
from memory_mcp.upkeep.lines import MAX_LINE_BYTES, Line, read, written

Tenant = Annotated[str, typer.Option("--tenant", help="Whose memories, where PostgreSQL has several tenants'.")]
_FAULTS_SHOWN = 10
_LOOK_SECONDS = 0.5
_MODEL_SECONDS = 1.0
"""What it is waited for before lines are looked at, while it goes on loading."""


def export(
    file: Annotated[str, typer.Argument(help="Where it goes; - for the standard output.")],
    namespace: Annotated[str, typer.Option("--namespace", help="Only this one (default: all).")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also superseded and forgotten memories, which an import passes over.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    tenant: Tenant = "local",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write memories into a file, a JSON object each line, while servers go on working. For a complete copy use `backup`."""
    settings = with_a_store(settings_of(data_dir))
    target = None if file == "-" else expanded(Path(file)).absolute()
    if target is not None and (target.is_dir() or (target.exists() and not force)):
        raise RequestError(f"{target} exists. Name another file, or say --force to replace it.")
    caller = Caller(tenant, namespace or "personal", operator())

    async def write(service: MemoryService) -> int:
        pages = service.everything_in(caller, namespace, "all" if everything else "")
        if target is not None:
            try:
                return await write_lines(target, pages)
            except OSError as error:
                raise RequestError(f"{target} cannot be written: {error.strerror}. What was there is as it was.") from error
        count = 0
        async for page in pages:
            count += len(page)
            sys.stdout.writelines(written(memory) + "\n" for memory in page)
        return count

    count = anyio.run(with_memory, settings, write)
    if target is not None:
        facts = {"file": str(target), "memories": count}
        _say(facts, f"Exported {counted(count, 'memory')} to {target}", as_json=as_json)


@ended_at_once()
def import_(
    file: Annotated[Path, typer.Argument(help="What `export` has written, or lines like its own: {content: ...}.")],
    namespace: Annotated[
        str, typer.Option("--namespace", help="Where all of it goes (default: where each line says, else this project).")
    ] = "",
    skip_faulty: Annotated[bool, typer.Option("--skip-faulty", help="Leave out lines with a fault, instead of storing nothing.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until all is found by its meaning, too; else a server sees to it.")] = True,
    tenant: Tenant = "local",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Store the memories of a file, as one operation of each namespace that can be undone. What is there already stays as it is.

    Every line is looked at before anything is stored. Interrupted, what was stored stays; the same command again stores the rest.
    """
    source = expanded(file).absolute()
    if not source.is_file():
        raise RequestError(f"There is no file {source}.")
    settings = settings_of(data_dir)
    project = client_namespace(settings.namespace, os.environ, Path.cwd(), home_folder())
    caller = Caller(tenant, project, operator())
    console = Console(stderr=True)
    progress = _Progress()

    async def store(service: MemoryService) -> tuple[CarriedIn, int]:
        with console.status("") as status:
            faults = await service.faults_in(_lines(source, namespace), caller, project, progress.shown(status.update, "Checked {:,}"))
            if faults and not skip_faulty:
                listed = "\n".join(f"  line {number}: {fault}" for number, fault in faults[:_FAULTS_SHOWN])
                more = f"\n  and {len(faults) - _FAULTS_SHOWN:,} more" if len(faults) > _FAULTS_SHOWN else ""
                raise RequestError(f"{_lines_are(len(faults))} at fault, so nothing was stored (--skip-faulty):\n{listed}{more}")
            progress.storing = True
            done = await service.carry_in(_lines(source, namespace), caller, project, progress.shown(status.update, "Stored {:,}"))
            progress.stored = True
            while wait and (left := (await service.records.counts(tenant)).unembedded) and service.sources.embedder.state.phase != "broken":
                status.update(f"Stored; {left:,} are still to be found by their meaning")
                await anyio.sleep(_LOOK_SECONDS)
        return done, len(faults)

    try:
        done, faulty = anyio.run(partial(with_memory, settings, store, model_seconds=_MODEL_SECONDS if wait else 0))
    except KeyboardInterrupt:
        leave(progress.interrupted(), 130)
    _say(_facts(done, faulty), "\n".join(_told(done, faulty)), as_json=as_json)


@dataclass(slots=True)
class _Progress:
    """How far an import is, for whoever interrupts it."""

    done: int = 0
    storing: bool = False
    stored: bool = False

    def shown(self, show: Callable[[str], None], words: str) -> Callable[[int], None]:
        """What is told of more that is done."""
        self.done = 0

        def told(more: int) -> None:
            self.done += more
            show(words.format(self.done))

        return told

    def interrupted(self) -> str:
        """What is there by now."""
        if self.stored:
            return "Interrupted. Everything is stored; what is not found by its meaning yet will be, once a server runs."
        if self.storing:
            return f"Interrupted. {counted(self.done, 'memory')} of the file are stored; the same command again stores the rest."
        return "Interrupted. Nothing was stored."


def _lines(source: Path, namespace: str) -> Iterator[Line]:
    with source.open("rb") as file:
        number = 0
        while text := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(text) > MAX_LINE_BYTES:
                while text and not text.endswith(b"\n"):
                    text = file.readline(MAX_LINE_BYTES)
                yield Line(number, fault=f"it has more than {MAX_LINE_BYTES >> 20} MiB")
            elif text.strip():
                line = read(number, text)
                yield replace(line, fields={**line.fields, "namespace": namespace}) if namespace and not line.fault else line


def _facts(done: CarriedIn, faulty: int) -> Mapping[str, Any]:
    left_out = {"past": done.past, "erased": done.erased, "faulty": faulty}
    return {"stored": done.stored, "known": done.known, "left_out": left_out, "operations": dict(done.operations)}


def _told(done: CarriedIn, faulty: int) -> Iterator[str]:
    yield f"Imported {counted(done.stored, 'memory')}."
    if done.known:
        yield f"{counted(done.known, 'memory')} {'was' if done.known == 1 else 'were'} there already."
    for count, why in (
        (done.past, "superseded, forgotten or expired where it comes from"),
        (done.erased, "erased here for good"),
        (faulty, "with a fault"),
    ):
        if count:
            yield f"Left out {counted(count, 'memory')}: {why}."
    for namespace, number in done.operations.items():
        yield f"In {namespace}: `memory-mcp forget --undo {number}` takes all of it back."


def _say(facts: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    say_json(facts) if as_json else say(words)


def _lines_are(count: int) -> str:
    return "1 line is" if count == 1 else f"{count:,} lines are"
