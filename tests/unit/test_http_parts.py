"""Decisions of the server over HTTP, apart from any server."""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.access import Role
from memory_mcp.config import HttpSettings, JwtSettings, RoleSettings
from memory_mcp.errors import ConfigError, LimitError
from memory_mcp.server.http.addresses import network
from memory_mcp.server.http.balances import Balances, OwnBalances, SharedBalances
from memory_mcp.server.http.binding import is_local, refuse_strangers
from memory_mcp.server.http.claims import claim, identity_of, role_of
from memory_mcp.server.http.guard import hostname, names
from memory_mcp.server.http.identity import TokenRefusedError
from memory_mcp.server.http.rates import Rates
from memory_mcp.server.http.turns import Turns
from tests.engines import PATIENCE


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_share_is_used_up_and_fills_steadily() -> None:
    clock = Clock()
    rates = Rates(60, clock)
    for _ in range(60):
        assert rates.wait("ann") == 0
        rates.take("ann", 1)
    used_up = rates.wait("ann")
    clock.now += 0.5
    half = rates.wait("ann")
    clock.now += 0.5

    assert (used_up, half, rates.wait("ann"), rates.wait("bob")) == (1.0, 0.5, 0, 0)


def test_what_is_overdrawn_has_to_be_made_up_for() -> None:
    clock = Clock()
    rates = Rates(60, clock)
    rates.take("ann", 120)
    clock.now += 60

    assert rates.wait("ann") == pytest.approx(1.0)
    assert Rates(0, clock).wait("anybody") == 0


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 20)), max_size=50))
def test_no_more_than_the_share_and_what_fills_meanwhile_is_ever_used(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    rates, used = Rates(30, clock), 0
    for pause, tries in steps:
        clock.now += pause
        for _ in range(tries):
            if not rates.wait("ann"):
                rates.take("ann", 1)
                used += 1

    assert used <= 30 + (clock.now - 1_000) * 30 / 60 + 1e-6


@pytest.mark.parametrize("balances", [OwnBalances, SharedBalances])
def test_balances_are_each_ones_own(balances: Callable[[], Balances]) -> None:
    kept, clock = balances(), Clock()
    of_calls, of_bytes = Rates(60, clock, kept, "calls"), Rates(60, clock, kept, "bytes")
    for number in range(500):
        of_calls.take(f"who {number}", number)

    assert [of_calls.wait(f"who {number}") for number in range(60)] == [0] * 60
    assert [of_calls.wait(f"who {number}") for number in range(61, 500)] == [pytest.approx(number - 59) for number in range(61, 500)]
    assert of_bytes.wait("who 499") == 0


@pytest.mark.parametrize("balances", [OwnBalances, SharedBalances])
def test_many_more_than_there_is_room_for_drive_out_who_has_been_quiet(balances: Callable[[], Balances]) -> None:
    clock = Clock()
    rates = Rates(60, clock, balances())
    rates.take("early", 100)
    for number in range(40_000):
        clock.now += 0.001
        rates.take(f"who {number}", 100)
    told = [bool(rates.wait(f"who {number}")) for number in range(30_000, 40_000)]

    assert rates.wait("early") == 0
    assert sum(told) > 9_000


def _take(rates: Rates) -> None:
    for _ in range(30):
        rates.take("ann", 1)


def test_processes_count_together() -> None:
    rates = Rates(6, time.monotonic, SharedBalances())
    context = multiprocessing.get_context("spawn")
    for _ in range(2):  # one after the other: at the very same instant one would go uncounted
        process = context.Process(target=_take, args=[rates])
        process.start()
        process.join(PATIENCE)

        assert process.exitcode == 0

    assert 400 < rates.wait("ann") <= 550


async def test_tenants_take_turns() -> None:
    turns = Turns(slots=4, each=4, wait_seconds=5)
    order: list[str] = []
    release = anyio.Event()

    async def call(tenant: str, token: str) -> None:
        async with turns.turn(tenant, token):
            order.append(tenant)
            await release.wait()
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(call, "many", f"token-{number}")
        await anyio.wait_all_tasks_blocked()
        at_first = list(order)
        tasks.start_soon(call, "one", "token")
        await anyio.wait_all_tasks_blocked()
        at_once = list(order)
        tasks.start_soon(call, "one", "token")
        await anyio.wait_all_tasks_blocked()
        release.set()

    assert at_first == ["many"] * 3  # of four: one is left for others
    assert at_once == ["many"] * 3 + ["one"]
    assert "one" in order[4:6]
    assert len(order) == 22


async def test_who_waits_too_long_is_told_so_and_holds_up_nobody() -> None:
    turns = Turns(slots=2, each=1, wait_seconds=0.05)
    async with turns.turn("acme", "ann"):
        with pytest.raises(LimitError, match="try again in"):
            async with turns.turn("acme", "ann"):
                pass
    async with turns.turn("acme", "ann"):
        pass


async def test_a_call_that_is_cancelled_while_it_waits_leaves_its_place() -> None:
    turns = Turns(slots=2, each=1, wait_seconds=5)
    async with turns.turn("acme", "ann"):
        with anyio.move_on_after(0.01):
            async with turns.turn("acme", "ann"):
                raise AssertionError
    with anyio.fail_after(1):
        async with turns.turn("acme", "ann"):
            pass


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8765", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8765", "::1"),
        ("::1", "::1"),
        ("localhost@evil.example", "evil.example"),
        ("evil.example/localhost", "evil.example"),
        ("", ""),
        ("[::1", ""),
    ],
)
def test_the_name_in_a_host(header: str, name: str) -> None:
    assert hostname(header) == name


def test_a_server_knows_the_names_that_follow_from_its_settings() -> None:
    local = names("127.0.0.1", "", [], [])
    public = names("0.0.0.0", "https://memory.example.com:8443/base", ["other.example.com:1"], ["https://app.example.com/"])

    assert local.hosts == {"localhost", "127.0.0.1", "::1"}
    assert public.hosts == {"memory.example.com", "other.example.com"}
    assert public.admits("https://app.example.com", "memory.example.com")
    assert local.admits("http://localhost:8765", "localhost:8765")
    assert not local.admits("http://localhost:1", "localhost:8765")
    assert not local.admits("null", "localhost:8765")
    assert not local.admits("http://[", "localhost:8765")


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("", "local"),
        ("something", "something"),
    ],
)
def test_what_an_address_is_counted_as(address: str, counted: str) -> None:
    assert network(address) == counted


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.1", False)]
)
def test_which_addresses_are_this_machines_own(host: str, local: bool) -> None:
    settings = HttpSettings(host=host)

    assert is_local(settings) is local
    if not local:
        with pytest.raises(ConfigError):
            refuse_strangers(settings, somebody=False)


JWT = JwtSettings(issuer="https://id.example.com", audience="x", jwks_url="https://id.example.com/keys")
CLAIMS: dict[str, Any] = {"sub": "ann", "tenant": "acme", "roles": ["writer"]}


def test_claims_give_tenant_role_and_subject() -> None:
    identity = identity_of(CLAIMS, JWT)
    nested = identity_of(
        {"sub": "auth0|7", "realm_access": {"roles": ["x", "admin", "reader"]}},
        JWT.model_copy(update={"tenant": "globex", "role_claim": "realm_access.roles"}),
    )

    assert (identity.tenant, identity.access.role, identity.access.subject) == ("acme", Role.WRITER, "ann")
    assert (nested.tenant, nested.access.role) == ("globex", Role.ADMIN)
    assert nested.access.subject.startswith("auth0-7~")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"tenant": None}, 403),
        ({"tenant": 7}, 403),
        ({"tenant": "a b"}, 403),
        ({"roles": None}, 403),
        ({"roles": {"writer": True}}, 403),
        ({"roles": [["writer"]]}, 403),
        ({"roles": "rewriter"}, 403),
        ({"sub": ""}, 401),
        ({"sub": ["ann"]}, 401),
    ],
)
def test_claims_that_say_nothing_of_use_are_refused(changes: dict[str, Any], status: int) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        identity_of({**CLAIMS, **changes}, JWT)

    assert caught.value.status == status


def test_a_claims_own_name_goes_before_a_way_through_others() -> None:
    assert claim({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert claim({"a": {"b": 2}}, "a.b") == 2
    assert claim({"a": "b"}, "a.b") is None
    assert role_of("openid writer manager", RoleSettings()) is Role.MANAGER
