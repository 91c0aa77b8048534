"""Imports at a start, and the collector of garbage."""

import gc
from collections.abc import Iterator
from importlib import import_module

import pytest

from memory_mcp.front.importing import quick_imports


@pytest.fixture(autouse=True)
def _everything_is_looked_at_again() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_rests_meanwhile_and_leaves_alone_what_is_there_then() -> None:
    with quick_imports():
        assert not gc.isenabled()
        kept = [object()]

    assert gc.isenabled()
    assert not any(one is kept for one in gc.get_objects())


def test_it_goes_on_whatever_an_import_has_raised() -> None:
    with pytest.raises(ImportError), quick_imports():
        import_module("memory_mcp.no_such_module")

    assert gc.isenabled()
