"""How what memories speak of hangs together."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from memory_mcp.access import Role
from memory_mcp.answers import Explored, Related
from memory_mcp.errors import MemoryNotFoundError, RequestError, require
from memory_mcp.graph import Relation
from memory_mcp.hygiene.trust import may_rewrite
from memory_mcp.knowledge.identities import of_relation
from memory_mcp.knowledge.neighbourhood import facts_around, other_names, said_of, sentence
from memory_mcp.knowledge.nodes import says_nothing_else
from memory_mcp.models import Caller, Changes, Filter, Memory, Scope
from memory_mcp.remember import door
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.remember.hygiene import Inspection
from memory_mcp.service.remembering import Remembering
from memory_mcp.text.entities import (
    ALSO_CALLED,
    IS_A,
    MAX_NAME_CHARACTERS,
    MAX_RELATIONS,
    RELATIONS,
    Statement,
    entity_key,
    read_relation,
    relations_of,
    speaks_of,
    with_relations,
)

MAX_DEPTH = 3
_MOST_TOGETHER = 50
_MOST_FACTS = 200
"""Of each ring around an entity."""
_MOST_MEMORIES = 30
_MOST_OTHERS = 10


class Linking(Remembering):
    """The use cases `relate` and `explore`."""

    __slots__ = ()

    async def relate(
        self, relations: Sequence[str], caller: Caller, namespace: str = "", *, source: str = "", valid_from: str = "", valid_to: str = ""
    ) -> list[Related]:
        """State relations, each as `subject | relation | object`.

        Args:
            source: The memory that they come from; without one, each is a memory of its own.
            valid_from, valid_to: Since when and until when they hold.

        Raises:
            RequestError: One of them is none; nothing was stored.
            MemoryNotFoundError: There is no live memory `source` that the caller may change.
            AccessDeniedError: The caller may not write.
        """
        require(caller.access, Role.WRITER)
        stated = _read(relations, valid_from, valid_to)
        look = Inspection(self.remember_settings.secrets)
        for one in stated:  # half a relation is none: nothing is cut out
            look.name(f"{one}\n{sentence(one)}", "relations")
        if source:
            return await self._state(await self._changeable_by(caller), door.memory_id(source), stated, caller)
        done = []
        place = self._place(caller, namespace, "")
        for statement in stated:
            if known := await self._saying(place, statement):
                done += await self._state([place], known, [statement], caller)
                continue
            receipt = await self.remember(relation_request(statement), caller, namespace)
            if receipt.added.status == "already_known":
                done += await self._state([place], receipt.added.id, [statement], caller)
            else:
                done.append(Related(statement, receipt.added.id, "stored", receipt.added.operation))
        return done

    async def _saying(self, scope: Scope, statement: Statement) -> UUID | None:
        """The memory that says this relation and nothing else, in whatever letters it is spelled."""
        around = await self.graph.relations([scope], [statement.triple[0]], now=self.clock(), limit=_MOST_FACTS)
        saying = list(dict.fromkeys(one.memory for one in around if one.statement.triple == statement.triple))
        memories = await self.records.get_many([scope], saying) if saying else []
        return next((memory.id for memory in memories if says_nothing_else(memory, [statement])), None)

    async def _state(self, scopes: Sequence[Scope], memory_id: UUID, stated: Sequence[Statement], caller: Caller) -> list[Related]:
        """Let a memory state relations besides."""
        memories = await self.records.get_many(scopes, [memory_id])
        if not memories or memories[0].superseded_by is not None:
            raise MemoryNotFoundError([memory_id])
        (memory,) = memories
        known = relations_of(memory.metadata)
        of_same = {one.triple: one for one in known}
        stated = [one if one.triple not in of_same else _as_known(one, of_same[one.triple]) for one in stated]
        new = [one for one in stated if one not in known]
        operation = None
        if new:
            after = relations_of(door.metadata(with_relations(memory.metadata, new)))
            if len(after) < len({one.triple for one in (*known, *new)}):
                raise RequestError(f"One memory states {MAX_RELATIONS} relations at most. Leave out source, and each is kept by itself.")
            changes = await self._said_anew(memory, new, caller)
            operation = (await self.records.revise(scopes, memory_id, changes, caller.provenance, self.clock())).number
            if changes.content is not None and changes.embedding is None:
                self.indexer.wake()
        return [
            Related(one, memory_id, "already_known")
            if one not in new
            else Related(one, memory_id, "changed" if one.triple in of_same else "stored", operation)
            for one in stated
        ]

    async def _said_anew(self, memory: Memory, new: Sequence[Statement], caller: Caller) -> Changes:
        """What stating relations changes in a memory; one that says nothing else says in its text, too, until when it held."""
        changes = Changes(relations=tuple(new))
        if len(new) > 1 or not says_nothing_else(memory, new) or not may_rewrite(memory.provenance, caller.provenance):
            return changes
        content = sentence(new[0])
        return changes if content == memory.content else replace(changes, content=content, embedding=await self._embed(content))

    async def explore(self, entity: str, caller: Caller, namespace: str = "", *, depth: int = 1) -> Explored:
        """What is said of an entity and around it, in the namespace and the global one.

        Args:
            depth: How many relations away, 1 to 3.

        Raises:
            RequestError: The entity has no name, or depth is out of range.
        """
        name = door.name(entity, "entity")
        if not name:
            raise RequestError("entity is empty. Give the name of a person, project, file or anything else.")
        if not 1 <= depth <= MAX_DEPTH:
            raise RequestError(f"depth must be between 1 and {MAX_DEPTH}.")
        scopes, now, key = self._scopes(caller, namespace), self.clock(), entity_key(name)
        depths = await self.graph.reach(scopes, key, depth=depth, now=now)
        itself = [reached for reached, steps in depths.items() if steps == 0]
        relations: list[Relation] = []
        for steps in range(depth):  # ring by ring, so that however much there is further out, what is near is there
            ring = [reached for reached, away in depths.items() if away == steps]
            relations += await self.graph.relations(scopes, ring, now=now, limit=_MOST_FACTS)
        found = await self.graph.mentions(scopes, itself, now=now, limit=_MOST_MEMORIES)
        spoken = await self._speaking_of(key, scopes)
        if not found:
            others = await self.graph.names(scopes, name, now=now, limit=_MOST_OTHERS)
            return Explored(scopes[0].namespace, name, memories=spoken, others=others)
        ids = {memory for of in found.values() for memory in of.memories} | {memory.id for memory in spoken}
        spelled = found[key].entity.name if key in found else name
        types = said_of(itself, relations, IS_A) or [of.entity.type for of in found.values() if of.entity.type][:1]
        return Explored(
            scopes[0].namespace,
            spelled,
            types,
            list(other_names(spelled, said_of(itself, relations, ALSO_CALLED))),
            facts_around(depths, relations, now),
            await self._present(scopes, sorted(ids, reverse=True)[:_MOST_MEMORIES]),
        )

    async def _speaking_of(self, key: str, scopes: Sequence[Scope]) -> list[Memory]:
        """Memories with the name in their text, newest first: the graph knows of a text only what has the form of a name."""
        hits = await self.sources.text.search_text(scopes, key, Filter(now=self.clock()), limit=_MOST_MEMORIES)
        memories = await self._present(scopes, sorted((hit.id for hit in hits), reverse=True))
        return [memory for memory in memories if speaks_of(memory.content, key)]

    async def _present(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> list[Memory]:
        """Those of these memories that still hold."""
        now = self.clock()
        memories = await self.records.get_many(scopes, ids)
        return [one for one in memories if one.superseded_by is None and (one.expires_at is None or one.expires_at > now)]


def relation_request(statement: Statement) -> RememberRequest:
    """A memory that says a relation and nothing else; the same relation, spelled the same, is the same memory."""
    return RememberRequest(sentence(statement), metadata={RELATIONS: [str(statement)]}, identity=of_relation(statement))


def _as_known(stated: Statement, known: Statement) -> Statement:
    """A relation that is stated again, spelled as it was, with what is known of since when: who ends it seldom says that, too.

    Of one that had ended and holds again nobody has said since when.
    """
    stated = replace(stated, subject=known.subject, predicate=known.predicate, object=known.object)
    begun = known.valid_from
    again = known.valid_to is not None and stated.valid_to is None
    if stated.valid_from is not None or begun is None or again or (stated.valid_to is not None and begun >= stated.valid_to):
        return stated
    return replace(stated, valid_from=begun)


def _read(relations: Sequence[str], valid_from: str, valid_to: str) -> list[Statement]:
    if not 1 <= len(relations) <= _MOST_TOGETHER:
        raise RequestError(f"relations takes 1 to {_MOST_TOGETHER} relations, each like: Ann | works at | Acme")
    since, until = door.moment(valid_from, "valid_from"), door.moment(valid_to, "valid_to")
    if since is not None and until is not None and since >= until:
        raise RequestError("valid_from must lie before valid_to.")
    stated: dict[tuple[str, str, str], Statement] = {}
    for text in relations:
        read = read_relation(door.text(text, "relations", max_characters=4 * MAX_NAME_CHARACTERS))
        if read is None:
            raise RequestError(f"{text[:60]!r} is no relation. Write it like: Ann | works at | Acme, each part at most 200 characters.")
        stated[read.triple] = replace(read, valid_from=read.valid_from or since, valid_to=read.valid_to or until)
    return list(stated.values())
