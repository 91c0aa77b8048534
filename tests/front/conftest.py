"""A data directory for each test, whose engine does not outlive it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import data_directory


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with data_directory(tmp_path / "data") as made:
        yield made
