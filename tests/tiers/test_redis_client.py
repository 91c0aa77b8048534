"""The Redis client against real servers of every kind, and against every way one can fail."""

import asyncio
import contextlib
import random
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from memory_mcp.errors import TierError, TierUnavailableError
from memory_mcp.tiers.redis.client import RedisClient
from memory_mcp.tiers.redis.settings import RedisSettings
from tests.redis_servers import PATIENCE, line_to, needs_redis, redis_binary, redis_server, settings_of

pytestmark = needs_redis


def free_port() -> int:
    """One that a cluster can have, too: its nodes speak among themselves 10,000 above it."""
    while True:
        port = random.randrange(10_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


def settings(url: str, **more: Any) -> RedisSettings:
    return RedisSettings.model_validate({"url": url, "timeout_seconds": 5.0, "lookup_seconds": 5.0, **more})


async def works(given: RedisSettings) -> bool:
    async with RedisClient.open(given) as client:
        await client.set("memory:test", b"\x00\xffbytes", 60)
        return await client.get("memory:test", 100) == b"\x00\xffbytes"


# kinds


async def test_a_socket_and_a_port_and_a_database() -> None:
    port = free_port()
    with redis_server("--port", str(port)) as server:
        assert await works(settings(server.url))
        assert await works(settings(f"redis://127.0.0.1:{port}"))
        assert await works(settings(f"redis://localhost:{port}/3"))
        with server.talk() as redis:
            assert redis.info("keyspace").keys() == {"db0", "db3"}


async def test_a_user_of_an_access_list_needs_no_more_than_it_uses() -> None:
    rules = "on >s3cret% ~memory:* +getrange +set +xadd +del +ping +client +select"
    with redis_server() as server:
        with server.talk() as redis:
            redis.execute_command("ACL", "SETUSER", "memory", *rules.split())
            redis.config_set("requirepass", "other")
        assert await works(settings(server.url, username="memory", password="s3cret%"))
        assert await works(settings(f"unix://memory:s3cret%25@{server.socket}"))
        assert await works(settings(server.url, password="other"))
        async with RedisClient.open(settings(server.url, username="memory", password="s3cret%")) as client:
            assert await client.version() == ""
            with pytest.raises(TierError, match="does not allow its user to set") as denied:
                await client.set("somebody:else", b"x", 60)
            assert not isinstance(denied.value, TierUnavailableError)
        for wrong in ({"username": "memory", "password": "wrong"}, {}):
            with pytest.raises(TierUnavailableError, match="refuses") as caught:
                await works(settings(server.url, **wrong))
            assert "wrong" not in str(caught.value)


async def test_a_service_that_sentinel_watches() -> None:
    port, watcher_port = free_port(), free_port()
    with redis_server("--port", str(port)) as server:
        file = server.folder / "sentinel.conf"
        file.write_text(f"port {watcher_port}\nsentinel monitor home 127.0.0.1 {port} 1\n")
        with running(str(file), "--sentinel", port=watcher_port):
            url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{watcher_port}/home"
            assert await works(settings(url))
            with pytest.raises(TierUnavailableError):
                await works(settings(url.replace("home", "elsewhere")))


async def test_a_cluster() -> None:
    port = free_port()
    with redis_server("--port", str(port), "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1") as server:
        with server.talk() as redis:
            redis.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            deadline = time.monotonic() + PATIENCE
            while b"cluster_state:ok" not in raw_info(redis):
                assert time.monotonic() < deadline
                await anyio.sleep(0.05)
        assert await works(settings(f"redis+cluster://127.0.0.1:{port}"))
        async with RedisClient.open(settings(f"redis+cluster://127.0.0.1:{port}")) as client:
            for number in range(20):  # all over the slots
                await client.set(f"memory:{number}", b"x", 60)
                await client.append(f"memory:{number}:changes", {"a": "b"}, 10)
            assert await client.version()


async def test_tls_with_certificates_of_ones_own(tmp_path: Path) -> None:
    port = free_port()
    with redis_server("--port", str(port)):
        authority, certificate = certificates(tmp_path)
        async with tls_before(port, certificate) as secure:
            assert await works(settings(f"rediss://localhost:{secure}", ca_file=str(authority)))
            with pytest.raises(TierUnavailableError):
                await works(settings(f"rediss://localhost:{secure}"))  # which nobody has vouched for
            with pytest.raises(TierUnavailableError):
                await works(settings(f"rediss://127.0.0.1:{secure}", ca_file=str(authority)))  # another name


# values


async def test_what_is_no_string_or_too_long_is_not_there() -> None:
    with redis_server() as server, server.talk() as redis:
        redis.rpush("list", "x")
        redis.hset("hash", "a", "b")
        redis.sadd("set", "x")
        redis.zadd("sorted", {"x": 1})
        redis.xadd("stream", {"a": "b"})
        redis.set("long", b"x" * 101)
        redis.set("right", b"x" * 100)
        redis.set("empty", b"")
        async with RedisClient.open(settings_of(server)) as client:
            for key in ("list", "hash", "set", "sorted", "stream", "long", "empty", "absent"):
                assert await client.get(key, 100) is None, key
            assert await client.get("right", 100) == b"x" * 100
            await client.set("list", b"ours now", 60)
            assert await client.get("list", 100) == b"ours now"
            assert 0 < redis.ttl("list") <= 60
            await client.append("list", {"a": "b"}, 10)
            assert redis.xlen("list") == 1


async def test_a_full_server_that_evicts_nothing_still_answers() -> None:
    with redis_server("--maxmemory-policy", "noeviction") as server, server.talk() as redis:
        async with RedisClient.open(settings_of(server)) as client:
            await client.set("there", b"x", 60)
            redis.config_set("maxmemory", "1")
            with pytest.raises(TierUnavailableError, match="full"):
                await client.set("more", b"x", 60)
            with pytest.raises(TierUnavailableError, match="full"):
                await client.append("changes", {"a": "b"}, 10)
            assert await client.get("there", 100) == b"x"


# failures


async def test_a_server_that_is_not_there_fails_at_once() -> None:
    async with RedisClient.open(RedisSettings(url=f"redis://127.0.0.1:{free_port()}", timeout_seconds=2)) as client:
        started = time.perf_counter()
        for _ in range(5):
            with pytest.raises(TierUnavailableError):
                await client.get("key", 100)

    assert time.perf_counter() - started < 5


async def test_a_server_that_hangs_fails_after_the_time_limit_and_works_again_afterwards() -> None:
    with redis_server() as server:
        async with line_to(server) as line, RedisClient.open(RedisSettings(url=line.url, max_connections=2)) as client:
            await client.set("key", b"x", 60)
            line.hang()
            started = time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(unavailable, client)
            assert time.perf_counter() - started < 10  # each call within its own bound, not one after the other for ever
            line.go_on()
            with anyio.fail_after(PATIENCE):
                assert await until_found(client, "key") == b"x"


async def test_a_hanging_server_does_not_hold_up_the_end() -> None:
    with redis_server() as server:
        async with line_to(server) as line:
            async with RedisClient.open(RedisSettings(url=line.url, timeout_seconds=10)) as client:
                await client.ping()
                line.hang()
                with anyio.move_on_after(0.05):
                    await client.get("key", 100)
                started = time.perf_counter()
            took = time.perf_counter() - started

    assert took < 5


async def test_an_answer_that_is_cut_is_an_error_and_no_answer() -> None:
    with redis_server() as server:
        async with line_to(server) as line, RedisClient.open(settings_of(line)) as client:
            await client.set("key", b"x" * 10_000, 60)
            for length in (1, 5, 500):
                line.cut_after = length
                with pytest.raises(TierUnavailableError):
                    await client.get("key", 100_000)
                assert await client.get("key", 100_000) == b"x" * 10_000


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$abc\r\n", b"*-7\r\n", b"$5\r\nab\r\n", b"\x00" * 100, b":\r\n"])
async def test_what_does_not_speak_redis_is_away(said: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(said)
        writer.close()

    listening = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening, RedisClient.open(RedisSettings(url=f"redis://127.0.0.1:{port}")) as client:
        for _ in range(3):
            with pytest.raises(TierError):
                await client.get("key", 100)


async def test_who_stops_waiting_disturbs_nobody() -> None:
    """Answers stay with their questions, however many callers give up in between, and no connection is lost."""
    with redis_server() as server:
        async with line_to(server) as line, RedisClient.open(settings_of(line, max_connections=4)) as client:
            for number in range(50):
                await client.set(f"key {number}", str(number).encode(), 600)
            line.delay_seconds = 0.005
            wrong = []

            async def ask(number: int, seconds: float) -> None:
                with anyio.move_on_after(seconds):
                    if await client.get(f"key {number}", 100) != str(number).encode():
                        wrong.append(number)

            async with anyio.create_task_group() as tasks:
                for number in range(200):
                    tasks.start_soon(ask, number % 50, 0.001 * (number % 30))
            line.delay_seconds = 0
            for number in range(50):
                await ask(number, PATIENCE)
            with server.talk() as redis:
                clients = redis.info("clients")["connected_clients"]

    assert wrong == []
    assert clients <= 4 + 1


# helpers


async def unavailable(client: RedisClient) -> None:
    with pytest.raises(TierUnavailableError):
        await client.get("key", 100)


async def until_found(client: RedisClient, key: str) -> bytes:
    while True:
        with contextlib.suppress(TierUnavailableError):
            if found := await client.get(key, 100):
                return found
        await anyio.sleep(0.05)


def raw_info(redis: Any) -> bytes:
    found = redis.execute_command("CLUSTER", "INFO")
    return found if isinstance(found, bytes) else str(found).replace("'cluster_state': 'ok'", "cluster_state:ok").encode()


@contextlib.contextmanager
def running(*arguments: str, port: int) -> Any:
    """A process of the server's binary that is no ordinary server; gone at the end."""
    binary = redis_binary()
    assert binary
    with subprocess.Popen([binary, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield
        finally:
            process.kill()


def certificates(folder: Path) -> tuple[Path, Path]:
    """An authority's certificate, and a file with key and certificate for localhost."""
    now = datetime.now(UTC)
    key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])

    def builder(name: x509.Name, public: Any) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        return made.not_valid_after(now + timedelta(days=1))

    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    authority = builder(issuer, key.public_key()).add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
    signed = authority.add_extension(identifier, False).sign(key, hashes.SHA256())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    leaf = builder(name, own.public_key()).add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / "ca.pem").write_bytes(signed.public_bytes(pem))
    secret = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(secret + leaf.sign(key, hashes.SHA256()).public_bytes(pem))
    return folder / "ca.pem", folder / "server.pem"


@contextlib.asynccontextmanager
async def tls_before(port: int, certificate: Path) -> AsyncIterator[int]:
    """A port where TLS is spoken, and passed on in plain."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    listening = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
