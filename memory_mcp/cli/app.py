"""The command line: which commands there are, and the module that each is in."""

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

import typer

from memory_mcp import __version__
from memory_mcp.cli.printed import say
from memory_mcp.cli.sentences import in_one_line

COMMANDS: Mapping[str, str] = {
    "serve": "app:serve",
    "install": "install.commands:install",
    "uninstall": "install.commands:uninstall",
    "remember": "memories:remember",
    "recall": "memories:recall",
    "browse": "memories:browse",
    "sessions": "sessions:sessions",
    "insights": "memories:insights",
    "forget": "memories:forget",
    "export": "moving:export",
    "import": "moving:import_",
    "stats": "stats:stats",
    "doctor": "doctor:doctor",
    "where": "where:where",
    "config": "config:config",
    "backup": "copies:backup",
    "restore": "copies:restore",
    "maintain": "maintain:maintain",
    "erase": "erase:erase",
    "encrypt": "encryption:encrypt",
    "rekey": "encryption:rekey",
    "decrypt": "encryption:decrypt",
    "migrate": "migrate:migrate",
    "reindex": "reindex:reindex",
    "version": "app:version",
    "engine": "engine:commands",
    "token": "tokens:commands",
    "audit": "audit:commands",
    "hook": "hook:hook",
}
"""The function of each, or several as a Typer, in the order in which help lists them."""

_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "serve": {"add_help_option": False, "context_settings": _PASSED_ON},
    # a hook that ends with status 2 stops its host, so that not even a wrong option may be an error
    "hook": {"hidden": True, "context_settings": _PASSED_ON},
}


def make_app(wanted: str = "") -> typer.Typer:
    """The command line; if `wanted` is a command, with that one alone, since loading all takes more than a second."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Long-term memory for any MCP client. Without a command it serves MCP over stdin and stdout.",
    )
    app.callback()(_common)
    only = wanted.removeprefix("--")  # as --version is the command of that name
    for name in [only] if only in COMMANDS else COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(f"memory_mcp.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name, **_OPTIONS.get(name, {}))(found if name == "hook" else in_one_line()(found))
    return app


def serve(ctx: typer.Context) -> None:
    """Serve MCP over stdin and stdout: what a client's configuration names; with --http, over HTTP."""
    from memory_mcp.cli.serve import serve as serve_as  # noqa: PLC0415 - loads the server, which help has no need of

    serve_as(ctx.args)


def version() -> None:
    """The version of this program."""
    say(__version__)


def _tell_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


ToldVersion = Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")]


def _common(told_version: ToldVersion = False) -> None:
    pass
