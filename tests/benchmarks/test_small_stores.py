from statistics import fmean

from tests.benchmarks.bench_quality import verdicts_in_small_stores
from tests.benchmarks.sets import FIRST_DAYS, OWN, read_sets
from tests.benchmarks.small_stores import MOST_ASKED, small_stores


def test_stores_are_drawn_the_same_each_time_and_whoever_asks_is_told_apart() -> None:
    own, first = read_sets([OWN, FIRST_DAYS])
    drawn = list(small_stores(own, [first]))

    assert drawn == list(small_stores(own, [first]))
    assert {one.size for one in drawn} == {5, 20}
    for one in drawn:
        assert len(one.items) == one.size
        assert 0 < len(one.own) <= MOST_ASKED
        assert all(asked.gold <= one.items.keys() for asked in one.own)
        assert not any(asked.gold & one.items.keys() for asked in (*one.same_set, *one.other_sets))


async def test_in_a_small_store_what_is_stored_is_found_and_what_is_not_is_not_made_up() -> None:
    """Floors lie some points below what was measured (see README.md): they tell a verdict that went wrong from noise."""
    table = await verdicts_in_small_stores(read_sets([OWN, FIRST_DAYS]))  # as a clone without other sets has them
    of_own, of_first = ({row: shares[name] for row, shares in table.items()} for name in ("own", "first-days"))

    for size in (5, 20):
        assert of_own[f"{size} memories, stored: none %"] <= 3
        assert of_first[f"{size} memories, stored: none %"] <= 18  # every seventh is asked in another language
        strangers = f"{size} memories, never stored, asked by another set"
        assert fmean(one[f"{strangers}: none %"] for one in (of_own, of_first)) >= 72  # both sets are about projects and homes
        assert fmean(one[f"{strangers}: strong %"] for one in (of_own, of_first)) <= 4
