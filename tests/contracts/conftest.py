from pathlib import Path

import pytest
from record_stores import OPENERS, OpenStore


@pytest.fixture(params=list(OPENERS))
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """What opens a record store, for the test to open."""
    return OPENERS[request.param](tmp_path)
