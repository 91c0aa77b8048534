"""A client that starts a server, lets it remember, and asks.

    make run                     or, without make:
    python examples/demo.py [--data-dir FOLDER]

The server runs in a process of its own (--isolated), so that nothing is left behind but the demo's memories.
What is asked shares few words with what is stored; the last question is about something that never was.
Ends with status 1 if an answer is not what it should be.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from rich.console import Console
from rich.table import Table
from rich.text import Text

HERE = Path(__file__).resolve().parent
MEMORIES = HERE / "demo_memories.jsonl"
DATA = HERE.parent / ".make" / "demo"
MODEL_SECONDS = 600.0
COLOURS = {"strong": "green", "weak": "yellow", "none": "cyan"}

QUESTIONS = {
    "Which database did we choose for billing, and why?": "We store invoices in PostgreSQL",
    "Can I release to production on a Friday?": "Deploys to production",
    "Whom do I ask when someone wants their payment back?": "Maria Lindqvist",
    "How does the user want to be answered?": "The user prefers short answers",
    "Why did the reporting job break in spring?": "The nightly export failed",
    "Why does my phone still show yesterday's price?": "The mobile app caches",
    "Which wine goes with roast duck?": None,
}
"""Each with the beginning of the memory that answers it, or None where nothing that is stored does."""

console = Console(highlight=False)


async def main() -> int:
    """Start, remember, ask; the exit status."""
    arguments = argparse.ArgumentParser(description="Remember a few things through MCP, and recall them.")
    arguments.add_argument("--data-dir", type=Path, default=DATA, help="where the demo keeps its memories")
    folder: Path = arguments.parse_args().data_dir
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "memory_mcp", "serve", "--isolated", "--data-dir", str(folder), "--namespace", "demo"],
        env={"MEMORY_MCP_LOG__LEVEL": "error", **os.environ},
    )
    async with Client(server) as client:
        try:
            await model_ready(client)
            await remember_all(client)
            failures = sum([await ask(client, question, expected) for question, expected in QUESTIONS.items()])
        except RefusedError as error:
            console.print(f"[red]{error}[/]")
            return 1
    console.print(f"\nThe memories lie in one SQLite file that only you can read, in\n[bold]{folder}[/]", soft_wrap=True)
    if failures:
        console.print(f"[red]{failures} of {len(QUESTIONS)} questions were not answered as they should be.[/]")
    return 1 if failures else 0


class RefusedError(Exception):
    """The server could not do what was asked; the message is its own."""


async def model_ready(client: Client) -> None:
    """The server answers at once; only searching by meaning waits for the model."""
    began = time.monotonic()
    with console.status("The embedding model is being loaded ...") as status:
        while (model := (await call(client, "stats", section="model"))["model"])["phase"] == "loading":
            status.update(f"{model.get('detail', 'The embedding model is being loaded.')} ({time.monotonic() - began:.0f} s)")
            if time.monotonic() - began > MODEL_SECONDS:
                break
            await asyncio.sleep(0.2)
    if model["phase"] != "ready":
        raise RefusedError(f"The embedding model is not ready: {model.get('detail', '')}")
    console.print(f"Model [bold]{model['name']}[/] ready after {time.monotonic() - began:.1f} s.")


async def remember_all(client: Client) -> None:
    """Store what stands in the file; what an earlier run has stored is recognised."""
    lines = MEMORIES.read_text("utf-8").splitlines()
    began = time.monotonic()
    receipts = [await call(client, "remember", **json.loads(line)) for line in lines]
    took = 1000 * (time.monotonic() - began) / len(lines)
    known = sum(receipt["status"] == "already_known" for receipt in receipts)
    before = f" ({known} known from an earlier run)" if known else ""
    console.print(f"[bold]{len(lines)}[/] memories remembered, {took:.0f} ms each{before}.")


async def ask(client: Client, question: str, expected: str | None) -> bool:
    """Recall, show what came, and tell whether it is not what was expected."""
    began = time.monotonic()
    answer = await call(client, "recall", query=question, limit=2)
    took = 1000 * (time.monotonic() - began)
    texts = [hit["text"] for hit in answer["hits"]]
    fails = not any(text.startswith(expected) for text in texts) if expected else answer["verdict"] != "none"

    console.print()
    verdict = Text(answer["verdict"], f"bold {COLOURS[answer['verdict']]}")
    console.print(Text("? ", "bold") + Text(question, "bold") + Text("  ") + verdict + Text(f"  {took:.0f} ms", "dim"))
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
    for hit in answer["hits"]:
        table.add_row(Text(f"{hit['score']:.2f}", "dim"), Text(hit["text"]))
    if not texts:
        table.add_row("", Text(answer["hint"], "dim"))
    console.print(table)
    if fails:
        console.print(f"  [red]expected: {expected or 'nothing'}[/]")
    return fails


async def call(client: Client, tool: str, **arguments: Any) -> Mapping[str, Any]:
    """What a tool answers; an error ends the demo."""
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise RefusedError(f"{tool}: {' '.join(getattr(block, 'text', '') for block in result.content)}")
    return result.structured_content


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
