"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept (default: ~/.memory-mcp).")]
Namespace = Annotated[str, typer.Option("--namespace", help="The project that is meant (default: found from the working directory).")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
