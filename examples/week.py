"""A week of a coding project, replayed into a real server, and then what a person would ask.

    python examples/week.py

Decisions go one way and back, facts are replaced, an error comes again until something helps, rules are laid down: all
of it is in week.jsonl, line by line, as a model would have said it. Each answer is checked by what it says.
The memories are gone afterwards. Ends with status 1 if an answer is wrong.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from mcp import Client, StdioServerParameters
from rich.console import Console

WEEK = Path(__file__).with_name("week.jsonl")
MODEL_SECONDS = 600.0
POOL_AGAIN = """Traceback (most recent call last):
  File "/home/build/parcels/db.py", line 63, in connect
    return engine.connect()
sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00"""

Facts = Mapping[str, Any]
console = Console(highlight=False, markup=False, soft_wrap=True)


def texts(*path: str) -> Callable[[Facts], list[str]]:
    """Reads the texts of a list somewhere in an answer; none where there is no such list."""

    def read(answer: Facts) -> list[str]:
        inner: Any = answer
        for name in path:
            inner = inner[0] if isinstance(inner, list) else inner
            inner = inner.get(name, {})
        return [entry["text"] for entry in inner or []]

    return read


class Question(NamedTuple):
    """What a person asks, how a model then asks its memory, and what the answer has to say.

    Attributes:
        arguments: `$name` stands for the id that a line of the week was answered with.
        expected: How the first lines of the answer begin, in their order.
        whole: Whether there may be no further line.
        never: What no line may hold.
        lines: Reads the lines of an answer.
    """

    asked: str
    tool: str
    arguments: Facts
    expected: tuple[str, ...] = ()
    whole: bool = False
    never: str = "\0"
    lines: Callable[[Facts], list[str]] = texts("hits")

    def wrong(self, lines: list[str]) -> bool:
        """Whether an answer of these lines is not what it should be."""
        if len(lines) < len(self.expected) or (self.whole and len(lines) > len(self.expected)):
            return True
        begin = all(line.startswith(expected) for line, expected in zip(lines, self.expected, strict=False))
        return not begin or any(self.never in line for line in lines)


def recalling(question: str, *expected: str, never: str = "\0", asked: str = "", **arguments: Any) -> Question:
    """A question that is handed on as it stands; where nothing is expected, nothing may come."""
    asks = {"query": question, "limit": 3, **arguments}
    return Question(asked or question, "recall", asks, expected, whole=not expected, never=never)


QUESTIONS = [
    recalling("Which database does Parcels use now?", "Parcels uses PostgreSQL as its database again", never="uses SQLite"),
    recalling("Which database does Parcels use?", "Parcels uses SQLite", asked="What did we use on Wednesday?", as_of="2026-03-04"),
    recalling("Why did we go back to PostgreSQL?", "Parcels uses PostgreSQL as its database again: SQLite locked up"),
    Question(
        "And what was it before, one after the other?",
        "get",
        {"ids": ["$database"], "history": True},
        ("Parcels uses PostgreSQL as its database, because the team", "Parcels uses SQLite"),
        whole=True,
        lines=texts("memories", "history"),
    ),
    recalling("On which day do we deploy?", "Deploys to production go out on Tuesdays.", never="Thursdays"),
    recalling("On which day do we deploy?", "Deploys to production go out on Thursdays", asked="And on Friday?", as_of="2026-03-06"),
    recalling("Where does the staging database run?", "The staging database runs on db9", never="db7"),
    recalling("How long do we wait for the carrier to answer?", "Calls to the carrier gateway time out after 30", never="10 seconds"),
    recalling("Who has to approve a refund of 600 euros?", "Refunds above 500 euros need the approval of Ines"),
    recalling("How do we take back a bad release?", "To roll back a release"),
    Question(
        "How did we fix the exhausted connection pool?",
        "find_solution",
        {"problem": "How did we fix the exhausted connection pool?"},
        ("The nightly export never gave its database sessions back",),
        lines=texts("solutions"),
    ),
    Question(
        "Here it is again, what helps?",
        "find_solution",
        {"problem": POOL_AGAIN},
        ("The nightly export never gave its database sessions back", "Raise pool_size"),
        lines=texts("solutions"),
    ),
    Question(
        "What are the rules?",
        "context",
        {},
        ("The user wants short answers", "Nothing is released on a Friday", "Refunds above 500 euros"),
        whole=True,
        lines=texts("sections", "rules"),
    ),
    Question(
        "What did the last session do?",
        "context",
        {},
        ("Label printing now works end to end", "Tomasz asked DHL support"),
        whole=True,
        lines=texts("sections", "from the last session"),
    ),
    Question(
        "When did we talk, and about what?",
        "stats",
        {"section": "sessions"},
        ("2026-03-08 Review of the week", "2026-03-07 Deploys to production go out", "2026-03-06 "),
        lines=lambda answer: [f"{one['began'][:10]} {one['title']}" for one in answer["sessions"] if "session_id" in one],
    ),
    Question(
        "What is still open?",
        "context",
        {},
        ("parcels.webhooks.SignatureMismatch",),
        whole=True,
        lines=texts("sections", "open errors"),
    ),
    Question(
        "What kept coming back?",
        "insights",
        {"days": 3650},
        ("TimeoutError: QueuePool limit",),
        whole=True,
        lines=texts("errors_that_came_again", "first"),
    ),
    Question(
        "Who leads payments?",
        "explore",
        {"entity": "payments"},
        ("Ines | leads | payments",),
        whole=True,
        lines=lambda answer: [fact["relation"] for fact in answer["relations"]],
    ),
    Question("What runs on db9?", "explore", {"entity": "db9"}, ("The staging database",), whole=True, lines=texts("memories")),
    recalling("Which vendor delivers the coffee beans?"),
]


async def main() -> int:
    """Replay the week, and ask; the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        async with Client(server(folder)) as client:
            try:
                await model_ready(client)
                ids = await replay(client)
                wrong = sum([await ask(client, question, ids) for question in QUESTIONS])
            except RefusedError as error:
                console.print(str(error), style="red")
                return 1
    console.print(f"\n{len(QUESTIONS) - wrong} of {len(QUESTIONS)} answers are right.")
    return 1 if wrong else 0


def server(folder: str) -> StdioServerParameters:
    """A server in a process of its own, with the tools that a project wants."""
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "memory_mcp", "serve", "--isolated", "--data-dir", folder, "--namespace", "parcels"],
        env={"MEMORY_MCP_LOG__LEVEL": "error", "MEMORY_MCP_TOOLS__SETS": '["learning", "graph"]', **os.environ},
    )


class RefusedError(Exception):
    """The server could not do what was asked; the message is its own."""


async def model_ready(client: Client) -> None:
    """Wait until texts are found by their meaning, too."""
    for _ in range(int(MODEL_SECONDS / 0.2)):
        model = (await call(client, "stats", section="model"))["model"]
        if model["phase"] == "ready":
            return
        if model["phase"] != "loading":
            break
        await asyncio.sleep(0.2)
    raise RefusedError(f"The embedding model is not ready: {model.get('detail', '')}")


async def replay(client: Client) -> dict[str, str]:
    """Say what was said, day by day; the ids of what has a name."""
    ids: dict[str, str] = {}
    for day, steps in groupby(read_week(), key=lambda step: str(step["at"])[:10]):
        became = [await say(client, step, ids) for step in steps]
        console.print(f"{date.fromisoformat(day):%A}: {', '.join(became)}", style="dim")
    return ids


def read_week() -> Iterator[dict[str, Any]]:
    """The calls of the week, in their order."""
    yield from map(json.loads, WEEK.read_text("utf-8").splitlines())


async def say(client: Client, step: dict[str, Any], ids: dict[str, str]) -> str:
    """Make one call of the week, with its date and its session; what became of it, in a word."""
    at, tool, name = step.pop("at"), step.pop("tool"), step.pop("name", "")
    if tool in ("remember", "record_error"):
        step |= {"occurred_at": at, "session_id": at[:10]}
    elif tool == "relate":
        step["valid_from"] = at
    answer = await call(client, tool, **with_ids(step, ids))
    if name:  # of an error that was solved, its solution
        ids[name] = next((told["id"] for told in answer.get("solutions", ()) if told["text"] == step["solution"]), answer.get("id", ""))
    return str(answer.get("status", tool))


def with_ids(arguments: Facts, ids: Mapping[str, str]) -> dict[str, Any]:
    """Arguments with ids in place of their names."""

    def real(value: Any) -> Any:
        if isinstance(value, list):
            return [real(one) for one in value]
        return ids[value[1:]] if isinstance(value, str) and value.startswith("$") else value

    return {name: real(value) for name, value in arguments.items()}


async def ask(client: Client, question: Question, ids: Mapping[str, str]) -> bool:
    """Ask, show the answer, and tell whether it is wrong."""
    answer = await call(client, question.tool, **with_ids(question.arguments, ids))
    lines = question.lines(answer)
    wrong = question.wrong(lines)

    console.print(f"\n? {question.asked}  {'not ok' if wrong else 'ok'}", style="bold red" if wrong else "bold")
    for line in lines[: max(1, len(question.expected))] or [f"{answer.get('verdict', 'nothing')}: {answer.get('hint', '')}"]:
        console.print("  " + " ⏎ ".join(line.splitlines()))
    if wrong:
        console.print(f"  expected {list(question.expected) or 'nothing'}, came {lines}", style="red")
    return wrong


async def call(client: Client, tool: str, **arguments: Any) -> Facts:
    """What a tool answers; an error ends the example."""
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise RefusedError(f"{tool}: {' '.join(getattr(block, 'text', '') for block in result.content)}")
    return result.structured_content


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
