"""`memory-mcp token ...`: who is let in over HTTP. A token is shown once; what is kept is its hash."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import typer
from rich.console import Console
from rich.table import Table

from memory_mcp.access import ROLES, TENANT_IS, Role, is_tenant, subject
from memory_mcp.assembly import open_records
from memory_mcp.cli.acting import operator
from memory_mcp.cli.configured import settings_of
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import say, say_json
from memory_mcp.cli.sentences import in_one_line
from memory_mcp.clock import utc_now
from memory_mcp.errors import RequestError
from memory_mcp.remember import door
from memory_mcp.tokens import Gate, Token, mint

commands = typer.Typer(no_args_is_help=True, help="Who is let in over HTTP (memory-mcp serve --http).")

RoleName = Literal["reader", "writer", "manager", "admin"]


@commands.command()
def create(
    who: Annotated[
        str, typer.Option("--subject", help="Whose it is, like ann; left out: the owner of the tenant, with --role admin.")
    ] = "",
    role: Annotated[RoleName, typer.Option("--role", help="reader, writer, manager or admin.")] = "writer",
    of_tenant: Annotated[
        str, typer.Option("--tenant", help="Tenants see nothing of each other; local: what this machine's clients have.")
    ] = "local",
    namespaces: Annotated[
        list[str] | None, typer.Option("--namespace", help="Only this one and what lies below it, the first by default; may be repeated.")
    ] = None,
    expires: Annotated[str, typer.Option("--expires", help="How long it is good, like 12h or 90d; never: until it is revoked.")] = "365d",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and show it, once."""
    with in_one_line():
        given, now = ROLES[role], utc_now()
        if not who and given < Role.ADMIN:
            raise RequestError("Say whose token it is: --subject NAME.")
        ends = None if expires == "never" else door.lifetime(expires or "0d", "--expires", now)
        opened = [door.namespace(namespace) for namespace in namespaces or []]
        if not is_tenant(of_tenant):
            raise RequestError(f"--tenant: {TENANT_IS}.")
        text, token = mint(of_tenant, given, now, subject=subject(who) if who else "", namespaces=opened, expires=ends)
        anyio.run(_add, data_dir, token)
        if as_json:
            say_json({"token": text, **_facts(token)})
        else:
            say(text)
            until = "until it is revoked" if token.expires is None else f"until {token.expires:%Y-%m-%d %H:%M} UTC"
            Console(stderr=True).print(f"Token {token.id}, good {until}. It is shown this once.")


@commands.command("list")
def show(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Every token that was ever made, oldest first; never the tokens themselves."""
    with in_one_line():
        found: list[Token] = anyio.run(_everyone, data_dir)
        if as_json:
            say_json([_facts(token) for token in found])
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("id", "tenant", "subject", "role", "namespaces", "created", "state"):
            table.add_column(heading)
        for token in found:
            access = token.access
            who = (token.tenant, access.subject or "(owner)", access.role.word, ", ".join(access.namespaces) or "all")
            table.add_row(token.id, *who, _day(token.created), _state(token))
        Console().print(table if found else "There are no tokens. Make one: memory-mcp token create --subject NAME")


@commands.command()
def revoke(token_id: Annotated[str, typer.Argument(help="As `token list` shows it.")], data_dir: DataDir = None) -> None:
    """Let a token's bearer in no more, within two seconds."""
    with in_one_line():
        if not anyio.run(_revoke, data_dir, token_id):
            raise RequestError(f"There is no token {token_id[:40]!r} that is not revoked. See memory-mcp token list.")
        Console().print(f"Token {token_id} is revoked.")


async def _add(data_dir: Path | None, token: Token) -> None:
    async with open_records(settings_of(data_dir)) as store:
        await store.add_token(token, operator())


async def _everyone(data_dir: Path | None) -> list[Token]:
    async with open_records(settings_of(data_dir)) as store:
        return await store.tokens()


async def _revoke(data_dir: Path | None, token_id: str) -> bool:
    async with open_records(settings_of(data_dir)) as store:
        gate: Gate = store
        return await gate.revoke_token(token_id, utc_now(), operator())


def _facts(token: Token) -> dict[str, Any]:
    access = token.access
    return {
        "id": token.id,
        "tenant": token.tenant,
        "subject": access.subject,
        "role": access.role.word,
        "namespaces": list(access.namespaces),
        "created": token.created.isoformat(),
        "expires": None if token.expires is None else token.expires.isoformat(),
        "state": _state(token),
    }


def _state(token: Token) -> str:
    if token.revoked is not None:
        return f"revoked {_day(token.revoked)}"
    if token.is_live(utc_now()):
        return "good" if token.expires is None else f"good until {_day(token.expires)}"
    return "expired"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
