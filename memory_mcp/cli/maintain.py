"""`memory-mcp maintain`: what an engine does now and then by itself, done or only shown now."""

from collections.abc import Mapping
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console
from rich.text import Text

from memory_mcp.cli.configured import settings_of, with_a_store
from memory_mcp.cli.opened import with_memory
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import say_json
from memory_mcp.upkeep.maintenance import Tidied


def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and leave it.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Keep for good what is recalled again and again, archive what has lost its value, merge what says the same, empty the trash.

    Servers go on working meanwhile. All but the trash can be undone, by `memory-mcp forget --undo NUMBER`.
    """
    settings = with_a_store(settings_of(data_dir))
    done = anyio.run(with_memory, settings, lambda service: service.maintenance.once(dry_run=dry_run))
    if as_json:
        say_json(_facts(done, dry_run))
    else:
        _tell(done, dry_run)


def _facts(done: Tidied, dry_run: bool) -> Mapping[str, Any]:
    namespaces = {
        scope.namespace: {
            "kept_for_good": [str(memory.id) for memory in plan.promote],
            "archived": [str(memory.id) for memory in plan.archive],
            "merged": {str(kept.id): [str(other.id) for other in others] for kept, others in plan.merge},
        }
        for scope, plan in done.plans.items()
    }
    return {
        "dry_run": dry_run,
        "namespaces": namespaces,
        "operations": [one.number for one in done.operations],
        "purged": done.purged,
        "pruned": done.pruned,
    }


def _tell(done: Tidied, dry_run: bool) -> None:
    console = Console(soft_wrap=True)
    would = "would be " if dry_run else ""
    for scope, plan in done.plans.items():
        console.print(Text(scope.namespace, "bold"))
        for verb, memories in (("kept for good", plan.promote), ("archived", plan.archive)):
            for memory in memories:
                console.print(Text(f"  {would}{verb}: {_line(memory.content)}"))
        for kept, others in plan.merge:
            console.print(Text(f"  {would}merged with {len(others)} that say the same: {_line(kept.content)}"))
    if done.operations:
        numbers = ", ".join(str(operation.number) for operation in done.operations)
        console.print(f"Operations {numbers}: each can be undone by `memory-mcp forget --undo NUMBER`.")
    if done.purged:
        console.print(f"{done.purged:,} from the trash {would}gone for good.")
    if done.pruned:
        console.print(f"{done.pruned:,} old entries of the log are gone; `memory-mcp audit verify` tells that no others are.")
    if not done.plans and not done.purged and not done.pruned:
        console.print("There is nothing to do.")


def _line(text: str) -> str:
    return " ".join(text[:100].split())
