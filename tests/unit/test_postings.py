import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event
from uuid import UUID

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memory_mcp.errors import TierError
from memory_mcp.text import words
from memory_mcp.text.languages import ENGLISH, language_of
from memory_mcp.text.terms import MOST, TERM, bag, keys_of
from memory_mcp.tiers.resident import postings, runs
from memory_mcp.tiers.resident.postings import Documents, Postings
from tests.asides import no_asides

WORDS = ("ant", "bee", "cat", "dog", "emu", "fox", "gnu", "hen")

few_ids = st.integers(0, 25).map(lambda number: UUID(int=number * 2**62 + 5))
texts = st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join)
sessions = st.sampled_from(["", "", "s1", "s2", "s3"])


@dataclass(frozen=True)
class Text:
    """One memory as a text index sees it."""

    id: UUID
    text: str
    labels: str = ""
    session: str = ""
    when: int = 0


documents = st.lists(st.builds(Text, few_ids, texts, texts, sessions, st.integers(0, 3)), max_size=12)
questions = st.lists(st.sampled_from([*WORDS, "unknown"]), max_size=6)


def as_documents(rows: Sequence[Text]) -> Documents:
    return Documents(
        ids=[row.id for row in rows],
        bags=[bag(row.text, row.labels) for row in rows],
        sessions=[row.session for row in rows],
        when=np.array([row.when for row in rows], np.int64),
        asides=no_asides(len(rows)),
    )


def numbered(contents: Iterable[str], session: str = "") -> Documents:
    return as_documents([Text(UUID(int=number), text, session=session, when=number) for number, text in enumerate(contents)])


def plain_bm25(bags: Sequence[Counter[str]], question: Iterable[str]) -> list[float]:
    """Score of each text, in float64, as the formula is written down."""
    lengths = [bag.total() for bag in bags]
    average = sum(lengths) / len(bags) if sum(lengths) else 1.0
    scores = [0.0] * len(bags)
    for word in set(question):
        frequency = sum(word in bag for bag in bags)
        rarity = math.log(1 + (len(bags) - frequency + 0.5) / (frequency + 0.5))
        for i, one in enumerate(bags):
            norm = 1.2 * (1 - 0.75 + 0.75 * lengths[i] / average)
            scores[i] += rarity * 2.2 * one[word] / (one[word] + norm)
    return scores


def plain_bag(row: Text) -> Counter[str]:
    counted: Counter[str] = Counter()
    for word in row.text.split():
        counted[word] += 1
    for word in row.labels.split():
        counted[word] += 0.5  # type: ignore[assignment]
    return counted


class PostingsAgainstBruteForce(RuleBasedStateMachine):
    """Whatever is done to an index, it scores as going through a plain dictionary of texts would."""

    def __init__(self) -> None:
        super().__init__()
        self.index = Postings()
        self.texts: dict[UUID, Text] = {}

    @initialize(free=st.sampled_from([0, 64]))
    def choose_how_soon_to_compact(self, free: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(postings, "GONE_FREE", free)

    def teardown(self) -> None:
        self.patch.undo()

    @rule(rows=documents, removed=st.lists(few_ids, max_size=6))
    def apply(self, rows: list[Text], removed: list[UUID]) -> None:
        self.index.apply(as_documents(rows), removed)
        for memory_id in removed:
            self.texts.pop(memory_id, None)
        self.texts.update({row.id: row for row in rows})

    @rule(question=questions)
    def bm25(self, question: list[str]) -> None:
        view = self.index.view
        found = view.look_up(keys_of(question))

        scores = found.rows()
        expected = plain_bm25([plain_bag(row) for row in self.texts.values()], question)
        assert scores[view.rows_of(list(self.texts))] == pytest.approx(expected, abs=1e-5)
        assert not scores[~view.alive].any()
        assert found.frequencies.tolist() == [sum(word in plain_bag(row) for row in self.texts.values()) for word in question]

    @rule(question=questions)
    def session_bm25(self, question: list[str]) -> None:
        view = self.index.view
        scores = view.look_up(keys_of(question)).sessions()

        merged: dict[str, Counter[str]] = {}
        for row in self.texts.values():
            if row.session:
                merged.setdefault(row.session, Counter()).update(plain_bag(row))
        expected = dict(zip(merged, plain_bm25(list(merged.values()), question), strict=True))
        codes = {row.session: view.session[view.rows_of([row.id])[0]] for row in self.texts.values()}
        assert codes.pop("", -1) == -1
        assert [scores[code] for code in codes.values()] == pytest.approx([expected[name] for name in codes], abs=1e-5)
        assert not scores[view.session_rows == 0].any()

    @rule(question=questions, limit=st.integers(0, 8), passing=st.sets(few_ids) | st.none())
    def best(self, question: list[str], limit: int, passing: set[UUID] | None) -> None:
        view = self.index.view
        scores = view.look_up(keys_of(question)).rows()
        mask = None if passing is None else np.isin(np.arange(len(view.ids)), view.rows_of(list(passing)))
        best = view.best(scores, limit, mask)

        by_id = {memory_id: scores[row] for memory_id, row in zip(self.texts, view.rows_of(list(self.texts)), strict=True)}
        expected = [one for one in by_id if by_id[one] > 0 and (passing is None or one in passing)]
        expected.sort(key=lambda one: (-by_id[one], one))
        assert best.tolist() == view.rows_of(expected[:limit]).tolist()

    @invariant()
    def sessions_are_in_order(self) -> None:
        view = self.index.view
        assert len(self.index) == len(self.texts) == view.alive.sum()
        for name in {row.session for row in self.texts.values()} - {""}:
            line = sorted((row for row in self.texts.values() if row.session == name), key=lambda row: (row.when, row.id))
            rows = view.rows_of([row.id for row in line])
            assert view.order[rows].tolist() == list(range(len(line)))
            assert len(set(view.session[rows].tolist())) == 1
            assert view.when[rows].tolist() == [row.when for row in line]


TestPostingsAgainstBruteForce = PostingsAgainstBruteForce.TestCase
TestPostingsAgainstBruteForce.settings = settings(max_examples=60, stateful_step_count=30)


def test_a_large_store_is_scored_alike_however_it_came_about() -> None:
    """Many runs, merges and renumberings, and sessions few and many: the same scores as of one load."""
    rng = np.random.default_rng(3)
    rows = [
        Text(UUID(int=int(i)), " ".join(rng.choice(WORDS, 6, p=[0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015, 0.005])), "", f"s{i % 40}", i)
        for i in rng.permutation(3000)
    ]
    grown = Postings()
    for start in range(0, 3000, 37):
        grown.apply(as_documents(rows[start : start + 37]), [row.id for row in rows[max(0, start - 90) : start - 60]])
    kept = [row for row in rows if grown.view.rows_of([row.id])[0] >= 0]
    loaded = Postings(as_documents(kept))
    ids = [row.id for row in kept]

    assert 500 < len(kept) < 2000
    for question in (["ant", "hen"], ["bee", "cat", "gnu"], list(WORDS)):
        one, other = (index.view.look_up(keys_of(question)) for index in (grown, loaded))
        assert one.rows()[grown.view.rows_of(ids)] == pytest.approx(other.rows()[loaded.view.rows_of(ids)], abs=1e-5)
        by_row = [found.sessions()[found.view.session[found.view.rows_of(ids)]] for found in (one, other)]
        assert by_row[0] == pytest.approx(by_row[1], abs=1e-5)
    assert (grown.view.order[grown.view.rows_of(ids)] == loaded.view.order[loaded.view.rows_of(ids)]).all()


def test_a_view_stays_what_it_was() -> None:
    index = Postings(numbered(["ant bee", "bee cat", "cat"], session="s"))
    before = index.view
    scores = before.look_up(keys_of(["bee", "cat"])).rows()
    sessions = before.look_up(keys_of(["bee"])).sessions()
    columns = [column.copy() for column in (before.alive, before.session, before.order)]
    index.apply(numbered([f"bee {i}" for i in range(500)], session="t"), [UUID(int=1)])

    assert (before.look_up(keys_of(["bee", "cat"])).rows() == scores).all()
    assert (before.look_up(keys_of(["bee"])).sessions() == sessions).all()
    assert all((now == then).all() for now, then in zip((before.alive, before.session, before.order), columns, strict=True))
    assert before.rows_of([UUID(int=499)]).tolist() == [-1]


def test_views_are_whole_while_another_thread_writes() -> None:
    """Every text is written with its twin in one step, so a view that sees one and not the other is torn."""
    index, done = Postings(), Event()

    def write() -> None:
        for i in range(400):
            twins = [Text(UUID(int=2 * (i % 60) + j), "twin word", session=f"s{i % 60}", when=j) for j in (0, 1)]
            index.apply(as_documents(twins), [UUID(int=2 * ((i + 30) % 60) + j) for j in (0, 1)])
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not done.is_set() and not writing.done():
            view = index.view
            found = view.look_up(keys_of(["twin"]))
            assert (found.rows() > 0).sum() == found.frequencies[0] == view.live
            assert np.isin(view.session_rows, (0, 2)).all()  # twins share a session
            assert np.isfinite(found.sessions()).all()
        writing.result()


def test_what_cannot_be_indexed_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    index = Postings(numbered(["ant", "bee"]))
    good = numbered(["cat"])
    torn = replace(good, bags=[b"abc"])
    uneven = replace(good, sessions=[])
    nothing_beside = replace(good, asides=no_asides(0))
    for documents in (torn, uneven, nothing_beside):
        with pytest.raises(TierError):
            index.apply(documents, [UUID(int=1)])
    with monkeypatch.context() as patch:
        patch.setattr(runs, "MOST_ROWS", 2)
        with pytest.raises(TierError, match="at most 2 rows"):
            index.apply(good, [])
        patch.setattr(postings, "joined", _no_memory)
        patch.setattr(runs, "MOST_ROWS", 1 << 24)
        with pytest.raises(MemoryError):
            index.apply(numbered(["cat"] * 10), [UUID(int=1)])

    assert len(index) == 2
    assert index.view.best(index.view.look_up(keys_of(["bee", "cat"])).rows(), 5).tolist() == [1]
    index.apply(good, [])
    assert index.view.look_up(keys_of(["ant", "bee", "cat"])).frequencies.tolist() == [0, 1, 1]


def _no_memory(*_: object) -> None:
    raise MemoryError


def test_rows_given_up_are_room_again() -> None:
    index = Postings()
    for i in range(2000):
        index.apply(as_documents([Text(UUID(int=1), f"word{i}", session=f"s{i}")]), [])

    assert len(index) == 1
    assert index.view.numbering > 0
    assert len(index.view.ids) <= postings.GONE_FREE + 2
    assert len(index.view.session_rows) <= postings.GONE_FREE + 2
    assert index.nbytes < 100_000


def test_an_empty_index_answers() -> None:
    view = Postings().view
    found = view.look_up(keys_of(["ant"]))

    assert found.rows().tolist() == []
    assert found.sessions().tolist() == []
    assert found.frequencies.tolist() == [0]
    assert view.best(found.rows(), 10).tolist() == []


def test_words_of_one_stem_count_once() -> None:
    view = Postings(numbered(["painting by the sea", "a painter"])).view
    once, twice = (view.look_up(keys_of(question)) for question in (["painting"], ["painting", "paints", "sea"]))

    assert once.rows().tolist()[1] == 0
    assert twice.frequencies.tolist() == [1, 1, 1]
    assert twice.rows()[0] == pytest.approx(2 * once.rows()[0])


@given(text=st.text(st.characters()) | st.lists(st.sampled_from(["naïve", "x²", "東京都", "\u0301", "getName", "\u00a8 a"])).map(" ".join))
def test_a_bag_holds_the_words_of_the_text(text: str) -> None:
    """Pieces between white space are split each by itself, which must make no difference; another language adds its own stems."""
    assume(language_of(text) == ENGLISH)
    counted = Counter(keys_of(words.split_words(text, for_index=True)).tolist())
    terms = np.frombuffer(bag(text), TERM)

    assert dict(zip(terms["key"].tolist(), terms["count"].tolist(), strict=True)) == {
        key: min(2 * times, MOST) for key, times in counted.items()
    }


def test_labels_count_half() -> None:
    assert sorted(np.frombuffer(bag("cat cat dog", "cat bird"), TERM)["count"].tolist()) == [1, 2, 5]


def test_keys_are_the_same_in_every_process() -> None:
    """The same in every process and on every platform; with another stemmer these numbers change."""
    program = "from memory_mcp.text.terms import keys_of; print(keys_of(['memories', 'decided', 'js', 'größe', '東京']).tolist())"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[4158268497, 303636855, 398963028, 1540598153, 2451981039]"
