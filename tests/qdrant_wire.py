"""Qdrant's own code behind gRPC, as far as this project speaks it: what is sent over a real connection, without a server.

It shows that every call survives the wire, both ways. What only a server has, indexes and a graph, it only notes.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from qdrant_client import QdrantClient
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc.collections_service_pb2_grpc import CollectionsServicer, add_CollectionsServicer_to_server
from qdrant_client.grpc.points_service_pb2_grpc import PointsServicer, add_PointsServicer_to_server

DONE = wire.CollectionOperationResponse(result=True)
WRITTEN = wire.PointsOperationResponse(result=wire.UpdateResult(operation_id=1, status=wire.UpdateStatus.Completed))


def told(method: Callable[..., Any]) -> Callable[..., Any]:
    """What the local code says in its way is said as a server says it."""

    async def call(self: Any, request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return method(self, request)
        except ValueError as error:
            code = grpc.StatusCode.NOT_FOUND if "not found" in str(error) else grpc.StatusCode.INVALID_ARGUMENT
            await context.abort(code, str(error))

    return call


class Collections(CollectionsServicer):  # type: ignore[misc]
    def __init__(self, local: QdrantClient, indexes: dict[str, dict[str, Any]]) -> None:
        self.local, self.indexes = local, indexes

    @told
    def ListAliases(self, request: Any) -> Any:  # noqa: N802
        aliases = self.local.get_aliases().aliases
        found = [wire.AliasDescription(alias_name=each.alias_name, collection_name=each.collection_name) for each in aliases]
        return wire.ListAliasesResponse(aliases=found)

    @told
    def List(self, request: Any) -> Any:  # noqa: N802
        names = [each.name for each in self.local.get_collections().collections]
        return wire.ListCollectionsResponse(collections=[wire.CollectionDescription(name=name) for name in names])

    @told
    def Create(self, request: Any) -> Any:  # noqa: N802
        self.local.create_collection(request.collection_name, GrpcToRest.convert_vectors_config(request.vectors_config))
        return DONE

    @told
    def Delete(self, request: Any) -> Any:  # noqa: N802
        self.local.delete_collection(request.collection_name)
        return DONE

    @told
    def UpdateAliases(self, request: Any) -> Any:  # noqa: N802
        self.local.update_collection_aliases([GrpcToRest.convert_alias_operations(action) for action in request.actions])
        return DONE

    @told
    def Get(self, request: Any) -> Any:  # noqa: N802
        vectors = self.local.get_collection(request.collection_name).config.params.vectors
        params = wire.CollectionParams(shard_number=1, vectors_config=RestToGrpc.convert_vectors_config(vectors))
        config = wire.CollectionConfig(
            params=params,
            hnsw_config=wire.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10_000),
            optimizer_config=wire.OptimizersConfigDiff(
                deleted_threshold=0.2, vacuum_min_vector_number=1000, default_segment_number=0, flush_interval_sec=5
            ),
            wal_config=wire.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0),
        )
        kinds = self.indexes.get(request.collection_name, {})
        schema = {field: wire.PayloadSchemaInfo(data_type=kind) for field, kind in kinds.items()}
        health = wire.OptimizerStatus(ok=True)
        info = wire.CollectionInfo(status=1, optimizer_status=health, segments_count=1, config=config, payload_schema=schema)
        return wire.GetCollectionInfoResponse(result=info)


class Points(PointsServicer):  # type: ignore[misc]
    def __init__(self, local: QdrantClient, indexes: dict[str, dict[str, Any]]) -> None:
        self.local, self.indexes = local, indexes

    @told
    def CreateFieldIndex(self, request: Any) -> Any:  # noqa: N802
        if not self.local.count(request.collection_name).count:  # one that comes later does not count
            schema_of_keyword, schema_of_integer = wire.PayloadSchemaType.Keyword, wire.PayloadSchemaType.Integer
            kind = schema_of_integer if request.field_type == wire.FieldType.FieldTypeInteger else schema_of_keyword
            self.indexes.setdefault(request.collection_name, {})[request.field_name] = kind
        return WRITTEN

    @told
    def DeleteFieldIndex(self, request: Any) -> Any:  # noqa: N802
        del self.indexes[request.collection_name][request.field_name]
        return WRITTEN

    @told
    def Upsert(self, request: Any) -> Any:  # noqa: N802
        assert request.wait
        stale = GrpcToRest.convert_filter(request.update_filter) if request.HasField("update_filter") else None
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        self.local.upsert(request.collection_name, points, update_filter=stale)
        return WRITTEN

    @told
    def Delete(self, request: Any) -> Any:  # noqa: N802
        assert request.wait
        self.local.delete(request.collection_name, GrpcToRest.convert_points_selector(request.points))
        return WRITTEN

    @told
    def Get(self, request: Any) -> Any:  # noqa: N802
        found = self.local.retrieve(request.collection_name, [GrpcToRest.convert_point_id(each) for each in request.ids])
        return wire.GetResponse(result=[RestToGrpc.convert_record(record) for record in found])

    @told
    def Scroll(self, request: Any) -> Any:  # noqa: N802
        records, following = self.local.scroll(
            request.collection_name,
            scroll_filter=GrpcToRest.convert_filter(request.filter),
            limit=request.limit,
            offset=GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
            with_vectors=request.with_vectors.enable,
        )
        offset = None if following is None else RestToGrpc.convert_extended_point_id(following)
        return wire.ScrollResponse(result=[RestToGrpc.convert_record(record) for record in records], next_page_offset=offset)

    @told
    def QueryBatch(self, request: Any) -> Any:  # noqa: N802
        answers = []
        for one in request.query_points:
            assert one.params.hnsw_ef
            query = list(one.query.nearest.dense.data)
            found = self.local.query_points(one.collection_name, query, query_filter=GrpcToRest.convert_filter(one.filter), limit=one.limit)
            answers.append(wire.BatchResult(result=[RestToGrpc.convert_scored_point(point) for point in found.points]))
        return wire.QueryBatchResponse(result=answers)


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[int]:
    """A port of this machine on which it is served, its collections empty."""
    local, indexes = QdrantClient(":memory:"), {}
    server = grpc.aio.server()
    add_CollectionsServicer_to_server(Collections(local, indexes), server)
    add_PointsServicer_to_server(Points(local, indexes), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)
        local.close()
