"""Sets that recall is measured on: JSON lines, gzipped or not, one store a line.

    {"id", "items": [{"id", "content", "speaker", "session", "occurred_at", "kind", "tags", "key"}],
           "questions": [{"id", "query", "gold": [item ids], "category"}]}

Of an item only `id` and `content` are required. A question of the category "adversarial" has evidence, but no answer; one
without evidence is about something near what is stored, but never stored.
"""

import gzip
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_mcp.remember.drafts import RememberRequest

OWN = Path(__file__).parent / "data" / "own.jsonl"
FIRST_DAYS = OWN.with_name("first-days.jsonl")
"""What three new users might store in their first days, and what their assistants might ask: a third of it never stored."""
LANGUAGES = OWN.with_name("languages.jsonl")
"""What a German, a French and a Spanish user might store and ask, and users of ten other languages: a third of it never stored."""
PATHS_VARIABLE = "MEMORY_MCP_BENCH_DATA"
"""One or more paths, separated like those of PATH."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the items that hold the evidence."""

    query: str
    gold: frozenset[str]
    category: str

    @property
    def answerable(self) -> bool:
        return bool(self.gold) and self.category != "adversarial"


@dataclass(frozen=True, slots=True)
class Store:
    """One line of a set: what to remember, in order, and what to ask then."""

    id: str
    items: Mapping[str, RememberRequest]
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class EvalSet:
    """One file."""

    name: str
    stores: tuple[Store, ...]


def paths() -> list[Path]:
    """The project's own sets, and those that the environment names."""
    return [OWN, FIRST_DAYS, LANGUAGES, *(Path(path) for path in os.environ.get(PATHS_VARIABLE, "").split(os.pathsep) if path)]


def read_sets(files: Iterable[Path]) -> list[EvalSet]:
    return [EvalSet(path.name.removesuffix(".gz").removesuffix(".jsonl"), _read(path)) for path in files]


def _read(path: Path) -> tuple[Store, ...]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return tuple(_store(json.loads(line)) for line in text.splitlines() if line.strip())


def _store(line: Mapping[str, Any]) -> Store:
    questions = tuple(Question(given["query"], frozenset(given["gold"]), given["category"]) for given in line["questions"])
    store = Store(line["id"], {item["id"]: _request(item) for item in line["items"]}, questions)
    if unknown := {gold for question in questions for gold in question.gold} - store.items.keys():
        raise ValueError(f"{store.id}: gold names items that are not there: {sorted(unknown)[:5]}")
    return store


def _request(item: Mapping[str, Any]) -> RememberRequest:
    session = item.get("session", "")
    return RememberRequest(
        content=item["content"],
        kind=item.get("kind") or ("chat" if session else "fact"),
        tags=item.get("tags", ()),
        key=item.get("key", ""),
        session_id=session,
        occurred_at=item.get("occurred_at", ""),
        metadata={"speaker": item["speaker"]} if item.get("speaker") else {},
    )


def whole_sessions(one: EvalSet) -> EvalSet | None:
    """The same set with each session as one long memory; None where hardly any item belongs to one."""
    stores = tuple(_joined(store) for store in one.stores if sum(bool(item.session_id) for item in store.items.values()) > 100)
    return EvalSet(f"{one.name}, sessions whole", stores) if stores else None


def _joined(store: Store) -> Store:
    turns: dict[str, list[RememberRequest]] = defaultdict(list)
    for name, item in store.items.items():
        turns[item.session_id or name].append(item)
    items = {
        session: RememberRequest(
            "\n".join(f"{item.metadata.get('speaker', '')}: {item.content}" for item in of_one),
            kind="event",
            occurred_at=of_one[0].occurred_at,
        )
        for session, of_one in turns.items()
    }
    home = {name: item.session_id or name for name, item in store.items.items()}
    questions = tuple(Question(asked.query, frozenset(home[gold] for gold in asked.gold), asked.category) for asked in store.questions)
    return Store(store.id, items, questions)
