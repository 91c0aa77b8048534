"""Text search: postings in memory against SQLite's FTS5 and, where they are installed, tantivy and bm25s.

    python -m tests.benchmarks.bench_text [SIZE ...]

One thread, the ten best for questions of twenty words, stop words out, every engine asked each question in turn. Texts
are the sets' own clauses put together anew (MEMORY_MCP_BENCH_DATA, see sets.py) and, since clauses repeat their words,
made-up ones of about twenty words whose frequencies follow Zipf's law. PyPI has tantivy and bm25s; the project needs neither.
"""

import gc
import math
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, product
from pathlib import Path
from statistics import fmean, median, quantiles
from time import perf_counter
from typing import Any
from uuid import UUID

import apsw
import numpy as np
import Stemmer

from memory_mcp.models import Filter, Scope
from memory_mcp.text import terms, words
from memory_mcp.tiers.resident.postings import Documents, Postings
from memory_mcp.tiers.sqlite import reads
from memory_mcp.tiers.sqlite.database import define_functions, migrations
from memory_mcp.tiers.sqlite.spelling import scope_word
from tests.asides import no_asides
from tests.benchmarks.figures import TARGET, Table, Tables, as_text, say
from tests.benchmarks.filling import questions_like, texts_like
from tests.benchmarks.sets import EvalSet, paths, read_sets

try:
    import tantivy
except ImportError:
    tantivy = None
try:
    import bm25s
except ImportError:
    bm25s = None

SIZES = (1_000, 10_000, 100_000)
TARGETS_MS = {10_000: 3.0, 100_000: 5.0}
QUESTIONS, QUESTION_WORDS, LIMIT = 100, 20, 10
SESSION_ROWS = 20
SCOPE, ANYTHING = Scope("local", "bench"), Filter()

Question = list[str]
Search = Callable[[Question], object]


@dataclass(frozen=True)
class Corpus:
    """Texts, and questions as words that are all different and no stop words."""

    name: str
    texts: Sequence[str]
    questions: Sequence[Question]


def run(sizes: Sequence[int] = SIZES, sets: Sequence[EvalSet] | None = None) -> Tables:
    """Milliseconds, bytes and quality, a column for each corpus."""
    sets = read_sets(paths()) if sets is None else sets
    tables: Tables = defaultdict(dict)
    for size in sizes:
        for make in (_from_sets, _by_zipf):
            corpus = make(sets, size)
            say(f"  {corpus.name}")
            gc.collect()
            gc.freeze()  # a server does not hold these texts, so its collector need not look at them
            for title, figures in _measure(corpus).items():
                for row, value in figures.items():
                    tables[title].setdefault(row, {})[corpus.name] = value
    gc.unfreeze()
    tables["recall of BM25 alone, the sets' own stores"] = _quality(sets)
    return dict(tables)


def _measure(corpus: Corpus) -> dict[str, dict[str, float]]:
    making = _bags(corpus.texts)
    bags = [terms.bag(text) for text in corpus.texts]
    index, built = _timed(lambda: Postings(_documents(bags)))
    with tempfile.TemporaryDirectory(prefix="memory-mcp-bench-") as folder, _database(Path(folder) / "text.db", corpus.texts) as store:
        engines = {
            "postings": lambda question: _search(index, question),
            "postings, with sessions": lambda question: _search_sessions(index, question),
            "FTS5": lambda question: reads.search_text(store.db, [SCOPE], " ".join(question), ANYTHING, LIMIT),
        }
        building = {"postings, from bags": built, "FTS5": store.seconds}
        for name, peer in (("tantivy", _tantivy), ("bm25s", _bm25s)):
            made = peer(corpus.texts)
            if made is not None:
                engines[name], building[name] = made
        search = _latencies(engines, corpus.questions)
        loading = _loading(store, bags)
    thousands = len(corpus.texts) / 1000
    return {
        "search, ms": search,
        "build, ms per 1,000": {name: seconds * 1000 / thousands for name, seconds in building.items()} | making,
        "load whole store, ms": loading,
        "bytes per memory": {
            "in memory, postings": index.nbytes / len(bags),
            "on disk, bags": store.bag_bytes / len(bags),
            "on disk, FTS5": store.index_bytes / len(bags),
        },
        "of a question": _about(index, corpus),
        "writes, ms": _writes(index, bags),
    }


# Texts


def _from_sets(sets: Sequence[EvalSet], size: int) -> Corpus:
    rng = random.Random(size)
    spare = [word for question in questions_like(sets, 400) for word in words.query_terms(question)]
    questions = []
    for question in questions_like(sets, QUESTIONS):
        some = dict.fromkeys(words.query_terms(question)[:QUESTION_WORDS])
        while len(some) < QUESTION_WORDS:
            some[rng.choice(spare)] = None
        questions.append(list(some))
    return Corpus(f"{size:,} texts", texts_like(sets, size), questions)


def _by_zipf(_: Sequence[EvalSet], size: int) -> Corpus:
    """A vocabulary that grows with the root of the text (Heaps' law); the commonest hundred stand for stop words."""
    rng = random.Random(size)
    vocabulary = _made_up(int(60 * math.sqrt(20 * size)))
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(vocabulary))))
    stop = set(vocabulary[:100])

    def some(count: int) -> list[str]:
        return rng.choices(vocabulary, cum_weights=weights, k=count)

    questions = [list(dict.fromkeys(word for word in some(200) if word not in stop))[:QUESTION_WORDS] for _ in range(QUESTIONS)]
    return Corpus(f"{size:,} Zipf", [" ".join(some(rng.randint(12, 28))) for _ in range(size)], questions)


def _made_up(count: int) -> list[str]:
    syllables = ["".join(pair) for pair in product("bdfgklmnprtvz", "aeiou")]
    found = ["".join(parts) for length in (2, 3, 4) for parts in product(syllables, repeat=length if length < 4 else 0)]
    random.Random(1).shuffle(found)
    return found[:count]


def _documents(bags: Sequence[bytes]) -> Documents:
    numbers = range(len(bags))
    return Documents(
        ids=[_id(number) for number in numbers],
        bags=bags,
        sessions=[_session(number) for number in numbers],
        when=np.arange(len(bags)),
        asides=no_asides(len(bags)),
    )


def _id(number: int) -> UUID:
    return UUID(int=number << 80 | 0x7000_8000_0000_0000_0000 | number)


def _session(number: int) -> str:
    return f"session-{number // SESSION_ROWS}"


# Engines


def _search(index: Postings, question: Question) -> object:
    view = index.view
    found = view.look_up(terms.keys_of(question))
    return view.best(found.rows(), LIMIT)


def _search_sessions(index: Postings, question: Question) -> object:
    view = index.view
    found = view.look_up(terms.keys_of(question))
    return found.frequencies, view.best(found.rows() + np.float32(0.5) * found.sessions()[view.session], LIMIT)


@dataclass(frozen=True)
class Store:
    """A store's own tables, filled by the shortest way.

    Attributes:
        seconds: What filling the text index took.
        index_bytes: What the text index takes of the file.
        bag_bytes: What bags take of it.
    """

    db: apsw.Connection
    seconds: float
    index_bytes: int
    bag_bytes: int


@contextmanager
def _database(path: Path, texts: Sequence[str]) -> Iterator[Store]:
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = WAL; PRAGMA cache_size = -65536")
    define_functions(db)
    db.execute("".join(migrations()))
    db.execute("CREATE TABLE bags (memory INTEGER PRIMARY KEY, terms BLOB NOT NULL)")
    db.execute("INSERT INTO scopes VALUES (1, ?, ?, 1); INSERT INTO actors VALUES (1, '', '', '', '')", (SCOPE.tenant, SCOPE.namespace))
    names, memories = _as_memories(db, texts)
    with db:
        db.executemany(f"INSERT INTO memories ({names}) VALUES ({', '.join('?' * len(names.split()))})", memories)
    before = _pages(db)
    started = perf_counter()
    with db:
        word = scope_word(1)
        db.executemany(
            "INSERT INTO words (rowid, scope, body, labels) VALUES (?, ?, ?, '')",
            ((n + 1, word, words.index_text(text)) for n, text in enumerate(texts)),
        )
    seconds = perf_counter() - started
    between = _pages(db)
    with db:
        db.executemany("INSERT INTO bags VALUES (?, ?)", ((n + 1, terms.bag(text)) for n, text in enumerate(texts)))
    try:
        yield Store(db, seconds, between - before, _pages(db) - between)
    finally:
        db.close()


def _as_memories(db: apsw.Connection, texts: Sequence[str]) -> tuple[str, Iterator[list[Any]]]:
    """Names of columns, and the rows: each column that search does not look at is as empty as it may be."""
    columns = [
        (row[1], {"TEXT": "", "REAL": 0.0, "INTEGER": 0, "BLOB": b""}[row[2]])
        for row in db.execute("PRAGMA table_info(memories)")
        if row[3]
    ]
    rows = (
        {"id": _id(n).bytes, "fingerprint": _id(n).bytes, "scope": 1, "actor": 1, "content": text, "session_id": _session(n), "created": n}
        for n, text in enumerate(texts)
    )
    return ", ".join(name for name, _ in columns), ([row.get(name, empty) for name, empty in columns] for row in rows)


def _pages(db: apsw.Connection) -> int:
    return int(db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").get)


def _tantivy(texts: Sequence[str]) -> tuple[Search, float] | None:
    if tantivy is None:
        return None
    schema = tantivy.SchemaBuilder().add_text_field("body", tokenizer_name="en_stem").build()
    index = tantivy.Index(schema)
    started = perf_counter()
    writer = index.writer(heap_size=256_000_000, num_threads=1)
    for text in texts:
        writer.add_document(tantivy.Document(body=[text]))
    writer.commit()
    writer.wait_merging_threads()
    seconds = perf_counter() - started
    index.reload()
    searcher = index.searcher()
    return lambda question: searcher.search(index.parse_query(" ".join(question), ["body"]), LIMIT).hits, seconds


def _bm25s(texts: Sequence[str]) -> tuple[Search, float] | None:
    if bm25s is None:
        return None
    stem = Stemmer.Stemmer("english").stemWord
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    started = perf_counter()
    index.index([[stem(word) for word in words.split_words(text, for_index=True)] for text in texts], show_progress=False)
    seconds = perf_counter() - started
    return lambda question: index.retrieve([[stem(word) for word in question]], k=LIMIT, show_progress=False), seconds


# Figures


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = perf_counter()
    result = work()
    return result, perf_counter() - started


def _latencies(engines: Mapping[str, Search], questions: Sequence[Question]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds; the first five questions do not count."""
    taken: dict[str, list[float]] = defaultdict(list)
    for number, question in enumerate([*questions[:5], *questions]):
        for name, search in engines.items():
            seconds = _timed(lambda search=search, question=question: search(question))[1]
            if number >= 5:
                taken[name].append(seconds * 1000)
    rows: dict[str, float] = {}
    for name, times in taken.items():
        rows |= {f"{name}, p50": median(times), f"{name}, p95": quantiles(times, n=20)[-1]}
    return rows


def _bags(texts: Sequence[str]) -> dict[str, float]:
    """Where the time of making bags goes, in milliseconds per 1,000 texts; of at most ten thousand."""
    some = texts[:10_000]
    split, splitting = _timed(lambda: [words.split_words(text, for_index=True) for text in some])
    stemmer = Stemmer.Stemmer("english", 0)
    stemmed, stemming = _timed(lambda: [stemmer.stemWords(each) for each in split])
    _, hashing = _timed(lambda: [[terms.crc32(stem.encode()) for stem in each] for each in stemmed])
    terms._piece_keys.cache_clear()
    terms._key.cache_clear()
    _, cold = _timed(lambda: [terms.bag(text) for text in some])
    _, warm = _timed(lambda: [terms.bag(text) for text in some])
    parts = {"split": splitting, "stem": stemming, "hash": hashing, "bags, new words": cold, "bags, known words": warm}
    return {f"  {name}": seconds * 1e6 / len(some) for name, seconds in parts.items()}


def _loading(store: Store, bags: Sequence[bytes]) -> dict[str, float]:
    """From the file to an index that answers: bags read, or made of texts."""
    columns = "m.id, m.session_id, m.created"

    def load(query: str, as_bag: Callable[[Any], bytes]) -> Postings:
        ids, sessions, when, sources = zip(*store.db.execute(query), strict=True)
        bags = [as_bag(each) for each in sources]
        return Postings(Documents([UUID(bytes=each) for each in ids], bags, sessions, np.array(when), no_asides(len(ids))))

    stored, from_bags = _timed(lambda: load(f"SELECT {columns}, b.terms FROM memories m JOIN bags b ON b.memory = m.number", bytes))
    terms._piece_keys.cache_clear()
    terms._key.cache_clear()
    made, from_texts = _timed(lambda: load(f"SELECT {columns}, m.content FROM memories m", terms.bag))
    assert len(stored) == len(made) == len(bags)
    return {"from bags": from_bags * 1000, "from texts": from_texts * 1000}


def _writes(index: Postings, bags: Sequence[bytes]) -> dict[str, float]:
    """One memory at a time; the worst of them merges runs."""
    size, appended, replaced = len(bags), [], []
    for i in range(1000):
        number = size + i
        one = Documents([_id(number)], [bags[i % size]], [_session(number)], np.array([number]), no_asides(1))
        appended.append(_timed(lambda one=one: index.apply(one, ()))[1] * 1000)
    for i in range(200):
        one = Documents([_id(i)], [bags[-i % size]], [_session(i)], np.array([i]), no_asides(1))
        replaced.append(_timed(lambda one=one: index.apply(one, ()))[1] * 1000)
    rows = {}
    for name, times in (("append", appended), ("replace", replaced)):
        rows |= {f"{name}, p50": median(times), f"{name}, p95": quantiles(times, n=20)[-1], f"{name}, most": max(times)}
    return rows


def _about(index: Postings, corpus: Corpus) -> dict[str, float]:
    """What makes a question dear, and whether hashing to 32 bits brought words together."""
    view = index.view
    frequencies = [view.look_up(terms.keys_of(question)).frequencies for question in corpus.questions]
    stemmer = Stemmer.Stemmer("english")
    stems = {stem for text in corpus.texts for stem in stemmer.stemWords(words.split_words(text, for_index=True))}
    shared = len(stems) - len({terms.crc32(stem.encode()) for stem in stems})
    exact = [_same_as_plain(index, corpus.texts, question) for question in corpus.questions[:5]]
    return {
        "postings, p50": median(map(float, map(sum, frequencies))),
        "vocabulary, stems": len(stems),
        "stems that share a key": shared,
        "largest error against float64, relative": max(exact),
    }


def _same_as_plain(index: Postings, texts: Sequence[str], question: Question) -> float:
    """The largest difference from BM25 as it is written down, over the largest score; at most ten thousand texts are compared."""
    stem = Stemmer.Stemmer("english").stemWord
    wanted = {stem(word) for word in question}
    bags = [Counter(map(stem, words.split_words(text, for_index=True))) for text in texts[:10_000]]
    view = index.view if len(bags) == len(texts) else Postings(_documents([terms.bag(text) for text in texts[:10_000]])).view
    average = fmean(bag.total() for bag in bags)
    expected = np.zeros(len(bags))
    for word in wanted:
        frequency = sum(word in bag for bag in bags)
        rarity = math.log(1 + (len(bags) - frequency + 0.5) / (frequency + 0.5))
        expected += [rarity * 2.2 * bag[word] / (bag[word] + 1.2 * (0.25 + 0.75 * bag.total() / average)) for bag in bags]
    return float(np.abs(view.look_up(terms.keys_of(question)).rows() - expected).max() / expected.max())


def _quality(sets: Sequence[EvalSet]) -> Table:
    """R@10 and MRR within ten of the answerable questions of each set, in percent."""
    table: Table = {}
    for one in sets:
        scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for store in one.stores:
            names = list(store.items)
            texts = [request.content for request in store.items.values()]
            index = Postings(_documents([terms.bag(text) for text in texts]))
            rows = {_id(number): number for number in range(len(texts))}
            with tempfile.TemporaryDirectory(prefix="memory-mcp-bench-") as folder, _database(Path(folder) / "text.db", texts) as filled:
                for question in (question for question in store.questions if question.answerable):
                    hits = reads.search_text(filled.db, [SCOPE], question.query, ANYTHING, LIMIT)
                    best = index.view.best(index.view.look_up(terms.keys_of(words.query_terms(question.query))).rows(), LIMIT)
                    scores["postings"].append(_score([names[row] for row in best], question.gold))
                    scores["FTS5"].append(_score([names[rows[hit.id]] for hit in hits], question.gold))
        for name, pairs in scores.items():
            recall, reciprocal = map(fmean, zip(*pairs, strict=True))
            table.setdefault(f"{name}, R@10", {})[one.name] = 100 * recall
            table.setdefault(f"{name}, MRR", {})[one.name] = reciprocal
    return table


def _score(found: Sequence[str], gold: frozenset[str]) -> tuple[float, float]:
    first = next((1 / rank for rank, name in enumerate(found, 1) if name in gold), 0.0)
    return len(gold.intersection(found)) / len(gold), first


def main() -> None:
    """Measure and print."""
    sizes = [int(argument.replace("_", "")) for argument in sys.argv[1:]] or SIZES
    for title, table in run(sizes).items():
        print("\n" + as_text(title, table), flush=True)
    print("\n" + "; ".join(f"{TARGET} at {size:,}: {ms} ms" for size, ms in TARGETS_MS.items()))


if __name__ == "__main__":
    main()
