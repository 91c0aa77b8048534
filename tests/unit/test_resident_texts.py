"""The texts of a scope in memory, against reading every memory."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.errors import ScopeNotCoveredError
from memory_mcp.models import Changed, Filter, Memory, Scope
from memory_mcp.tiers.resident import reading
from memory_mcp.tiers.resident.reading import ResidentTexts
from memory_mcp.tiers.resident.texts import MOST_AROUND, Texts

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SCOPE = Scope("local", "project")
ANY = Filter()


def memory(number: int, content: str, **fields: object) -> Memory:
    when = NOW + timedelta(minutes=number)
    return replace(Memory(UUID(int=number), SCOPE, content, when, when, when), **fields)  # type: ignore[arg-type]


def found(texts: Texts, query: str, where: Filter = ANY, limit: int = 10) -> list[int]:
    return [hit.id.int for hit in texts.look(query).best(where, limit)]


def test_words_find_whatever_their_ending_and_labels_count_too() -> None:
    texts = Texts([memory(1, "We deploy on Fridays"), memory(2, "Lunch", tags=("deployment",)), memory(3, "Unrelated")])

    assert found(texts, "deploying friday") == [1, 2]
    assert found(texts, "a lunch") == [2]


def test_a_kind_of_what_is_asked_tells_less_where_many_are_and_nothing_beside_the_word_itself() -> None:
    texts = Texts([memory(1, "I play clarinet"), memory(2, "An instrument: the piano"), memory(3, "Lunch"), memory(4, "The violin is old")])
    ids = [UUID(int=number) for number in (1, 2, 3, 4, 9)]
    told = texts.look("Which instruments do I own?").circumstances(ids).kinds.tolist()

    assert told[0] == told[3] == pytest.approx(math.log1p(1.5 / 3.5))
    assert (told[1], told[2], told[4]) == (0.0, 0.0, 0.0)
    assert texts.look("clarinet or lunch").circumstances(ids).kinds.tolist() == [0.0] * 5

    texts.apply([], [UUID(int=4)])
    assert texts.look("instruments").circumstances(ids).kinds.tolist() == pytest.approx([math.log1p(1.5 / 2.5), 0.0, 0.0, 0.0, 0.0])


WORDS = ("ant", "bee", "cat", "dog")
KINDS = ("fact", "rule")


CHANGE = st.tuples(st.integers(1, 8), st.lists(st.sampled_from(WORDS), max_size=4), st.sampled_from(KINDS), st.booleans())


@given(
    st.lists(CHANGE, max_size=25),
    st.sampled_from(WORDS),
    st.sampled_from([frozenset(), frozenset({"fact"}), frozenset({"rule"})]),
    st.integers(1, 4),
)
def test_any_sequence_of_changes_finds_what_reading_everything_finds(
    changes: list[tuple[int, list[str], str, bool]], query: str, kinds: frozenset[str], limit: int
) -> None:
    texts, held = Texts(), dict[int, Memory]()
    for number, content, kind, gone in changes:
        if gone:
            texts.apply([], [UUID(int=number)])
            held.pop(number, None)
        else:
            held[number] = memory(number, " ".join(content), kind=kind)
            texts.apply([held[number]], [])

    passing = {number for number, one in held.items() if query in one.content and (not kinds or one.kind in kinds)}
    hits = found(texts, query, Filter(kinds=kinds), limit)
    look = texts.look(query)
    assert set(hits) <= passing
    assert len(hits) == min(limit, len(passing))
    assert (look.rows, look.frequency[query]) == (len(held), sum(query in one.content.split() for one in held.values()))


def test_every_filter_applies_before_the_limit() -> None:
    many = [memory(number, "needle in a haystack") for number in range(1, 50)]
    odd = memory(60, "needle", kind="rule", domain="coding", tags=("a", "b"), expires_at=NOW)
    texts = Texts([*many, odd])
    only = [
        Filter(kinds=frozenset({"rule"})),
        Filter(domains=frozenset({"coding"})),
        Filter(tags=frozenset({"a", "b"})),
        Filter(since=odd.when),
    ]

    assert [found(texts, "needle", where, 3) for where in only] == [[60]] * 4
    assert 60 not in found(texts, "needle", Filter(now=NOW), 100)
    assert found(texts, "needle", Filter(until=NOW + timedelta(minutes=2)), 3) == [1]


def test_around_are_those_beside_in_the_session_and_those_of_telling_sessions() -> None:
    said = [memory(number, f"turn {number}", session_id="s") for number in range(1, 8)]
    texts = Texts([*said, memory(20, "elsewhere", session_id="t"), memory(21, "and more", session_id="t"), memory(22, "nowhere")])

    def around(query: str, *ids: int) -> list[int]:
        return sorted(one.int for one in texts.look(query).around([UUID(int=i) for i in ids], ANY))

    assert around("nothing", 4) == [2, 3, 5, 6]
    assert around("nothing", 20, 22, 99) == [21]
    assert around("elsewhere", 4) == [2, 3, 5, 6, 20, 21]
    assert around("nothing") == []


def test_utterances_without_a_session_are_together_by_the_day() -> None:
    """A conversation is seldom stored with an id; other memories of a day have nothing in common."""
    said = [memory(number, f"turn {number}", kind="chat") for number in range(1, 4)]
    next_day = memory(4, "turn 4", kind="chat", occurred_at=NOW + timedelta(days=1))
    elsewhere = memory(5, "turn 5", kind="chat", session_id="2026-05-01")
    texts = Texts([*said, next_day, elsewhere, memory(6, "turn 6"), memory(7, "turn 7")])
    look = texts.look("nothing of this")

    assert [row.int for row in look.around([UUID(int=1)], ANY)] == [2, 3]
    sessions = look.circumstances([UUID(int=number) for number in range(1, 8)]).session.tolist()
    assert sessions[0] == sessions[1] == sessions[2] >= 0
    assert len({sessions[0], *sessions[3:5]}) == 3
    assert sessions[5:] == [-1, -1]


def test_neighbours_come_before_the_rest_of_a_long_session() -> None:
    texts = Texts([memory(number, "turn of the talk", session_id="s") for number in range(1, 1_001)])
    around = texts.look("talk").around([UUID(int=900)], ANY)

    assert len(around) == MOST_AROUND
    assert {one.int for one in around} >= {898, 899, 901, 902}


def test_circumstances_come_in_the_order_asked_for() -> None:
    texts = Texts(
        [
            memory(1, "Is it raining?", session_id="s", importance=0.9),
            memory(2, "Yes, all day", session_id="s", metadata={"speaker": "Ann Lee"}),
        ]
    )
    around = texts.look("what did Ann Lee say of the rain").circumstances([UUID(int=2), UUID(int=9), UUID(int=1)])

    assert around.session.tolist() == [0, -1, 0]
    assert around.order.tolist() == [1, 0, 0]
    assert around.named.tolist() == [1.0, 0.0, 0.0]
    assert around.asking.tolist() == [False, False, True]
    assert around.importance.tolist() == [0.5, 0.5, 0.9]
    assert around.standing.tolist() == [0b11, 0, 0b1000]  # of `Ann`, `Lee`, `say` and `rain`: a label's words, and a stem
    assert texts.look("x").speakers == {"ann", "lee"}


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("What did Ann Lee give to Bob?", [1.0, 0.5, 0.0]),
        ("What did Bob tell Ann Lee?", [0.5, 1.0, 0.0]),
        ("What do Ann Lee and Bob have in common?", [1.0, 1.0, 0.0]),
        ("What did Ann Lee tell Bob of the pottery?", [1.0, 0.5, 1.0]),
        ("Who is it?", [0.0, 0.0, 0.0]),
    ],
)
def test_who_is_named_first_is_who_is_meant(question: str, named: list[float]) -> None:
    texts = Texts(
        [
            memory(1, "Yes", metadata={"speaker": "Ann Lee"}),
            memory(2, "No", metadata={"speaker": "Bob"}),
            memory(3, "Well", metadata={"speaker": "Bob"}, tags=("pottery",)),
        ]
    )
    around = texts.look(question).circumstances([UUID(int=number) for number in (1, 2, 3)])

    assert around.named.tolist() == [*named[:2], max(named[1:])]


@pytest.mark.parametrize(
    ("text", "kind", "names"),
    [
        ("Ann Lee: I moved to Oslo.", "chat", {"ann", "lee"}),
        ("user: I moved to Oslo.", "chat", {"user"}),
        ("Ann: I moved.\nIt was in May: cold.\nAnn: To Oslo.", "chat", {"ann"}),
        ("Ann: I moved.\nBob: Where to?", "chat", set()),
        ("Docker: limit memory to 2 GB", "fact", set()),
        ("she said: no", "chat", set()),
        ("https://example.com: I read it", "chat", set()),
        ("We met at 8: Ann and I", "chat", set()),
        ("Ann:", "chat", set()),
    ],
)
def test_a_name_before_what_is_said_tells_who_says_it(text: str, kind: str, names: set[str]) -> None:
    look = Texts([memory(1, text, kind=kind)]).look("Where did Ann Lee, a user, move to?")

    assert look.speakers == names
    assert look.circumstances([UUID(int=1)]).named.tolist() == [1.0 if names else 0.0]


def test_what_was_said_in_passing_is_told_from_what_names_something_and_notes_are_not_judged() -> None:
    said = {1: "Sounds good, let us do that", 2: "We saw the Matterhorn", 3: "It cost 40"}
    notes = [memory(4, "Ports: 8080", kind="fact"), memory(5, "Ports: 8080", metadata={"author": "Ann"})]
    turn = memory(6, "We saw the Eiger", session_id="s", metadata={"speaker": "Ann"})
    texts = Texts([*(memory(number, text, kind="chat") for number, text in said.items()), *notes, turn])
    around = texts.look("x").circumstances([UUID(int=number) for number in (1, 2, 3, 4, 5, 6, 9)])

    assert around.specific.tolist() == [False, True, True, False, False, True, False]


def test_looking_goes_on_while_another_thread_writes() -> None:
    texts = Texts([memory(number, "needle", metadata={"speaker": f"name{number}"}) for number in range(1, 400)])
    ended = Event()

    def write() -> None:
        for turn in range(30):
            texts.apply([memory(number, "needle", metadata={"speaker": f"name{number} {turn}"}) for number in range(1, 400)], [])
        ended.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not ended.is_set():
            look = texts.look("needle")
            hits = look.best(ANY, 500)
            look.circumstances([hit.id for hit in hits])
            assert len(hits) == 399
            assert "name7" in look.speakers
        writing.result()


class Store:
    """A record store of which only the changes are asked; its memories with the revision of their writing."""

    def __init__(self) -> None:
        self.memories: list[tuple[int, Memory]] = []
        self.asked: list[int] = []
        self.gate = anyio.Event()
        self.gate.set()

    def add(self, *memories: Memory) -> None:
        self.memories += [(len(self.memories) + 1, one) for one in memories]

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        await anyio.lowlevel.checkpoint()
        return tuple(max((revision for revision, _ in self.memories), default=0) for _ in scopes)

    async def changed(self, scope: Scope, since: int, *, limit: int | None = None) -> Changed:
        self.asked.append(since)
        await self.gate.wait()
        (revision,) = await self.revisions([scope])
        whole = since == 0 or since > revision
        later = [one for one in self.memories if whole or one[0] > since]
        if limit is not None and len(later) > limit:
            later = later[:limit]
            revision = later[-1][0]
        return Changed([memory for _, memory in later], [], revision, whole)


async def test_every_look_sees_what_was_written_before_it() -> None:
    store = Store()
    texts = ResidentTexts(store, budget_bytes=1 << 20)
    for number, word in enumerate(WORDS, 1):
        store.add(memory(number, word))
        look = await texts.look(SCOPE, word)
        assert [hit.id.int for hit in look.best(ANY, 5)] == [number]
    await texts.look(SCOPE, "again")

    assert store.asked == [0, 1, 2, 3]


async def test_a_large_scope_is_read_by_pages_and_whole_whatever_is_written_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 2)
    store = Store()
    for number in range(1, 8):
        store.add(memory(number, "word"))
    store.gate = anyio.Event()
    texts = ResidentTexts(store, budget_bytes=1 << 20)
    looks = []

    async def look() -> None:
        looks.append(await texts.look(SCOPE, "word"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        store.add(memory(8, "word"))  # by the time of the last page
        store.add(memory(9, "word"))
        store.gate.set()

    assert store.asked == [0, 2, 4, 6]
    assert (looks[0].rows, (await texts.look(SCOPE, "word")).rows) == (8, 9)


async def test_concurrent_looks_share_one_reading_and_one_that_gave_up_does_not_stop_it() -> None:
    store = Store()
    store.gate = anyio.Event()
    store.add(memory(1, "word"))
    texts = ResidentTexts(store, budget_bytes=1 << 20)
    with anyio.move_on_after(0.01):
        await texts.look(SCOPE, "word")
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(texts.look, SCOPE, "word")
        await anyio.wait_all_tasks_blocked()
        store.gate.set()

    assert store.asked == [0]
    assert texts.looks == 3


async def test_a_write_in_the_midst_of_a_look_does_not_make_it_read_everything_again() -> None:
    store = Store()
    store.add(memory(1, "word"))
    texts = ResidentTexts(store, budget_bytes=1 << 20)
    await texts.look(SCOPE, "word")
    store.add(memory(2, "word"))
    store.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(texts.look, SCOPE, "word")
        await anyio.wait_all_tasks_blocked()  # the change to 2 is being read, and will come back with 3
        store.add(memory(3, "word"))
        store.gate.set()

    assert store.asked == [0, 1]


async def test_an_older_store_put_in_place_is_read_anew() -> None:
    store = Store()
    for number, text in enumerate(("old", "new", "newest"), 1):
        store.add(memory(number, text))
    texts = ResidentTexts(store, budget_bytes=1 << 20)
    await texts.look(SCOPE, "new")
    del store.memories[1:]
    look = await texts.look(SCOPE, "old new newest")

    assert [hit.id.int for hit in look.best(ANY, 5)] == [1]


async def test_a_scope_beyond_the_budget_is_refused_and_others_make_room() -> None:
    store = Store()
    store.add(*(memory(number, " ".join(f"word{number}{i}" for i in range(30))) for number in range(1, 100)))
    small = ResidentTexts(store, budget_bytes=10_000)
    for _ in range(2):
        with pytest.raises(ScopeNotCoveredError):
            await small.look(SCOPE, "words")
        store.add(memory(100, "one more"))
    assert store.asked == [0]

    texts = ResidentTexts(store, budget_bytes=80_000)
    for name in ("a", "b", "c"):
        await texts.look(Scope("local", name), "words")
    assert texts.figures()["scopes"] == 1
