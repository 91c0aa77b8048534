"""Which namespace a client means when it names none: the project it works in, else the person's own."""

import configparser
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from urllib.parse import urlsplit

from memory_mcp.access import PERSONAL

_SCP_LIKE = re.compile(r"(?:[^@/]+@)?([^:/]+):(?!//)(.+)")
_ODD = re.compile(r"[^A-Za-z0-9._/~-]+")
_DIGEST = re.compile(r"-[0-9a-f]{8}$")
_MAX_CONFIG_BYTES = 1_000_000
_LEAST_PART = 3
"""Characters of a name that is found within others."""
_ALIKE_FROM = 0.75
"""Of two names, as `difflib` compares them: a slip or two."""
_MOST_ALIKE = 3


def home_folder() -> Path:
    """The user's; where none is known, a path that is no folder's."""
    return Path(os.path.expanduser("~"))


def client_namespace(given: str, environment: Mapping[str, str], directory: Path, home: Path) -> str:
    """The first of: what was given, the git project of `CLAUDE_PROJECT_DIR`, that of the working directory, `personal`.

    Args:
        given: From the command line, the environment or the configuration; empty where nobody said.
        directory: The client's working directory.
        home: The user's home folder, which is no project even if it is a repository.
    """
    if given:
        return given
    for place in (environment.get("CLAUDE_PROJECT_DIR", ""), str(directory)):
        if place and (project := project_namespace(Path(place), home)):
            return project
    return PERSONAL


def project_namespace(directory: Path, home: Path) -> str:
    """The namespace of the git project around a directory, empty if there is none.

    A remote's address without credentials where there is one, so that clones share it wherever they lie;
    else the folder's name and a digest of its path.
    """
    try:
        root = next((folder for folder in (directory, *directory.parents) if (folder / ".git").exists()), None)
    except OSError:  # it may not be looked into, or can be no folder
        return ""
    if root is None or root == home or root == Path(root.anchor):
        return ""
    remote = _remote(root / ".git")
    if remote:
        return remote
    digest = hashlib.blake2b(str(root.resolve()).encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return f"{_plain(root.name) or 'project'}-{digest}"


def _remote(git: Path) -> str:
    """`host/owner/name` of the remote `origin`, else of the first one; empty if there is none to be read."""
    try:
        if git.is_file():  # a worktree or submodule: the file names the real folder
            git = (git.parent / git.read_text("utf-8").removeprefix("gitdir:").strip()).resolve()
            common = git / "commondir"
            git = (git / common.read_text("utf-8").strip()).resolve() if common.is_file() else git
        config = git / "config"
        if config.stat().st_size > _MAX_CONFIG_BYTES:
            return ""
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        parser.read_string(re.sub(r"^[ \t]+", "", config.read_text("utf-8"), flags=re.MULTILINE))
    except (OSError, RuntimeError, ValueError, configparser.Error):  # of a path that leads round in a circle, or is none
        return ""
    remotes = {name: parser[name].get("url") or "" for name in parser.sections() if name.startswith("remote ")}
    url = remotes.get('remote "origin"') or next(iter(remotes.values()), "")
    return address_without_secrets(url)


def address_without_secrets(url: str) -> str:
    """`host/path` of a remote, without scheme, user, password, port and `.git`; empty for a local path."""
    if "://" in url:
        try:
            parts = urlsplit(url)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return ""
        if parts.scheme == "file":
            return ""
    elif match := _SCP_LIKE.fullmatch(url):
        host, path = match[1], match[2]
    else:
        return ""
    address = _plain(f"{host.lower()}/{path.strip('/').removesuffix('.git')}")
    return address[:200] if host and path.strip("/") else ""


def similar_names(name: str, others: Iterable[str]) -> list[str]:
    """Those that may be meant by a name that is none of them, the likeliest first, at most three.

    `parcels` may mean `github.com/acme/parcels`, and `parcles` as well; and so may `parcels-0123abcd`, a folder without a remote.
    """
    likely = sorted((-_likeness(name.lower(), other.lower()), other) for other in others if other != name)
    return [other for likeness, other in likely if -likeness >= _ALIKE_FROM][:_MOST_ALIKE]


def _likeness(name: str, other: str) -> float:
    shorter, longer = sorted((name, other), key=len)
    if len(shorter) >= _LEAST_PART and shorter in longer:
        return 1.0
    pairs = ((name, other), (name.rpartition("/")[2], other.rpartition("/")[2]), (_of_folder(name), _of_folder(other)))
    return max(SequenceMatcher(None, *pair).ratio() for pair in pairs)


def _of_folder(name: str) -> str:
    """Without what a remote or the folder's path adds to it: a project that was moved, or has got a remote, keeps this."""
    return _DIGEST.sub("", name.rpartition("/")[2])


def _plain(name: str) -> str:
    return _ODD.sub("-", name).strip("-._/~")
