"""What `doctor` looks at: each check says how it is, and if that is not well, what to do."""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from shlex import quote

import anyio
import apsw

from memory_mcp.assembly import open_records
from memory_mcp.cli.checks_language import examine as examine_languages
from memory_mcp.cli.verdicts import Check
from memory_mcp.clock import utc_now
from memory_mcp.config import CONFIG_NAME, Settings
from memory_mcp.embedding.opening import open_embedder
from memory_mcp.errors import (
    ConfigError,
    EmbedderNotReadyError,
    MemoryMcpError,
    SchemaTooNewError,
    StoreBusyError,
    StoreDamagedError,
    StoreKeyError,
    TierError,
    TierUnavailableError,
)
from memory_mcp.folders import expanded
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.sqlite import audit, database, presence
from memory_mcp.tiers.sqlite.cipher import state_of
from memory_mcp.tiers.sqlite.keys import find_key
from memory_mcp.tiers.sqlite.query import value
from memory_mcp.tiers.sqlite.sealing import plain_files
from memory_mcp.tokens import Token
from memory_mcp.upkeep.carrier import Source, every_scope
from memory_mcp.upkeep.comparison import Compared, compare_scope
from memory_mcp.vector_tiers import open_qdrant_index

_LITTLE_SPACE, _NO_SPACE = 1 << 30, 100 << 20
_MODEL_SECONDS = 300.0
_OTHERS = 0o077

_REINDEX = "Fill it anew: memory-mcp reindex"
_RESTORE = "Restore a backup: memory-mcp restore FILE. The files that are there now are kept aside."
_INCOMPARABLE = Check("qdrant", "note", "it cannot be compared with a store that cannot be opened", "See the rows above.")


class Doctor:
    """Looks at everything below one data directory; changes nothing but what a first start would make.

    Args:
        say: Takes a sentence on what is going on, for people.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings, self._folder, self._say = settings, settings.data_dir, say

    async def examine(self) -> list[Check]:
        """Every check, in an order in which an earlier one may explain a later one."""
        checks = [self._configuration(), *self._files(), self._space()]
        records = self._settings.records
        if isinstance(records, PostgresSettings):
            from memory_mcp.cli.checks_postgres import examine  # noqa: PLC0415 - the driver is for those who use it

            checks += await examine(records)
        else:
            checks += [self._library(), *await anyio.to_thread.run_sync(self._encryption), *await anyio.to_thread.run_sync(self._store)]
        tokens, unopened = await self._opened(checks)
        checks += unopened
        if self._settings.redis.configured:
            checks.append(await self._redis())
        if self._settings.qdrant.on:
            checks.append(_INCOMPARABLE if _is_wrong(checks) else await self._qdrant())
        return [*checks, *await self._http(tokens), *await self._model(checks)]

    def _configuration(self) -> Check:
        named = os.environ.get("MEMORY_MCP_CONFIG")
        path = expanded(Path(named)) if named else self._folder / CONFIG_NAME
        if not path.exists():
            return Check("configuration", "ok", f"{path} is not there: everything has its default")
        redis, records = self._settings.redis, self._settings.records
        http = self._settings.http.jwt.key
        secrets = (self._settings.embedding.api_key, redis.password, redis.url, self._settings.qdrant.api_key, http)
        secret = any(secret.get_secret_value() for secret in secrets) or isinstance(records, PostgresSettings)
        if secret and _mode(path) & _OTHERS:
            return Check("configuration", "wrong", f"{path} holds a key and can be read by others", f"chmod 600 {quote(str(path))}")
        return Check("configuration", "ok", str(path))

    def _files(self) -> Iterator[Check]:
        folder = self._folder
        if not folder.exists():
            yield Check("data directory", "note", f"{folder} is not there yet", "It is made when a client first starts the server.")
            return
        if not folder.is_dir():
            yield Check("data directory", "wrong", f"{folder} is no folder", "Move it away, or choose another with --data-dir.")
            return
        if os.name != "posix":
            yield Check("data directory", "ok", str(folder))
            return
        if folder.stat().st_uid != os.geteuid():
            yield Check("data directory", "wrong", f"{folder} belongs to another user", f"sudo chown -R $USER {quote(str(folder))}")
        elif not os.access(folder, os.W_OK | os.X_OK):
            yield Check("data directory", "wrong", f"{folder} cannot be written", f"chmod 700 {quote(str(folder))}")
        elif _mode(folder) & _OTHERS:
            yield Check("data directory", "wrong", f"{folder} is open to other users", f"chmod 700 {quote(str(folder))}")
        else:
            yield Check("data directory", "ok", str(folder))
        loose = [path for path in sorted(folder.glob("memories.*")) if path.is_file() and _mode(path) & _OTHERS]
        if loose:
            names = " ".join(quote(str(path)) for path in loose)
            yield Check("permissions", "wrong", f"{len(loose)} files can be read by other users", f"chmod 600 {names}")
        else:
            yield Check("permissions", "ok", "only you can read the memories")

    def _space(self) -> Check:
        place = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        free = shutil.disk_usage(place).free
        found = f"{free / (1 << 30):.1f} GiB free"
        if free < _NO_SPACE:
            return Check("space", "wrong", found, "Free some space: soon nothing can be remembered.")
        return Check("space", "note" if free < _LITTLE_SPACE else "ok", found)

    def _library(self) -> Check:
        found = f"SQLite {apsw.sqlite_lib_version()}"
        if database.sqlite_version() < database.OLDEST_SAFE_SQLITE:
            return Check("SQLite", "wrong", f"{found} can lose memories", "pip install --force-reinstall apsw-sqlite3mc")
        return Check("SQLite", "ok", found)

    def _encryption(self) -> list[Check]:
        settings = self._settings.encryption
        try:
            find_key(settings, self._folder)
        except (ConfigError, StoreKeyError) as error:
            return [Check("encryption", "wrong", str(error), "Without its key the store cannot be opened.")]
        if not settings.on:
            if state_of(self._folder / database.FILE_NAME) == "encrypted":
                return []  # which the next row tells
            return [Check("encryption", "ok", "off: who has the files can read the memories")]
        left = [path for path in plain_files(self._folder) if path.name != database.FILE_NAME]
        if left:
            names = " ".join(quote(str(path)) for path in left)
            return [Check("encryption", "wrong", f"{len(left)} older files are not encrypted", f"Delete what you do not need: rm {names}")]
        if settings.key_file and (self._folder / expanded(Path(settings.key_file))).resolve().is_relative_to(self._folder.resolve()):
            return [Check("encryption", "note", "the key lies beside what it locks", "Move key_file out of the data directory.")]
        return [Check("encryption", "ok", f"ChaCha20-Poly1305, with the key from {settings.source}")]

    def _store(self) -> list[Check]:
        store = self._folder / database.FILE_NAME
        if not store.exists():
            if store.with_name(f"{store.name}-wal").exists():
                return [Check("store", "wrong", f"{store} is missing, but not what belongs to it", _RESTORE)]
            return [Check("store", "note", "nothing is stored yet")]
        checks: list[Check] = []
        try:
            with self._reading() as (connection, users):
                checks.append(Check("in use", "ok", users))
                checks += (look(connection) for look in (_schema, _integrity, _operations, _backlog))
        except SchemaTooNewError as error:
            checks.append(Check("store", "wrong", str(error), "pip install --upgrade memory-mcp"))
        except StoreKeyError as error:
            checks.append(Check("store", "wrong", str(error), "See [encryption] in the configuration."))
        except StoreDamagedError as error:
            checks.append(Check("store", "wrong", str(error), _RESTORE))
        except MemoryMcpError as error:
            checks.append(Check("store", "wrong", str(error), "See the rows above."))
        except apsw.Error:
            checks.append(Check("store", "wrong", f"{store} cannot be read as a memory store", _RESTORE))
        return checks

    @contextmanager
    def _reading(self) -> Iterator[tuple[apsw.Connection, str]]:
        """A connection that only reads, and by whom else the store is used."""
        read_only, users = database.is_read_only(self._folder), "unknown"
        with database.sqlite_errors():
            if not read_only:
                with presence.alone(self._folder) as alone:
                    users = "by nobody" if alone else "by another process"
            key = find_key(self._settings.encryption, self._folder)
            connection = database.connect(self._folder / database.FILE_NAME, key, read_only=read_only)
            try:
                connection.pragma("query_only", True)
                yield connection, users
            finally:
                connection.close()

    async def _redis(self) -> Check:
        from memory_mcp.tiers.redis.client import RedisClient  # noqa: PLC0415 - only where there is one to look at

        key = f"memory:doctor:{os.getpid()}"
        async with RedisClient.open(self._settings.redis) as client:
            try:
                await client.ping()
                began = time.perf_counter()
                await client.set(key, b"written", 60)
                whole = await client.get(key, 100) == b"written"
                took = 1000 * (time.perf_counter() - began)
                await client.delete(key)
                version = await client.version()
            except TierError as error:
                return Check("redis", "wrong", str(error), "Check [redis] in the configuration. Until it is mended, recall works without.")
        if not whole:
            return Check("redis", "wrong", "What is written to Redis cannot be read", "Give it memory: it evicts at once.")
        return Check("redis", "ok", f"Redis {version}: written and read in {took:.1f} ms".replace("  ", " "))

    async def _qdrant(self) -> Check:
        if self._settings.records.backend == "sqlite" and not (self._folder / database.FILE_NAME).exists():
            return Check("qdrant", "note", "nothing is stored yet that it could hold")
        self._say("Comparing Qdrant with the store ...")
        try:
            async with AsyncExitStack() as stack:
                store = await stack.enter_async_context(open_records(self._settings))
                index, connection = await open_qdrant_index(self._settings, store, stack)
                epoch = await store.active_epoch()
                if epoch is None:
                    return Check("qdrant", "note", "nothing is embedded yet that it could hold")
                known = await index.find(epoch)
                faults = list(known.faults) if known is not None else []
                dimension = await _dimension(store, epoch)
                if known is not None and not faults and known.dimension != dimension:
                    faults.append(f"its vectors have {known.dimension} numbers instead of {dimension}")
                if faults:
                    return Check("qdrant", "wrong", f"Its collection cannot be used: {'; '.join(faults)}", _REINDEX)
                compared = [await compare_scope(index, store, scope, epoch) for scope in await every_scope(store)]
                return _level(compared, connection.transport)
        except MemoryMcpError as error:
            return self._without_qdrant(error)

    def _without_qdrant(self, error: MemoryMcpError) -> Check:
        from memory_mcp.tiers.qdrant.faults import FolderInUseError  # noqa: PLC0415 - the driver is for those who use it

        if isinstance(error, FolderInUseError):
            return Check("qdrant", "note", str(error), "To look into it: memory-mcp engine stop, then this again.")
        if self._settings.qdrant.path and isinstance(error, TierUnavailableError):
            place = quote(str(self._folder / expanded(Path(self._settings.qdrant.path))))
            remedy = f"Make it writable, or move it away: mv {place} {place}.old. It is filled anew from the store."
            return Check("qdrant", "wrong", str(error), remedy)
        return Check("qdrant", "wrong", str(error), "Check [qdrant] in the configuration. Until it is mended, recall works without.")

    async def _opened(self, checks: Sequence[Check]) -> tuple[list[Token], list[Check]]:
        """The tokens in the store, opened as a server does it; only one that needs nothing done is."""
        if not _can_be_read(checks):
            return [], []
        try:
            async with open_records(self._settings) as store:
                return await store.tokens(), []
        except StoreBusyError as error:
            return [], [Check("store", "wrong", str(error), "Find the program that holds it, and end it.")]
        except TierError as error:
            return [], [Check("store", "wrong", str(error), "See the rows above.")]

    async def _http(self, tokens: Sequence[Token]) -> list[Check]:
        """Where it is configured, or somebody has a token."""
        if not tokens and "http" not in self._settings.model_fields_set:
            return []
        from memory_mcp.cli.checks_http import examine  # noqa: PLC0415 - the server is for those who serve

        return await examine(self._settings.http, tokens, utc_now())

    async def _model(self, checks: Sequence[Check]) -> list[Check]:
        """Where there are memories, with whether it knows their language."""
        settings = self._settings.embedding
        if settings.provider == "local":
            try:  # the model is kept there; made as a first start would make it
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                return [
                    Check("model", "wrong", f"{self._folder} cannot be made: {error.strerror}", "Choose another folder with --data-dir.")
                ]
        embedder = open_embedder(settings, self._folder)
        embedder.start()
        try:
            began = time.perf_counter()
            deadline = began + _MODEL_SECONDS
            while embedder.state.phase == "loading" and time.perf_counter() < deadline:
                self._say(embedder.state.detail or "Loading the model ...")
                await anyio.sleep(0.05)
            loaded = time.perf_counter()
            _, epoch = await embedder.embed(["Does the model work?"])
            embedded = time.perf_counter()
            languages = await examine_languages(self._settings, embedder) if _can_be_read(checks) else []
        except EmbedderNotReadyError as error:
            return [Check("model", "wrong", str(error), "Until it is mended, memories are found by their words alone.")]
        except MemoryMcpError as error:
            return [Check("model", "wrong", str(error), "Check [embedding] in the configuration.")]
        finally:
            embedder.close()
        told = f"{epoch}: loaded in {loaded - began:.1f} s, one text takes {1000 * (embedded - loaded):.0f} ms"
        return [Check("model", "ok", told), *languages]


def _is_wrong(checks: Sequence[Check]) -> bool:
    """Whether the store cannot be served from."""
    return any(check.state == "wrong" for check in checks if check.name in ("database", "store", "schema", "role", "isolation"))


def _can_be_read(checks: Sequence[Check]) -> bool:
    """Whether the store is there, and needs nothing done."""
    return not _is_wrong(checks) and any(check.state == "ok" for check in checks if check.name == "schema")


def _schema(connection: apsw.Connection) -> Check:
    version, known = database.version_of(connection), len(database.migrations())
    if version == 0:
        return Check("schema", "wrong", "the store's file is empty", _RESTORE)
    if version < known:
        return Check("schema", "note", f"version {version}", f"The next start of the server brings it to {known}.")
    return Check("schema", "ok", f"version {version}")


def _integrity(connection: apsw.Connection) -> Check:
    faults = database.faults(connection)
    if faults:
        return Check("integrity", "wrong", "; ".join(faults), _RESTORE)
    memories = value(connection, "SELECT count(*) FROM memories")
    return Check("integrity", "ok", f"every record is whole ({memories:,})")


def _operations(connection: apsw.Connection) -> Check:
    if database.version_of(connection) < len(database.migrations()):
        return Check("operations", "note", "the log of changes is looked at when the schema is up to date")
    chain = audit.chain(connection)
    if chain.broken is not None:
        return Check("operations", "wrong", f"the log was changed from outside at operation {chain.broken}: {chain.why}", _RESTORE)
    return Check("operations", "ok", f"the log of {chain.entries:,} changes is unbroken")


def _backlog(connection: apsw.Connection) -> Check:
    waiting = value(connection, "SELECT count(*) FROM outbox WHERE tier = 'embed'")
    if not waiting:
        return Check("backlog", "ok", "every memory can be found by its meaning")
    return Check(
        "backlog", "note", f"{waiting:,} memories are found by their words only", "A running server with a working model catches up."
    )


async def _dimension(store: Source, epoch: str) -> int:
    """Of the vectors that a derived tier is to hold; 0 where there are none."""
    for scope in await every_scope(store):
        dimension: int = (await store.vector_changes(scope, 0, epoch, limit=1)).points.vectors.shape[1]
        if dimension:
            return dimension
    return 0


def _level(compared: Sequence[Compared], transport: str) -> Check:
    lost, left = sum(each.lost for each in compared), sum(each.left for each in compared)
    if lost or left:
        return Check("qdrant", "wrong", f"{lost:,} memories are missing there, {left:,} are there that should not be", _REINDEX)
    lagging = sum(each.memories if each.lagging is None else each.lagging for each in compared)
    if lagging:
        return Check("qdrant", "note", f"{lagging:,} memories are still to be carried there", "A running server does that, or reindex.")
    memories = sum(each.memories for each in compared)
    return Check("qdrant", "ok", f"every memory is there ({memories:,}; namespaces: {len(compared):,}; {transport})")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) if os.name == "posix" else 0
