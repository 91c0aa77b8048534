"""Rules for the model in a project's own files, between marks: what is put in comes out again to the byte.

How the text ended before is told by the form of what was added, so that nothing has to be kept beside: such files lie in
repositories, where copies would be in the way.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any

_OPENING, _CLOSING = "<!-- memory-mcp -->", "<!-- /memory-mcp -->"
_BLOCK = re.compile(rf"{re.escape(_OPENING)}\r?\n(.*?)\r?\n{re.escape(_CLOSING)}", re.DOTALL)
_CURSOR_HEAD = "---\ndescription: When to use the long-term memory\nalwaysApply: true\n---\n"
_IMPORT = re.compile(r"^@(?:\./)?AGENTS\.md\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A file that a client reads in every conversation about a project.

    Attributes:
        host: The client.
        head: What a new file begins with.
    """

    host: str
    path: PurePath
    head: str = ""


RULES_FILES = (
    RulesFile("claude-code", PurePath("CLAUDE.md")),
    RulesFile("cursor", PurePath(".cursor", "rules", "memory.mdc"), _CURSOR_HEAD),
    RulesFile("codex", PurePath("AGENTS.md")),
    RulesFile("vscode", PurePath("AGENTS.md")),
    RulesFile("vscode-insiders", PurePath("AGENTS.md")),
    RulesFile("windsurf", PurePath("AGENTS.md")),
)
"""Claude Desktop reads none."""


def rules_text() -> str:
    """The rules, without a line end behind them."""
    return files("memory_mcp.cli.install").joinpath("rules.md").read_text("utf-8").strip()


def project_root(directory: Path, home: Path) -> Path | None:
    """The repository around a directory, else the directory; None for the home folder and the root of the disk."""
    root = next((folder for folder in (directory, *directory.parents) if (folder / ".git").exists()), directory)
    return None if root == home or root == Path(root.anchor) else root


def imports_agents(text: str) -> bool:
    """Whether a CLAUDE.md takes in AGENTS.md, so that the rules need not stand in both."""
    return bool(_IMPORT.search(text))


@dataclass(frozen=True, slots=True)
class RulesSlot:
    """The place between the marks; a Slot."""

    head: str = ""

    @property
    def where(self) -> str:
        """As in Slot."""
        return "rules"

    def find(self, text: str) -> Mapping[str, Any] | None:
        """As in Slot."""
        match = _BLOCK.search(text)
        return match and {"rules": match[1].replace("\r\n", "\n")}

    def put(self, text: str | None, entry: Mapping[str, Any]) -> str:
        """As in Slot; a new block comes last."""
        newline = "\r\n" if "\r\n" in (text or "") else "\n"
        block = newline.join([_OPENING, *str(entry["rules"]).split("\n"), _CLOSING])
        if text is None:
            return f"{self.head}{block}{newline}"
        if match := _BLOCK.search(text):
            return text[: match.start()] + block + text[match.end() :]
        return f"{text}{newline}{block}{newline}" if not text or text.endswith("\n") else f"{text}{2 * newline}{block}"

    def take(self, text: str, before: str | None) -> str | None:
        """As in Slot; what was there before is told by the text alone."""
        match = _BLOCK.search(text)
        if match is None:
            return text
        head, tail = text[: match.start()], text[match.end() :]
        newline = "\r\n" if head.endswith("\r\n") else "\n"
        if head in ("", self.head) and not tail.strip():
            return None
        if not tail:  # the text had no line end
            return head.removesuffix(newline).removesuffix(newline)
        return head.removesuffix(newline) + tail.removeprefix("\n" if tail[0] == "\n" else newline)
