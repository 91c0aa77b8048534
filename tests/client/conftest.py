"""A server over HTTP that every test of this folder may use, each in a tenant of its own."""

from collections.abc import Iterator

import pytest

from tests.http_servers import Serving, serving

UNLIMITED = "[http.limits]\ncalls_per_minute = 0\naddress_calls_per_minute = 0\nrequests_per_minute = 0\nrefusals_per_minute = 100000\n"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("client") / "data", UNLIMITED) as made:
        yield made
