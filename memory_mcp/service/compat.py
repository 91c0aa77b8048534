"""What the official memory server can do, over the same memories: entities, observations and relations are memories like others."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from memory_mcp.access import Role
from memory_mcp.errors import RequestError, require
from memory_mcp.graph import Relation
from memory_mcp.knowledge.identities import of_entity, of_observation
from memory_mcp.knowledge.nodes import (
    ENTITY_TAG,
    ENTITY_TYPE,
    OBSERVATION_TAG,
    Node,
    NodeGraph,
    entity_of,
    holding,
    says_nothing_else,
)
from memory_mcp.models import Caller, Changes, Filter, Memory
from memory_mcp.remember import door
from memory_mcp.remember.drafts import RememberRequest, draft
from memory_mcp.remember.hygiene import cleaned, weight_of
from memory_mcp.service.linking import relation_request
from memory_mcp.service.recalling import Recalling
from memory_mcp.service.remembering import Remembering
from memory_mcp.text.entities import ENTITY, IS_A, RELATIONS, Statement, read_relation, with_relations

_MOST = 20_000
"""Memories and relations of a namespace that are looked at."""
_MOST_FOUND = 20


class Compat(Remembering, Recalling):
    """The nine use cases of the official server; what they delete is forgotten, so that `undo` brings it back."""

    __slots__ = ()

    async def create_nodes(self, nodes: Sequence[Node], caller: Caller) -> list[Node]:
        """Make entities that are not there, with their observations; those that were made.

        Raises:
            RequestError: A name or text is not allowed; nothing was stored.
        """
        known = (await self._node_graph(caller)).entities
        new: dict[str, Node] = {}
        for node in nodes:
            if not door.text(node.name, "name", max_characters=door.MAX_NAME_CHARACTERS).strip():
                raise RequestError("An entity has no name. Give each a name.")
            if node.name not in known:
                new.setdefault(node.name, node)
        requests = {
            node.name: [_entity_request(node.name, node.type), *(_observation_request(node.name, text) for text in node.observations)]
            for node in new.values()
        }
        await self._check([request for each in requests.values() for request in each], caller)
        made = []
        for name, (entity, *observations) in requests.items():
            receipt = await self.remember(entity, caller)
            if receipt.added.status != "already_known":  # made by somebody else in this moment
                made.append(new[name])
            for request in observations:
                await self.remember(request, caller)
        return made

    async def add_observations(self, observed: Sequence[tuple[str, Sequence[str]]], caller: Caller) -> list[tuple[str, list[str]]]:
        """Add observations to entities; which were new.

        Raises:
            RequestError: There is no such entity, or a text is not allowed; nothing was stored.
        """
        graph = await self._node_graph(caller)
        for name, _ in observed:
            _expect(name, graph)
        await self._check([_observation_request(name, text) for name, texts in observed for text in texts], caller)
        added = []
        for name, texts in observed:
            receipts = [(text, await self.remember(_observation_request(name, text), caller)) for text in texts]
            added.append((name, [text for text, receipt in receipts if receipt.added.status != "already_known"]))
        return added

    async def create_edges(self, edges: Sequence[Statement], caller: Caller) -> list[Statement]:
        """Make relations that are not there; those that were made.

        Raises:
            RequestError: An end is no entity, or a relation cannot be written; nothing was stored.
        """
        graph = await self._node_graph(caller)
        for edge in edges:
            _expect(edge.subject, graph)
            _expect(edge.object, graph)
            if read_relation(str(edge)) != edge:
                raise RequestError(f"The relation {str(edge)[:80]!r} holds a | or a line break, or is too long. Use plain, short names.")
        known = {_plain(one.statement) for one in graph.relations}
        new = [edge for edge in dict.fromkeys(edges) if _plain(edge) not in known]
        await self._check([relation_request(edge) for edge in new], caller)
        for edge in new:
            receipt = await self.remember(relation_request(edge), caller)
            if receipt.added.status == "already_known":  # of a memory that states it no more
                scopes = [self._place(caller, "", "")]
                await self.records.revise(scopes, receipt.added.id, Changes(relations=(edge,)), caller.provenance, self.clock())
        return new

    async def delete_nodes(self, names: Sequence[str], caller: Caller) -> list[str]:
        """Forget entities with their observations and relations; the names of those that were not there."""
        graph = await self._node_graph(caller)
        wanted = set(names)
        there = {node.name for node in graph.nodes()}
        ids = [memory.id for name, memory in graph.entities.items() if name in wanted]
        ids += [memory.id for name in wanted for memory in graph.observations.get(name, ())]
        await self._forget(ids, graph.touching(wanted), caller)
        return [name for name in names if name not in there]

    async def delete_observations(self, deleted: Sequence[tuple[str, Sequence[str]]], caller: Caller) -> tuple[int, list[str]]:
        """Forget observations; how many that were, and the names of entities that are not there."""
        graph = await self._node_graph(caller)
        meant = [one.id for name, texts in deleted for one in graph.observations.get(name, ()) if one.content in texts]
        await self._forget(meant, (), caller)
        return len(set(meant)), [name for name, _ in deleted if name not in graph.entities]

    async def delete_edges(self, edges: Sequence[Statement], caller: Caller) -> int:
        """Forget relations; how many that were."""
        wanted = {_plain(edge) for edge in edges}
        relations = [one for one in (await self._node_graph(caller)).relations if _plain(one.statement) in wanted]
        await self._forget((), relations, caller)
        return len({_plain(one.statement) for one in relations})

    async def read_nodes(
        self, caller: Caller, *, names: Sequence[str] | None = None, query: str | None = None
    ) -> tuple[list[Node], list[Statement]]:
        """All entities, those of these names, or those that a query finds; and the relations that touch them.

        What holds the query is found; where nothing does, what answers it.
        """
        graph = await self._node_graph(caller)
        nodes = graph.nodes()
        if names is not None:
            nodes = _named(nodes, set(names))
        elif query is not None:
            nodes = holding(nodes, query) or _named(nodes, await self._answering(query, caller))
        touching = graph.relations if names is None and query is None else graph.touching({node.name for node in nodes})
        edges = {_plain(one.statement): one.statement for one in touching}
        return nodes, list(edges.values())

    async def _answering(self, query: str, caller: Caller) -> set[str]:
        if not door.query(query).strip():
            return set()
        answer = await self._recall_best(query, self._own(caller, ""), Filter(now=self._this_second()), _MOST_FOUND)
        return {entity_of(hit.memory) for hit in answer.hits}

    async def _node_graph(self, caller: Caller) -> NodeGraph:
        scopes, now = self._own(caller, ""), self.clock()

        async def tagged(tag: str) -> list[Memory]:
            return await self.records.newest(scopes, Filter(tags=frozenset({tag}), now=now), limit=_MOST)

        relations = await self.graph.relations(scopes, None, now=now, limit=_MOST)
        return NodeGraph.of(await tagged(ENTITY_TAG), await tagged(OBSERVATION_TAG), relations)

    async def _check(self, requests: Sequence[RememberRequest], caller: Caller) -> None:
        """All of them or none are to be stored."""
        scope, now = self._place(caller, "", ""), self.clock()

        def checked() -> None:
            for request in requests:
                draft(cleaned(request, self.remember_settings.secrets)[0], scope, caller, now)

        await self._looked_through(checked, sum(weight_of(one.content, one.tags, one.metadata) for one in requests))

    async def _forget(self, ids: Sequence[UUID], relations: Sequence[Relation], caller: Caller) -> None:
        """Forget memories, and relations: with the memory that says nothing else, or out of one that does."""
        require(caller.access, Role.WRITER)
        scopes = [scope for scope in self._own(caller, "") if caller.access.may_write(scope.namespace)]
        forgotten = set(ids)
        stated: dict[UUID, list[Statement]] = {}
        for one in relations:
            stated.setdefault(one.memory, []).append(one.statement)
        remaining: Mapping[UUID, Memory] = {
            memory.id: memory for memory in await self.records.get_many(scopes, list(stated.keys() - forgotten))
        }
        for memory_id, memory in remaining.items():
            if says_nothing_else(memory, stated[memory_id]):
                forgotten.add(memory_id)
            else:
                changes = Changes(metadata=with_relations(memory.metadata, stated[memory_id], without=True))
                await self.records.revise(scopes, memory_id, changes, caller.provenance, self.clock())
        if forgotten:
            await self.records.forget(scopes, sorted(forgotten), caller.provenance, self.clock())


def _named(nodes: Sequence[Node], names: Collection[str]) -> list[Node]:
    return [node for node in nodes if node.name in names]


def _plain(statement: Statement) -> tuple[str, str, str]:
    return statement.subject, statement.predicate, statement.object


def _expect(name: str, graph: NodeGraph) -> None:
    if name not in graph.entities:
        raise RequestError(f"Entity with name {name[: door.MAX_NAME_CHARACTERS]} not found")


def _entity_request(name: str, kind: str) -> RememberRequest:
    """What to remember so that there is an entity; the same name is the same memory."""
    statement = Statement(name, IS_A, kind)
    metadata = {ENTITY: name, ENTITY_TYPE: kind}
    if read_relation(str(statement)) == statement:
        metadata[RELATIONS] = str(statement)
    return RememberRequest(f"{name} ({kind})" if kind else name, tags=[ENTITY_TAG], metadata=metadata, identity=of_entity(name))


def _observation_request(name: str, text: str) -> RememberRequest:
    """What to remember for an observation; the same text of another entity is another memory."""
    return RememberRequest(text, tags=[OBSERVATION_TAG], metadata={ENTITY: name}, identity=of_observation(name, text))
