"""What may be said to the server on its command line."""

from collections.abc import Sequence

_VALUED = ("--data-dir", "--namespace")
OPTIONS = (*_VALUED, "--isolated")
"""Each may also come without the word `serve`."""


class Given:
    """The arguments of `memory-mcp serve`; an empty text where nothing was said."""

    __slots__ = ("data_dir", "isolated", "namespace")

    def __init__(self, data_dir: str = "", namespace: str = "", isolated: bool = False) -> None:
        self.data_dir, self.namespace, self.isolated = data_dir, namespace, isolated


def parse(arguments: Sequence[str]) -> Given:
    """Read them; whatever is not plain goes to argparse, which ends the process with status 2 where it makes no sense."""
    given, rest = Given(), list(arguments)
    while rest:
        name, joined, value = rest.pop(0).partition("=")
        if name == "--isolated" and not joined:
            given.isolated = True
        elif name in _VALUED and (joined or (rest and not rest[0].startswith("-"))):
            setattr(given, name[2:].replace("-", "_"), value if joined else rest.pop(0))
        else:
            return _parse_thoroughly(arguments)
    return given


def _parse_thoroughly(arguments: Sequence[str]) -> Given:
    import argparse  # noqa: PLC0415 - only for a person: it would cost each start 10 ms

    parser = argparse.ArgumentParser(prog="memory-mcp serve", description="Serve MCP over stdin and stdout.")
    parser.add_argument("--data-dir", default="", help="where everything is kept (default: ~/.memory-mcp)")
    parser.add_argument("--namespace", default="", help="the project to work in (default: found from where the client works)")
    parser.add_argument("--isolated", action="store_true", help="serve from this process alone, without the shared engine")
    parser.add_argument("--http", action="store_true", help="serve over HTTP instead (see serve --http --help)")
    said = parser.parse_args(arguments)
    return Given(said.data_dir, said.namespace, said.isolated)
