"""The command line: one function a command, each a thin door like a tool."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console

from memory_mcp import __version__
from memory_mcp.cli import acting, audit, tables, tokens
from memory_mcp.cli import engine as engines
from memory_mcp.cli import serve as serving
from memory_mcp.cli.asking import conversation
from memory_mcp.cli.checks import Doctor
from memory_mcp.cli.encryption import decrypt, encrypt, rekey
from memory_mcp.cli.erase import erase
from memory_mcp.cli.hook import hook
from memory_mcp.cli.install.commands import client_states, install, uninstall
from memory_mcp.cli.maintain import maintain
from memory_mcp.cli.memories import browse, forget, insights, recall, remember
from memory_mcp.cli.migrate import migrate
from memory_mcp.cli.moving import export, import_
from memory_mcp.cli.options import AsJson, DataDir, Namespace
from memory_mcp.cli.reindex import reindex
from memory_mcp.cli.sentences import in_one_line
from memory_mcp.cli.sessions import sessions
from memory_mcp.clock import utc_now
from memory_mcp.config import CONFIG_NAME, Settings, load_settings
from memory_mcp.errors import RequestError
from memory_mcp.log import configure_log
from memory_mcp.remember import door
from memory_mcp.tiers.sqlite import backup as copies
from memory_mcp.tiers.sqlite.cipher import parse
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.tiers.sqlite.keys import find_key, read_key_file
from memory_mcp.upkeep.register import Register

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Long-term memory for any MCP client. Without a command it serves MCP over stdin and stdout.",
)

app.add_typer(engines.commands, name="engine")
app.add_typer(tokens.commands, name="token")
app.add_typer(audit.commands, name="audit")


def _tell_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


ToldVersion = Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")]


@app.callback()
def _common(told_version: ToldVersion = False) -> None:
    pass


@app.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def serve(ctx: typer.Context) -> None:
    """Serve MCP over stdin and stdout: what a client's configuration names; with --http, over HTTP."""
    serving.serve(ctx.args)


for command in (remember, recall, browse, sessions, insights, forget, erase, maintain, export):
    app.command()(in_one_line()(command))
for chore in (install, uninstall, reindex, migrate, encrypt, rekey, decrypt):
    app.command()(in_one_line()(chore))
app.command("import")(in_one_line()(import_))
# a hook that ends with status 2 stops its host, so that not even a wrong option may be an error
app.command(hidden=True, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(hook)


@app.command()
def stats(data_dir: DataDir = None, namespace: Namespace = "", as_json: AsJson = False) -> None:
    """How much is remembered where, and how the memory is doing."""
    with in_one_line():
        settings = _settings(data_dir, namespace)
        if settings.records.backend == "sqlite" and not (settings.data_dir / FILE_NAME).exists():
            raise RequestError(f"There is no memory store in {settings.data_dir}; it is made when a client first starts the server.")
        with conversation(settings.data_dir, settings.namespace) as engine:
            facts, _ = engine.call("stats", {})
        _print_json(facts) if as_json else tables.print_statistics(Console(), facts)


@app.command()
def doctor(data_dir: DataDir = None, namespace: Namespace = "", as_json: AsJson = False) -> None:
    """Look for what is wrong, and say what to do about it; exit status 1 if there is something."""
    with in_one_line():
        console = Console(stderr=as_json)
        with console.status("Looking at the store and loading the model ...") as status:
            checks = anyio.run(Doctor(_settings(data_dir, namespace), status.update).examine)
        wrong = [check for check in checks if check.state == "wrong"]
        if as_json:
            _print_json({"ok": not wrong, "checks": [check.facts() for check in checks]})
        else:
            tables.print_checks(console, checks)
        if wrong:
            raise typer.Exit(1)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy all memories into one file, while servers go on working."""
    with in_one_line():
        settings = _with_a_file(_settings(data_dir))
        key = find_key(settings.encryption, settings.data_dir)
        made = copies.backup(settings.data_dir, file.expanduser().absolute(), key, force=force)
        if as_json:
            _print_json({"file": str(made.path), "memories": made.memories, "bytes": made.size_bytes})
        else:
            _say(f"Saved {_memories(made.memories)} ({tables.size(made.size_bytes)}), checked, to {made.path}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A copy that `backup` made.")],
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="Holds the key that the backup is encrypted with, if not the present one.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of all memories; those that are there now are kept aside."""
    with in_one_line():
        settings = _with_a_file(_settings(data_dir))
        former = None if key_file is None else parse(read_key_file(key_file.expanduser()))
        key = find_key(settings.encryption, settings.data_dir)
        done = copies.restore(
            settings.data_dir, file.expanduser().absolute(), utc_now(), key, former, erased=Register(settings.data_dir).read()
        )
        acting.note(settings, "restore", memories=done.memories, erased_again=done.erased_again)
        if as_json:
            _print_json(
                {"file": str(done.path), "memories": done.memories, "kept": str(done.kept or ""), "erased_again": done.erased_again}
            )
        else:
            kept = f"\nWhat was there before is kept as {done.kept}" if done.kept else ""
            again = f"\nErased again what was erased since: {_memories(done.erased_again)}" if done.erased_again else ""
            _say(f"Restored {_memories(done.memories)} to {done.path}{again}{kept}")


@app.command()
def where(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Where everything lies."""
    with in_one_line():
        settings = _settings(data_dir)
        named = os.environ.get("MEMORY_MCP_CONFIG")
        paths = {
            "data directory": settings.data_dir,
            "memories": settings.data_dir / FILE_NAME,
            "models": settings.data_dir / "models",
            "configuration": Path(named).expanduser() if named else settings.data_dir / CONFIG_NAME,
        }
        clients = client_states()
        if settings.records.backend != "sqlite":
            del paths["memories"]
        if as_json:
            places = {name.replace(" ", "_"): {"path": str(path), "exists": path.exists()} for name, path in paths.items()}
            _print_json({**places, "clients": clients})
        else:
            if "memories" not in paths:
                _say(f"{'memories':<18}in PostgreSQL, where dsn of [records] says")
            for name, path in paths.items():
                _say(f"{name:<18}{path}{'' if path.exists() else '  (not there yet)'}")
            for client in clients:
                _say(f"{client['title']:<18}{client['path']}  ({client['state']})")


@app.command()
def version() -> None:
    """The version of this program."""
    _say(__version__)


def _settings(data_dir: Path | None, namespace: str = "") -> Settings:
    settings = load_settings(data_dir=data_dir, namespace=namespace)
    if settings.namespace:
        door.namespace(settings.namespace)
    configure_log("error")
    return settings


def _with_a_file(settings: Settings) -> Settings:
    """Raise RequestError where memories are not kept in a file that could be copied."""
    if settings.records.backend != "sqlite":
        raise RequestError("The memories are in PostgreSQL, which has its own tools for this: pg_dump and pg_restore, as the owner.")
    return settings


def _memories(count: int) -> str:
    return f"{count:,} {'memory' if count == 1 else 'memories'}"


def _say(text: str) -> None:
    print(text)  # noqa: T201


def _print_json(facts: Any) -> None:
    _say(json.dumps(facts, ensure_ascii=False, indent=2))
