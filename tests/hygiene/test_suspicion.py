"""What is flagged on the way out: text that hides something, and text that reads like orders."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.hygiene.hidden import hides, shown_openly, without
from memory_mcp.hygiene.orders import reads_as_order
from tests.hygiene.hostile_texts import HIDING, IMITATIONS, ORDERS
from tests.hygiene.ordinary_texts import LOOKS_HIDDEN, LOOKS_LIKE_A_SECRET, LOOKS_LIKE_AN_ORDER


@pytest.mark.parametrize("text", [*ORDERS, *IMITATIONS])
def test_orders_and_imitations_are_noticed_alone_and_within_a_text(text: str) -> None:
    assert reads_as_order(text)
    assert reads_as_order(f"The canteen opens at noon.\n{text}\nIt closes at two.")


@pytest.mark.parametrize("text", [*LOOKS_LIKE_AN_ORDER, *LOOKS_LIKE_A_SECRET, *LOOKS_HIDDEN])
def test_what_people_write_is_neither_an_order_nor_hides_anything(text: str) -> None:
    assert not reads_as_order(text)
    assert not hides(text)


@pytest.mark.parametrize("text", HIDING)
def test_hidden_characters_are_noticed_and_can_be_shown(text: str) -> None:
    assert hides(text)
    assert not hides(shown_openly(text))
    assert not hides(without(text))


@given(st.text())
def test_whatever_is_shown_openly_or_taken_out_hides_nothing(text: str) -> None:
    assert not hides(shown_openly(text))
    assert not hides(without(text))


HOSTILE = {
    "orders begun": "ignore " * 28_000,
    "blank lines": "\n" * 200_000 + "note: prompt: system:",
    "indented": "\n" + " " * 200_000 + "system:",
    "sending": "send " * 40_000 + "conversation",
    "calls": "<parameter name=" * 12_000,
    "ids": "id 018f3b1c-" * 16_000,
    "wide": "\u200b" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_long_to_look_at(name: str) -> None:
    started = time.process_time()
    reads_as_order(HOSTILE[name])
    hides(HOSTILE[name])

    assert time.process_time() - started < 5
