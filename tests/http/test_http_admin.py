"""The set `admin` over HTTP: what each role may look through, and who may look after it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http_servers import Serving, client_of, new_token, refused, serving, tell

ADMIN = '[tools]\nsets = ["admin"]\n[http.limits]\ncalls_per_minute = 0\naddress_calls_per_minute = 0\n'
Team = tuple[Serving, dict[str, str]]


async def tokens_of_all(folder: Path) -> dict[str, str]:
    roles = {"rita": "reader", "ann": "writer", "bob": "writer", "max": "manager", "ada": "admin"}
    stranger = await new_token(folder, tenant="other", subject="eve", role="admin")
    return {"eve": stranger, **{who: await new_token(folder, subject=who, role=role) for who, role in roles.items()}}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team") / "data"
    tokens = anyio.run(tokens_of_all, folder)
    with serving(folder, ADMIN) as server:
        yield server, tokens


async def ask(team: Team, who: str, tool: str, **arguments: Any) -> dict[str, Any]:
    async with client_of(team[0], team[1][who]) as client:
        return await tell(client, tool, **arguments)


async def denied(team: Team, who: str, tool: str, **arguments: Any) -> str:
    async with client_of(team[0], team[1][who]) as client:
        return await refused(client, tool, **arguments)


async def browse(team: Team, who: str, **arguments: Any) -> set[str]:
    return {entry["text"] for entry in (await ask(team, who, "browse", **arguments))["memories"]}


async def test_what_is_private_is_looked_through_by_its_owner_and_by_managers(team: Team) -> None:
    await ask(team, "ann", "remember", content="Ann's own matter", namespace="web", visibility="private")
    await ask(team, "ann", "remember", content="The web is for all", namespace="web")

    assert await browse(team, "ann", namespace="web") == {"Ann's own matter", "The web is for all"}
    for who in ("bob", "rita"):
        assert await browse(team, who, namespace="web") == {"The web is for all"}
        assert "Ann's own matter" not in await browse(team, who, namespace="*")
        assert "not open to you" in await denied(team, who, "browse", namespace="personal/ann/web")
    assert "Ann's own matter" in await browse(team, "max", namespace="*")
    assert await browse(team, "eve", namespace="*") == set()


async def test_the_trash_is_for_those_who_may_take_out_of_it(team: Team) -> None:
    stored = await ask(team, "ann", "remember", content="A note thrown away", namespace="trash")
    await ask(team, "ann", "forget", ids=[stored["id"]])

    assert await browse(team, "bob", namespace="trash", state="forgotten") == {"A note thrown away"}
    assert "takes the role writer" in await denied(team, "rita", "browse", namespace="trash", state="forgotten")
    assert "takes the role writer" in await denied(team, "rita", "browse", namespace="trash", state="all")
    assert await browse(team, "rita", namespace="trash") == set()


@pytest.mark.parametrize("action", ["namespaces", "operations", "export", "backup", "maintenance", "undo", "erase"])
@pytest.mark.parametrize("who", ["rita", "ann", "max"])
async def test_only_admins_look_after_it(team: Team, who: str, action: str) -> None:
    assert "takes the role admin" in await denied(team, who, "manage", action=action)


async def test_an_admin_reaches_the_own_tenant_alone(team: Team) -> None:
    stored = await ask(team, "ann", "remember", content="Acme's port is 8080", namespace="ops")
    await ask(team, "ann", "remember", content="acme's port is 8080.", namespace="ops")
    await ask(team, "eve", "remember", content="Eve's port is 9090", namespace="ops")
    counts = await ask(team, "eve", "manage", action="namespaces")
    log = await ask(team, "eve", "manage", action="operations")
    dry = await ask(team, "eve", "manage", action="maintenance")
    nothing = await ask(team, "eve", "manage", action="erase", ids=[stored["id"]])
    shown = await ask(team, "ada", "manage", action="maintenance")
    made = await ask(team, "eve", "manage", action="export")

    assert counts["namespaces"] == [{"namespace": "ops", "live": 1}]
    assert {entry["namespace"] for entry in log["operations"]} == {"ops"}
    assert len(log["operations"]) == 1
    assert (dry["done"]["merged"], nothing["would_erase"], made["memories"]) == (0, 0, 1)
    assert shown["would"]["merged"] == 1
    assert made["file"].startswith("exports/other-")


async def test_an_admin_erases_a_private_memory_for_good(team: Team) -> None:
    await ask(team, "bob", "remember", content="Bob plays the zimbeln", namespace="web", visibility="private")
    dry = await ask(team, "ada", "manage", action="erase", person="bob")
    done = await ask(team, "ada", "manage", action="erase", person="bob", confirm=dry["confirm"])

    assert (dry["would_erase"], done["erased"], done["proven"]) == (1, 1, True)
    assert "Bob plays the zimbeln" not in await browse(team, "max", namespace="*", state="all")


async def test_who_changed_a_memory_is_told_by_name(team: Team) -> None:
    stored = await ask(team, "ann", "remember", content="The door code is on the board", namespace="doors")
    await ask(team, "bob", "update", id=stored["id"], tags=["door"])
    told = await ask(team, "rita", "get", ids=[stored["id"]])

    assert told["memories"][0]["author"] == "ann"
    assert told["memories"][0]["changed"] == "update by mcp, bob (conversation)"
