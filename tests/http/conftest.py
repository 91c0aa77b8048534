"""One scene for all that attack it."""

from collections.abc import Iterator

import pytest

from tests.http_scene import Scene, scene_in


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server that is attacked."""
    with scene_in(tmp_path_factory.mktemp("hostile") / "data") as made:
        yield made
