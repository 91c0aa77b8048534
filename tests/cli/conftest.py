"""No engine that a command has started outlives its test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import end_engine


@pytest.fixture(autouse=True)
def _no_engine_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    for lock in tmp_path.rglob("engine.lock"):
        end_engine(lock.parent)
