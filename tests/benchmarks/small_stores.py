"""Stores as a new user has them: a few memories drawn from a set, with who may ask and what was never stored there. Pure."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from memory_mcp.remember.drafts import RememberRequest
from tests.benchmarks.sets import EvalSet, Question, Store

SIZES: Mapping[int, int] = {5: 24, 20: 8, 100: 3}
"""Memories in a store, and how many such stores are drawn, in each way to draw them."""
MOST_EVIDENCE = 3
"""Of the question around which a store is drawn, so that five memories hold it."""
MOST_ASKED = 25
"""Of one store, so that no large one outweighs the others."""


@dataclass(frozen=True, slots=True)
class SmallStore:
    """What to remember, and what to ask then.

    Attributes:
        own: Questions whose whole evidence is there.
        same_set: About what is not there, of the same set; of another conversation, if the memories are of one.
        other_sets: About what is not there, of other sets.
    """

    size: int
    items: Mapping[str, RememberRequest]
    own: tuple[Question, ...]
    same_set: tuple[Question, ...]
    other_sets: tuple[Question, ...]


def small_stores(one: EvalSet, others: Sequence[EvalSet], seed: int = 1) -> Iterator[SmallStore]:
    """The same ones for the same set and seed; of a set with fewer memories than a size, none of it.

    Memories are drawn one here and one there, and of conversations as they follow one another, besides.

    Args:
        others: Sets of whose questions nothing is stored.
    """
    rng = random.Random(f"{seed} {one.name}")
    foreign = [_together(other).questions for other in others]
    whole = _together(one)
    for size, count in SIZES.items():
        if len(whole.items) > size:
            for _ in range(count):
                yield _with_strangers(_drawn(whole, size, rng), size, whole, foreign, rng)
        if long := [store for store in one.stores if len(store.items) > size and _is_conversation(store)]:
            for _ in range(count):
                home = rng.choice(long)
                yield _with_strangers(_in_a_row(_named(home), size, rng), size, whole, foreign, rng)


def _is_conversation(store: Store) -> bool:
    return all(item.session_id for item in store.items.values())


def _together(one: EvalSet) -> Store:
    named = [_named(store) for store in one.stores]
    items = {name: item for store in named for name, item in store.items.items()}
    return Store("", items, tuple(asked for store in named for asked in store.questions if asked.answerable))


def _named(store: Store) -> Store:
    """The same with ids that no other store of the set has."""
    items = {f"{store.id}/{name}": item for name, item in store.items.items()}
    questions = (replace(asked, gold=frozenset(f"{store.id}/{gold}" for gold in asked.gold)) for asked in store.questions)
    return Store(store.id, items, tuple(questions))


def _drawn(whole: Store, size: int, rng: random.Random) -> Store:
    gold = _evidence(whole, rng)
    others = [name for name in whole.items if name not in gold]
    chosen = gold | set(rng.sample(others, size - len(gold)))
    return _part(whole, chosen)


def _in_a_row(home: Store, size: int, rng: random.Random) -> Store:
    names = list(home.items)
    place = {name: number for number, name in enumerate(names)}
    near = Store(home.id, home.items, tuple(asked for asked in home.questions if _span(asked, place) < size))
    gold = [place[name] for name in _evidence(near, rng)]
    first = rng.randint(max(0, max(gold) - size + 1), min(min(gold), len(names) - size))
    return _part(home, set(names[first : first + size]))


def _span(asked: Question, place: Mapping[str, int]) -> int:
    places = [place[name] for name in asked.gold]
    return max(places) - min(places) if places else len(place)


def _evidence(store: Store, rng: random.Random) -> frozenset[str]:
    return rng.choice([asked for asked in store.questions if asked.answerable and len(asked.gold) <= MOST_EVIDENCE]).gold


def _part(store: Store, names: set[str]) -> Store:
    items = {name: item for name, item in store.items.items() if name in names}
    return Store(store.id, items, tuple(asked for asked in store.questions if asked.answerable and asked.gold <= names))


def _with_strangers(part: Store, size: int, whole: Store, foreign: Sequence[Sequence[Question]], rng: random.Random) -> SmallStore:
    own = tuple(rng.sample(part.questions, min(len(part.questions), MOST_ASKED)))
    home = f"{part.id}/"
    never = [asked for asked in whole.questions if not asked.gold & part.items.keys() and not min(asked.gold).startswith(home)]
    return SmallStore(
        size,
        part.items,
        own,
        tuple(rng.sample(never, min(len(never), len(own)))),
        tuple(rng.choice(rng.choice(foreign)) for _ in own),  # each set alike, however long
    )
