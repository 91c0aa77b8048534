"""Relations and what surrounds an entity, over both record stores and the real model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from postgres_server import Databases, server

from memory_mcp.access import Access, Role
from memory_mcp.answers import RecallRequest
from memory_mcp.config import Settings
from memory_mcp.errors import AccessDeniedError, MemoryNotFoundError, RequestError
from memory_mcp.knowledge.nodes import Node
from memory_mcp.models import Caller, Changes
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.text.entities import Statement
from tests.memories import CALLER, open_service, settings_for

OTHER_TENANT = Caller("other", "project")


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Of a memory in each record store."""
    if request.param == "sqlite":
        yield settings_for(tmp_path)
        return
    databases = Databases(tmp_path)
    yield settings_for(tmp_path).model_copy(update={"records": server().settings(databases.make())})
    databases.drop()


async def around(service: MemoryService, entity: str, depth: int = 1, namespace: str = "", caller: Caller = CALLER) -> list[str]:
    found = await service.explore(entity, caller, namespace, depth=depth)
    return [str(fact.statement) for fact in found.facts]


async def remember(service: MemoryService, content: str, **fields: object) -> str:
    receipt = await service.remember(RememberRequest(content, **fields), CALLER)  # type: ignore[arg-type]
    return str(receipt.added.id)


async def test_what_is_related_is_found_from_either_end_with_who_said_it(settings: Settings) -> None:
    async with open_service(settings) as service:
        meeting = await remember(service, "In the meeting Ann told us about Acme")
        done = await service.relate(["Ann | works at | Acme", "Acme | makes | anvils"], CALLER, source=meeting)
        (alone,) = await service.relate(["Bob | works at | ACME"], CALLER)
        acme = await service.explore("acme", CALLER)
        ann = await service.explore("Ann", CALLER, depth=2)

        assert [(one.status, str(one.memory)) for one in done] == [("stored", meeting)] * 2
        assert acme.name in ("Acme", "ACME")
        assert [str(fact.statement) for fact in acme.facts] == ["Bob | works at | ACME", "Ann | works at | Acme", "Acme | makes | anvils"]
        assert [str(memory.id) for memory in acme.memories] == [str(alone.memory), meeting]
        assert [(str(fact.statement), fact.depth) for fact in ann.facts] == [
            ("Ann | works at | Acme", 0),
            ("Bob | works at | ACME", 1),
            ("Acme | makes | anvils", 1),
        ]
        found = (await service.get([str(alone.memory)], CALLER))[0][0]
        assert found.content == "Bob works at ACME"


async def test_a_relation_said_again_is_known_and_one_that_ended_says_so(settings: Settings) -> None:
    async with open_service(settings) as service:
        (first,) = await service.relate(["Ann | works at | Acme"], CALLER, valid_from="2020-01-01")
        (again,) = await service.relate(["Ann | works at | Acme | 2020-01-01"], CALLER)
        (over,) = await service.relate(["Ann | works at | Acme"], CALLER, valid_from="2020-01-01", valid_to="2024-01-01")
        assert (first.status, again.status, over.status) == ("stored", "already_known", "changed")
        assert first.memory == again.memory == over.memory
        (fact,) = (await service.explore("Ann", CALLER)).facts
        assert fact.statement.valid_to is not None

        assert over.operation is not None
        await service.undo(str(over.operation), CALLER)
        (fact,) = (await service.explore("Ann", CALLER)).facts
        assert fact.statement.valid_to is None
        await service.forget([str(first.memory)], CALLER)
        assert await around(service, "Ann") == []
        await service.undo("last", CALLER)
        assert len(await around(service, "Ann")) == 1


async def test_one_that_has_ended_says_so_wherever_it_is_read_and_says_it_no_more_when_that_is_undone(settings: Settings) -> None:
    async with open_service(settings) as service:
        (acme,) = await service.relate(["Ann | works at | Acme"], CALLER, valid_from="2020-01-01")
        meeting = await remember(service, "Ann told us about Initech", metadata={"relations": "Ann | works at | Initech"})
        (over,) = await service.relate(["Ann | works at | Acme"], CALLER, valid_to="2024-01-01")
        await service.relate(["Ann | works at | Initech"], CALLER, source=meeting, valid_to="2019-01-01")
        await service.relate(["Ann | works at | Globex | 2024-01-01"], CALLER)
        (left,) = await service.relate(["Bob | works at | Acme | 2020-01-01 | 2023-06-30"], CALLER)
        recalled = await service.recall(RecallRequest("Where does Ann work?"), CALLER)
        said = {str(hit.memory.id): hit.memory.content for hit in recalled.hits}
        (bob,) = await service.get([str(left.memory)], CALLER)
        assert over.operation is not None
        await service.undo(str(over.operation), CALLER)
        (back,) = await service.get([str(acme.memory)], CALLER)

    assert over.memory == acme.memory
    assert said[str(acme.memory)] == "Ann works at Acme (until 2024-01-01)"
    assert said[meeting] == "Ann told us about Initech", "what somebody has written stays as it was written"
    assert "Ann works at Globex" in said.values()
    assert bob[0].content == "Bob works at Acme (until 2023-06-30)"
    assert back[0].content == "Ann works at Acme"


async def test_the_same_relation_in_other_letters_is_the_same(settings: Settings) -> None:
    async with open_service(settings) as service:
        meeting = await remember(service, "We talked about parcels", metadata={"relations": "parcels | uses | redis"})
        (first,) = await service.relate(["Parcels | uses | Postgres"], CALLER)
        (again,) = await service.relate(["PARCELS | Uses |  postgres"], CALLER)
        (over,) = await service.relate(["parcels | uses | POSTGRES"], CALLER, valid_to="2026-01-01")
        (other,) = await service.relate(["Parcels | uses | Redis"], CALLER)

    assert again.memory == over.memory == first.memory
    assert (again.status, over.status, other.status) == ("already_known", "changed", "stored")
    assert str(other.memory) != meeting
    assert str(over.statement) == "Parcels | uses | Postgres |  | 2026-01-01T00:00:00+00:00"


async def test_a_relation_that_is_ended_keeps_since_when_it_held(settings: Settings) -> None:
    async with open_service(settings) as service:
        await service.relate(["Ann | works at | Acme | 2020-01-01"], CALLER)
        (again,) = await service.relate(["Ann | works at | Acme"], CALLER)
        (over,) = await service.relate(["Ann | works at | Acme"], CALLER, valid_to="2024-01-01")
        ended = await around(service, "Ann")
        (back,) = await service.relate(["Ann | works at | Acme"], CALLER)
        (before,) = await service.relate(["Ann | works at | Acme"], CALLER, valid_from="2026-01-01")
        (older,) = await service.relate(["Ann | works at | Acme"], CALLER, valid_to="2025-01-01")

        assert (again.status, over.status) == ("already_known", "changed")
        assert ended == [str(over.statement)] == ["Ann | works at | Acme | 2020-01-01T00:00:00+00:00 | 2024-01-01T00:00:00+00:00"]
        assert str(back.statement) == "Ann | works at | Acme"
        assert str(before.statement) == "Ann | works at | Acme | 2026-01-01T00:00:00+00:00"
        assert str(older.statement) == "Ann | works at | Acme |  | 2025-01-01T00:00:00+00:00"


async def test_relations_that_come_at_once_are_all_kept(settings: Settings) -> None:
    """Two calls that read the same memory before either has written do not undo each other."""
    async with open_service(settings) as service:
        source = await remember(service, "The floor plan of the office")
        memory = (await service.get([source], CALLER))[0][0]
        async with open_service(settings) as another:
            await another.relate(["desk 1 | stands beside | desk 2"], CALLER, source=source)
            stale = Changes(relations=(Statement("desk 2", "stands beside", "desk 3"),))
            await service.records.revise([memory.scope], memory.id, stale, CALLER.provenance, service.clock())

        assert len(await around(service, "desk 2")) == 2


async def test_what_is_near_is_told_however_much_there_is_further_out(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await service.relate(["Ann | knows | Bob"], CALLER)
        for start in range(0, 300, 100):
            far = [f"Bob | owns | thing {number}" for number in range(start, start + 100)]
            await remember(service, f"The things of number {start} and so on", metadata={"relations": far})
        found = await service.explore("Ann", CALLER, depth=3)

        assert (str(found.facts[0].statement), found.facts[0].depth) == ("Ann | knows | Bob", 0)
        assert 50 < len(found.facts) <= 400


async def test_names_types_and_what_is_not_known(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await remember(
            service, "We met Ann Smith at the fair", metadata={"relations": ["Ann Smith | is a | person", "Ann Smith | is a | pilot"]}
        )
        await service.relate(["Ann Smith | also called | Annie", "Annie | flies | Cessna"], CALLER)
        ann, annie, nobody = [await service.explore(name, CALLER) for name in ("ann smith", "Annie", "Ann")]

        assert (ann.name, sorted(ann.types), ann.aliases) == ("Ann Smith", ["person", "pilot"], ["Annie"])
        assert (annie.name, sorted(annie.types), annie.aliases) == ("Annie", ["person", "pilot"], ["Ann Smith"])
        assert [str(fact.statement) for fact in ann.facts] == ["Annie | flies | Cessna"]
        assert {memory.id for memory in ann.memories} == {memory.id for memory in annie.memories}
        assert not nobody.facts
        assert ann.memories[-1] in nobody.memories  # it has the word
        assert {entity.name for entity in nobody.others} == {"Ann Smith", "Annie"}


async def test_what_has_not_the_form_of_a_name_is_found_where_it_stands_in_a_text(settings: Settings) -> None:
    async with open_service(settings) as service:
        old = await remember(service, "The staging database runs on db7, port 5433", key="staging.database")
        new = await remember(service, "The staging database moved to DB7: more room, with k8s-prod-2 beside it", key="staging.database")
        await remember(service, "A text on db77 and k8s-prod, tea leaves and the prod 2 of k8s")
        (related,) = await service.relate(["billing | uses | k8s-prod-2"], CALLER)
        await service.remember(RememberRequest("Elsewhere db7 is a chair"), CALLER, "elsewhere")
        seen = {name: await service.explore(name, CALLER) for name in ("db7", "DB7", "k8s-prod-2", "tea", "leaf", "staging  Database")}

        ids = {name: [str(memory.id) for memory in found.memories] for name, found in seen.items()}
        assert ids["db7"] == ids["DB7"] == ids["staging  Database"] == [new] != [old]
        assert ids["k8s-prod-2"] == [str(related.memory), new]
        assert [str(fact.statement) for fact in seen["k8s-prod-2"].facts] == ["billing | uses | k8s-prod-2"]
        assert len(ids["tea"]) == 1
        assert ids["leaf"] == []
        assert await service.explore("db7", OTHER_TENANT) == replace(seen["leaf"], name="db7")


async def test_nothing_crosses_a_namespace_or_a_tenant(settings: Settings) -> None:
    async with open_service(settings) as service:
        source = await remember(service, "Here Ann works for Acme")
        await service.relate(["Ann | works at | Acme"], CALLER, source=source)
        await service.relate(["Ann | likes | tea"], CALLER, "global")
        await service.relate(["Ann | likes | war"], CALLER, "elsewhere")

        assert sorted(await around(service, "Ann")) == ["Ann | likes | tea", "Ann | works at | Acme"]
        assert sorted(await around(service, "Ann", namespace="elsewhere")) == ["Ann | likes | tea", "Ann | likes | war"]
        assert await around(service, "Ann", caller=OTHER_TENANT) == []
        with pytest.raises(MemoryNotFoundError):
            await service.relate(["Ann | likes | war"], OTHER_TENANT, source=source)


async def test_who_may_not_write_relates_nothing_and_what_is_private_stays_so(settings: Settings) -> None:
    ann, bob = (replace(CALLER, access=Access(role=Role.WRITER, subject=name)) for name in ("ann", "bob"))
    reader = replace(CALLER, access=Access(role=Role.READER, subject="ann"))
    async with open_service(settings) as service:
        shared = str((await service.relate(["Ann | works at | Acme"], ann))[0].memory)
        await service.relate(["Ann | plots against | Acme"], replace(ann, visibility="private"))
        for source in ("", shared):
            with pytest.raises(AccessDeniedError):
                await service.relate(["Ann | hates | Acme"], reader, source=source)
        with pytest.raises(AccessDeniedError):
            await service.create_nodes([Node("Acme", "company")], reader)
        with pytest.raises(AccessDeniedError):
            await service.delete_edges([Statement("Ann", "works at", "Acme")], reader)

        assert sorted(await around(service, "Acme", caller=ann)) == ["Ann | plots against | Acme", "Ann | works at | Acme"]
        assert await around(service, "Acme", caller=bob) == ["Ann | works at | Acme"]
        assert [str(edge) for edge in (await service.read_nodes(bob))[1]] == ["Ann | works at | Acme"]
        assert len((await service.read_nodes(ann))[1]) == 2


async def test_a_superseded_source_is_refused_and_its_relations_are_gone(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        source = await remember(service, "The build runs on db7", key="build.host", metadata={"relations": "build | runs on | db7"})
        await remember(service, "The build runs on db8", key="build.host", metadata={"relations": "build | runs on | db8"})

        assert await around(service, "build") == ["build | runs on | db8"]
        with pytest.raises(MemoryNotFoundError):
            await service.relate(["a | b | c"], CALLER, source=source)


async def test_bad_values_are_refused_in_words(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        source = await remember(service, "A plan")
        for relations in ([], ["no relation"], ["a | b"], ["a | b | c"] * 51, ["a | \n | c"], ["x" * 900]):
            with pytest.raises(RequestError):
                await service.relate(relations, CALLER)
        with pytest.raises(RequestError, match="valid_from"):
            await service.relate(["a | b | c"], CALLER, valid_from="2025-01-01", valid_to="2024-01-01")
        for number in range(2):
            await service.relate([f"a{number} | b | c{other}" for other in range(50)], CALLER, source=source)
        with pytest.raises(RequestError, match="Leave out source"):
            await service.relate(["a | b | c"], CALLER, source=source)
        for entity, depth in (("", 1), ("Ann", 0), ("Ann", 4), ("x" * 300, 1)):
            with pytest.raises(RequestError):
                await service.explore(entity, CALLER, depth=depth)

        assert json.dumps((await service.get([source], CALLER))[0][0].metadata).count("|") == 200
