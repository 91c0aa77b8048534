"""A memory for programs: the tools as methods, typed, asked again by themselves where that does no harm."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack
from uuid import UUID, uuid4

import httpx2

from memory_mcp import replies
from memory_mcp.client.connection import Connection
from memory_mcp.client.patience import Patience
from memory_mcp.client.transports import Connect, program_of, to_process, to_url
from memory_mcp.errors import ConflictError, MemoryNotFoundError
from memory_mcp.faults import IDEMPOTENCY_META

Id = UUID | str
Moment = datetime | str
"""As a text: ISO 8601. A time without zone is UTC."""

_NAMESPACED = frozenset(
    ("remember", "recall", "find_similar", "context", "forget", "record_error", "find_solution", "insights", "relate", "explore", "browse")
)
"""Tools that take a namespace; `manage` does so only for some of its actions, and is told in each case."""
_PAGE = 100
_PAGE_TOKENS = 20_000
"""The most that `recall` takes of either."""
_LONGEST_IN_MINUTES = timedelta(minutes=999_999)


class Attributes(TypedDict, total=False):
    """What may be said of a memory when it is stored; see the tool `remember`.

    Attributes:
        key: What it is the one current value of, like `user.editor`.
        importance: In [0, 1].
        expires_in: How long it is to last, or until when.
        visibility: Over HTTP: private or shared.
        idempotency_key: Names this write across runs of the program, for a day; without it each call is a write of its own.
    """

    tags: Sequence[str]
    key: str
    supersedes: Sequence[Id]
    importance: float
    session_id: str
    occurred_at: Moment
    expires_in: timedelta | Moment
    metadata: Mapping[str, Any]
    namespace: str
    visibility: Literal["private", "shared"]
    idempotency_key: str


class Selection(TypedDict, total=False):
    """Which memories are looked at; see the tool `recall`.

    Attributes:
        kind: Only these.
        tags: Only memories with all of these.
        namespace: Another project; `*` for every one.
    """

    kind: Sequence[str]
    tags: Sequence[str]
    since: Moment
    until: Moment
    namespace: str


class MemoryClient:
    """A conversation with a memory server; any number of tasks may use it at once.

    Every call is sent again, after growing and random pauses, where the server or the way to it has failed in passing; a
    write carries a key, the same at each try, by which the server stores it once. What cannot be repeated without harm is
    sent again only where certainly nothing was done.

    Every method may raise the errors of `memory_mcp.errors`: RequestError (the call is at fault), MemoryNotFoundError,
    ConflictError, AccessDeniedError, LimitError (too much), TierUnavailableError (the server is away, for longer than
    patience allows; of a write it is then unknown whether it took effect) and TierError (it has failed).

    Args:
        connect: Makes a conversation, each time one is needed.
        namespace: The project to work in, where a call names none; empty: the server's choice.
    """

    def __init__(self, connect: Connect, *, namespace: str = "", patience: Patience | None = None) -> None:
        self._connection = Connection(connect, patience or Patience())
        self._namespace = namespace

    @classmethod
    def stdio(
        cls,
        command: str = "",
        arguments: Sequence[str] = (),
        *,
        namespace: str = "",
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        name: str = "",
        patience: Patience | None = None,
    ) -> Self:
        """A memory on this machine, by its program.

        Args:
            command: Empty: `memory-mcp` of this installation, else the one on PATH.
            arguments: Like `["--data-dir", "/srv/memory"]`.
            environment: Variables beside the few that the program gets in any case, such as PATH and HOME.
            directory: To start it in; from it the namespace follows, if none is named.
            name: What stands in memories as the client that stored them; empty: this program's.
        """
        connect = to_process(command or program_of(Path(sys.executable)), arguments, environment or {}, directory, name or _this_program())
        return cls(connect, namespace=namespace, patience=patience)

    @classmethod
    def http(
        cls,
        url: str,
        token: str = "",
        *,
        namespace: str = "",
        name: str = "",
        transport: Callable[[], httpx2.AsyncBaseTransport] = httpx2.AsyncHTTPTransport,
        patience: Patience | None = None,
    ) -> Self:
        """A memory behind a URL, like `https://memory.example.com/mcp`.

        Args:
            token: As `memory-mcp token create` or an identity provider has made it.
            name: See `stdio`.
            transport: Makes what carries requests, with certificates or proxies of its own; it is closed with the conversation.
        """
        patience = patience or Patience()
        connect = to_url(url, token, name or _this_program(), patience.attempt_seconds, transport)
        return cls(connect, namespace=namespace, patience=patience)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._connection.__aexit__()

    async def remember(self, content: str, *, kind: str = "fact", **attributes: Unpack[Attributes]) -> replies.Receipt:
        """Store a statement; when this returns, it is durable, and stored once however often it had to be sent."""
        key = attributes.get("idempotency_key") or str(uuid4())
        arguments = {name: value for name, value in attributes.items() if name != "idempotency_key"}
        meta = {IDEMPOTENCY_META: key}
        return replies.Receipt.model_validate(
            await self.call("remember", {"content": content, "kind": kind, **arguments}, repeatable=True, meta=meta)
        )

    async def store_event(self, content: str, **attributes: Unpack[Attributes]) -> replies.Receipt:
        """Store that something happened; at `occurred_at`, if not now."""
        return await self.remember(content, kind="event", **attributes)

    async def store_insight(self, content: str, *, confidence: float | None = None, **attributes: Unpack[Attributes]) -> replies.Receipt:
        """Store what was understood.

        Args:
            confidence: How sure of it, in [0, 1].
        """
        return await self.remember(content, kind="insight", **_with_confidence(attributes, confidence))

    async def store_decision(
        self, content: str, *, reason: str = "", confidence: float | None = None, **attributes: Unpack[Attributes]
    ) -> replies.Receipt:
        """Store what was decided, and why.

        Args:
            confidence: How sure that it will turn out well, in [0, 1]; with `report_outcome` it shows how sure one may be.
        """
        text = f"{content}\nReason: {reason}" if reason else content
        return await self.remember(text, kind="decision", **_with_confidence(attributes, confidence))

    async def recall(
        self,
        query: str = "",
        *,
        limit: int = 8,
        as_of: Moment = "",
        max_tokens: int = 20_000,
        min_score: float = 0.0,
        explain: bool = False,
        cursor: str = "",
        **selection: Unpack[Selection],
    ) -> replies.Answer:
        """What answers a question, best first; without one the newest memories.

        Args:
            limit: From 1 to 100.
            as_of: Ask what was true then; a date alone is the end of that day.
            max_tokens: Of the whole answer, from 50 to 20,000; longer texts are cut, and the end may be left to the next page.
            cursor: Of the answer before, with the same question.
        """
        settings = {"limit": limit, "max_tokens": max_tokens, "min_score": min_score, "explain": explain}
        arguments = {"query": query, "as_of": as_of, "cursor": cursor, **settings, **selection}
        return replies.Answer.model_validate(await self.call("recall", arguments, repeatable=True))

    async def iterate(self, query: str = "", **selection: Unpack[Selection]) -> AsyncIterator[replies.Memory]:
        """Every memory that a question finds, or without one every memory, each once and in full; the newest, or the best, first.

        What is stored meanwhile may be missing.
        """
        seen: set[UUID] = set()
        cursor = ""
        while True:
            page = await self.recall(query, limit=_PAGE, max_tokens=_PAGE_TOKENS, cursor=cursor, **selection)
            fresh = [hit.id for hit in page.hits if hit.id not in seen]
            seen.update(fresh)
            for memory in await self._there(fresh):
                yield memory
            if not page.cursor:
                return
            cursor = page.cursor

    async def _there(self, ids: Sequence[UUID]) -> Sequence[replies.Memory]:
        """Those of the memories that are not forgotten by now."""
        if not ids:
            return ()
        try:
            return await self.get(*ids)
        except MemoryNotFoundError:
            half = len(ids) // 2
            return [*await self._there(ids[:half]), *await self._there(ids[half:])] if half else ()

    async def find_similar(
        self, text: str = "", *, id: Id = "", limit: int = 8, kind: Sequence[str] = (), namespace: str = "", min_score: float = 0.0
    ) -> replies.Answer:
        """Memories that mean nearly the same as a text, or as the memory of that id."""
        arguments = {"text": text, "id": id, "limit": limit, "kind": kind, "namespace": namespace, "min_score": min_score}
        return replies.Answer.model_validate(await self.call("find_similar", arguments, repeatable=True))

    async def context(self, task: str = "", *, namespace: str = "", max_tokens: int = 1_500) -> replies.Context:
        """What to know before starting: rules, what bears on the task, recent decisions, open errors."""
        arguments = {"task": task, "namespace": namespace, "max_tokens": max_tokens}
        return replies.Context.model_validate(await self.call("context", arguments, repeatable=True))

    async def get(self, *ids: Id, history: bool = False) -> tuple[replies.Memory, ...]:
        """Memories in full, 1 to 100 of them; with what was said before, if asked for.

        Raises:
            MemoryNotFoundError: One of them is not there.
            ConflictError: A long one was changed while it was read.
        """
        memories = replies.Memories.model_validate(await self.call("get", {"ids": ids, "history": history}, repeatable=True)).memories
        return tuple([await self._to_its_end(memory) for memory in memories])

    async def _to_its_end(self, memory: replies.Memory) -> replies.Memory:
        """The same with all its text, of which a reply may hold a part."""
        parts, last = [memory.text], memory
        while last.next is not None:
            told = await self.call("get", {"ids": [memory.id], "start": last.next}, repeatable=True)
            (last,) = replies.Memories.model_validate(told).memories
            if (last.updated, last.characters) != (memory.updated, memory.characters):
                raise ConflictError("The memory was changed while it was read. Read it again.")
            parts.append(last.text)
        return memory.model_copy(update={"text": "".join(parts), "characters": 0, "next": None}) if memory.next is not None else memory

    async def update(
        self,
        id: Id,
        *,
        content: str = "",
        tags: Sequence[str] | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        expires_in: timedelta | Moment = "",
    ) -> replies.Changed:
        """Correct a memory in place; what is not given stays. Empty tags or metadata, and nothing beside them, take away what is there."""
        arguments = {"id": id, "content": content, "tags": tags, "importance": importance, "metadata": metadata, "expires_in": expires_in}
        given = {name: value for name, value in arguments.items() if value is not None}
        return replies.Changed.model_validate(await self.call("update", given, repeatable=True))

    async def forget(self, *ids: Id) -> replies.Forgotten:
        """Take memories out of all answers, 1 to 100 of them; `undo` brings them back."""
        return replies.Forgotten.model_validate(await self.call("forget", {"ids": ids}))

    async def forget_all(
        self, *, kind: Sequence[str] = (), tags: Sequence[str] = (), before: Moment = "", namespace: str = "", confirm: str = ""
    ) -> replies.ToForget | replies.Forgotten:
        """Take all memories of kinds, with tags or before a time out of all answers.

        Args:
            confirm: What the same call, made without it, has answered. Without it nothing is forgotten, but told what would be.
        """
        arguments = {"kind": kind, "tags": tags, "before": before, "namespace": namespace, "confirm": confirm}
        facts = await self.call("forget", arguments)
        return (replies.Forgotten if "forgotten" in facts else replies.ToForget).model_validate(facts)

    async def undo(self, operation: int | str = "last", *, namespace: str = "") -> replies.Undone:
        """Reverse a change by its number, the `last` of this client in the namespace, or the `last 3`: all of them or none."""
        return replies.Undone.model_validate(await self.call("forget", {"undo": str(operation), "namespace": namespace}))

    async def stats(self) -> replies.Statistics:
        """How much is remembered where, and how the memory is doing."""
        return replies.Statistics.model_validate(await self.call("stats", {}, repeatable=True))

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, repeatable: bool = False, meta: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Any tool of the server's, such as those of its further sets; its facts.

        Args:
            arguments: Empty texts and lists are left out.
            repeatable: Whether carrying it out twice does no more than once, so that it may be sent again.
        """
        given = {name: plain for name, value in arguments.items() if (plain := _plain(value)) not in ("", [], {})}
        if self._namespace and tool in _NAMESPACED:
            given.setdefault("namespace", self._namespace)
        return await self._connection.call(tool, given, meta, repeatable=repeatable)


def _this_program() -> str:
    script = Path(sys.argv[0] if sys.argv else "")
    name = script.parent.name if script.stem == "__main__" else script.stem
    return "python" if name in ("", "-c", "-m") else name


def _with_confidence(attributes: Attributes, confidence: float | None) -> Attributes:
    if confidence is None:
        return attributes
    return {**attributes, "metadata": {**attributes.get("metadata", {}), "confidence": confidence}}


def _plain(value: Any) -> Any:
    """A value as it goes over the wire."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        minutes = -(-value // timedelta(minutes=1))
        return f"{minutes} minutes" if value <= _LONGEST_IN_MINUTES else f"{value.days} days"
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
