"""How memories lie in Qdrant: names, ids, payloads, indexes, conditions. Pure.

A collection holds one epoch of one record store, a point for each passage. Beside them each scope has a point that marks
how far it has been carried; it lies in the same collection, so that a snapshot, a loss or a swap takes both or neither.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import numpy as np
from qdrant_client import models

from memory_mcp.clock import to_micros
from memory_mcp.models import Filter, Points, Scope
from memory_mcp.tiers.qdrant.settings import QdrantSettings

_ROOT = UUID("6ef5aa2c-8a6c-4f0b-9d3b-0a4f3b8f2f57")

INDEXES: Mapping[str, models.PayloadSchemaType | models.KeywordIndexParams] = {
    "scope": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    "memory": models.PayloadSchemaType.KEYWORD,
    "passage": models.PayloadSchemaType.INTEGER,
    "revision": models.PayloadSchemaType.INTEGER,
    "kind": models.PayloadSchemaType.KEYWORD,
    "domain": models.PayloadSchemaType.KEYWORD,
    "tags": models.PayloadSchemaType.KEYWORD,
    "when": models.PayloadSchemaType.INTEGER,
    "expires": models.PayloadSchemaType.INTEGER,
}
"""Made before the first point: a graph built without them has no links among the points that a filter lets through, and a
search under a filter then finds a tenth of what it should."""


def alias(prefix: str, identity: str, epoch: str) -> str:
    """The name under which the collection of a store and an epoch is known."""
    return f"{prefix}-{hashlib.blake2b(f'{identity}/{epoch}'.encode(), digest_size=8).hexdigest()}"


def scope_name(scope: Scope) -> str:
    """One string for tenant and namespace, so that one indexed field holds a scope's points together."""
    return json.dumps([scope.tenant, scope.namespace], ensure_ascii=False)


def mark_id(scope: Scope) -> str:
    """The point that tells how far a scope is held."""
    return str(uuid5(uuid5(_ROOT, scope_name(scope)), "mark"))


def point_ids(scope: Scope, points: Points) -> Iterator[tuple[str, int]]:
    """The id of each point and the number of its passage; the same memory id in another scope is another point."""
    home = uuid5(_ROOT, scope_name(scope))
    counted: dict[int, int] = {}
    for memory_id in points.ids:
        passage = counted.get(memory_id.int, 0)
        counted[memory_id.int] = passage + 1
        yield str(uuid5(home, f"{memory_id.hex}/{passage}")), passage


def structs(scope: Scope, points: Points, revision: int) -> list[models.PointStruct]:
    """The points of passages as they were at a revision."""
    name = scope_name(scope)
    vectors = np.ascontiguousarray(points.vectors, np.float32).tolist()
    counts = passages_of(points)
    return [
        models.PointStruct(
            id=point_id,
            vector=vectors[row],
            payload={
                "scope": name,
                "memory": str(points.ids[row]),
                "passage": passage,
                "passages": counts[points.ids[row]],
                "revision": revision,
                "kind": points.kinds[row],
                "domain": points.domains[row],
                "tags": list(points.tags[row]),
                "when": int(points.when[row]),
                "expires": int(points.expires[row]),
            },
        )
        for row, (point_id, passage) in enumerate(point_ids(scope, points))
    ]


def passages_of(points: Points) -> dict[UUID, int]:
    """How many passages each memory has."""
    counts: dict[UUID, int] = {}
    for memory_id in points.ids:
        counts[memory_id] = counts.get(memory_id, 0) + 1
    return counts


def mark(scope: Scope, revision: int, dimension: int) -> models.PointStruct:
    """The mark of a scope. It has no field `scope`, so that no search can meet it."""
    anywhere = [1.0] + [0.0] * (dimension - 1)
    return models.PointStruct(id=mark_id(scope), vector=anywhere, payload={"of": scope_name(scope), "held": revision})


def is_text(key: str, value: str) -> models.Condition:
    """A field has this value, or one of its values is this."""
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def any_of(key: str, values: Collection[str]) -> models.Condition:
    """A field has one of these values."""
    return models.FieldCondition(key=key, match=models.MatchAny(any=sorted(values)))


def between(key: str, **bounds: float) -> models.Condition:
    """A number within gt, gte, lt, lte."""
    return models.FieldCondition(key=key, range=models.Range(**bounds))


def within(scope: Scope, *more: models.Condition) -> models.Filter:
    """Points of the scope that satisfy these conditions."""
    return models.Filter(must=[is_text("scope", scope_name(scope)), *more])


def conditions(where: Filter) -> list[models.Condition]:
    """A filter, word by word; whole microseconds below 2**53 (the year 2255) are exact in Qdrant's floating point."""
    found: list[models.Condition] = []
    if where.kinds:
        found.append(any_of("kind", where.kinds))
    if where.domains:
        found.append(any_of("domain", where.domains))
    found += [is_text("tags", tag) for tag in sorted(where.tags)]
    if where.since is not None:
        found.append(between("when", gte=to_micros(where.since)))
    if where.until is not None:
        found.append(between("when", lt=to_micros(where.until)))
    if where.now is not None:
        found.append(between("expires", gt=to_micros(where.now)))
    return found


def of_memories(ids: Sequence[UUID]) -> models.Condition:
    """Points of these memories."""
    return any_of("memory", {str(memory_id) for memory_id in ids})


def creation(settings: QdrantSettings, dimension: int) -> dict[str, Any]:
    """How to make a collection for vectors of this dimension."""
    quantization: models.QuantizationConfig | None = None
    if settings.quantization == "int8":
        scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        quantization = models.ScalarQuantization(scalar=scalar)
    elif settings.quantization == "binary":
        quantization = models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return {
        "vectors_config": models.VectorParams(size=dimension, distance=models.Distance.DOT, on_disk=settings.on_disk),
        "hnsw_config": models.HnswConfigDiff(m=settings.hnsw_m, ef_construct=settings.hnsw_ef_construct, payload_m=settings.hnsw_m),
        "quantization_config": quantization,
        "on_disk_payload": True,
        "shard_number": settings.shards,
        "replication_factor": settings.replicas,
        "write_consistency_factor": settings.write_consistency,
    }


def searching(settings: QdrantSettings) -> models.SearchParams | None:
    """How to search; None for code on a folder, which compares every vector."""
    if settings.path:
        return None
    if settings.quantization == "none":
        return models.SearchParams(hnsw_ef=settings.ef)
    again = models.QuantizationSearchParams(rescore=True, oversampling=settings.oversampling)
    return models.SearchParams(hnsw_ef=settings.ef, quantization=again)


def faults(info: models.CollectionInfo, *, local: bool) -> list[str]:
    """What is wrong with a collection that is to hold unit vectors, in sentences; of any dimension."""
    vectors = info.config.params.vectors
    if not isinstance(vectors, models.VectorParams):
        return ["it holds named vectors, which are not this program's"]
    found = []
    if vectors.distance != models.Distance.DOT:
        found.append(f"it compares by {vectors.distance.value} instead of the dot product")
    if not local and (missing := sorted(set(INDEXES) - set(info.payload_schema))):
        found.append(f"the index of {', '.join(missing)} is missing")
    return found


def dimension_of(info: models.CollectionInfo) -> int:
    """Numbers in a vector; 0 for what is not a collection of this program."""
    vectors = info.config.params.vectors
    return vectors.size if isinstance(vectors, models.VectorParams) else 0
