"""The commands where memories are kept in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import APP, EMPTY, OWNER, Databases, server
from test_commands import command, refused, told

from memory_mcp.tiers.postgres.schema import migrations

OWNER_VARIABLE = "MEMORY_MCP_RECORDS__OWNER_DSN"


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    made = Databases(tmp_path)
    yield made
    made.drop()


@pytest.fixture
def home(tmp_path: Path, databases: Databases) -> Path:
    folder = tmp_path / ".memory-mcp"
    folder.mkdir(mode=0o700)
    config = folder / "config.toml"
    config.write_text(f'[records]\nbackend = "postgres"\ndsn = "{server().dsn(databases.make("store", like=EMPTY), APP)}"\n')
    config.chmod(0o600)
    return tmp_path


def test_tables_are_made_by_their_owner_and_then_the_doctor_is_content(home: Path, databases: Databases) -> None:
    ask = refused(command("migrate", home=home))
    before = told(command("doctor", "--json", home=home), 1)
    owner = {OWNER_VARIABLE: server().dsn(databases.make(), OWNER)}
    first, second = command("migrate", home=home, **owner), command("migrate", home=home, **owner)
    after = told(command("doctor", "--json", home=home))

    assert OWNER_VARIABLE in ask
    assert {check["name"]: check["state"] for check in before["checks"]}["schema"] == "wrong"
    assert f"version {len(migrations())} (before: 0)" in first.stdout
    assert f"version {len(migrations())} already" in second.stdout
    states = {check["name"]: check["state"] for check in after["checks"]}
    assert {name: states[name] for name in ("database", "role", "schema", "isolation", "operations")} == dict.fromkeys(
        ("database", "role", "schema", "isolation", "operations"), "ok"
    )
    assert "SQLite" not in states


def test_the_doctor_names_a_role_that_may_do_too_much(home: Path, databases: Databases) -> None:
    done = told(command("doctor", "--json", home=home, MEMORY_MCP_RECORDS__DSN=server().dsn(databases.make(), "postgres")), 1)

    assert any(check["name"] == "role" and "superuser" in check["found"] for check in done["checks"])


def test_the_doctor_says_why_nothing_can_be_stored(home: Path, databases: Databases) -> None:
    owner = {OWNER_VARIABLE: server().dsn(databases.make(), OWNER)}
    command("migrate", home=home, **owner)
    with server().connect(databases.make()) as admin:
        admin.execute(f"ALTER DATABASE {databases.make()} SET default_transaction_read_only = on")
        admin.execute("SET default_transaction_read_only = off")
        read_only = by_name(told(command("doctor", "--json", home=home), 1))
        admin.execute(f"ALTER DATABASE {databases.make()} RESET default_transaction_read_only")
        admin.execute(f"REVOKE INSERT ON memory_mcp.memories FROM {APP}")
    revoked = by_name(told(command("doctor", "--json", home=home), 1))
    command("migrate", home=home, **owner)
    mended = by_name(told(command("doctor", "--json", home=home)))

    assert "nothing can be stored" in read_only["writing"]["found"]
    assert read_only["operations"]["state"] == "ok"
    assert "INSERT on memories" in revoked["role"]["found"]
    assert ("writing" in mended, mended["role"]["state"]) == (False, "ok")


def by_name(done: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in done["checks"]}


@pytest.mark.parametrize("given", [("backup", "copy.db"), ("restore", "copy.db")])
def test_copies_of_a_file_are_refused_with_what_to_use_instead(home: Path, given: tuple[str, ...]) -> None:
    assert "pg_dump" in refused(command(*given, home=home))


def test_where_says_where_without_the_address(home: Path) -> None:
    done = command("where", home=home)

    assert "in PostgreSQL" in done.stdout
    assert "postgresql://" not in done.stdout


def test_sqlite_has_nothing_to_migrate(tmp_path: Path) -> None:
    assert "SQLite" in refused(command("migrate", home=tmp_path))
