"""`memory-mcp encrypt|rekey|decrypt`: the store's file with a key, with another one, or without."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich import progress as bars
from rich.console import Console

from memory_mcp.cli.acting import note
from memory_mcp.cli.configured import settings_of
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import remark, say, say_json
from memory_mcp.config import Settings
from memory_mcp.counted import counted
from memory_mcp.errors import RequestError
from memory_mcp.folders import expanded
from memory_mcp.tiers.sqlite import sealing
from memory_mcp.tiers.sqlite.keys import find_key, read_key_file, slot_of
from memory_mcp.tiers.sqlite.sealing import Progress, Sealed
from memory_mcp.tiers.sqlite.settings import NOT_ENCRYPTED, EncryptionSettings

_KEEP_IT = "Keep a copy of the key elsewhere: without it nobody can read the memories, nor a backup of them."
_TRACES = "The former file was overwritten; what a flash disk or an earlier backup keeps of it nobody can promise."


def encrypt(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Encrypt all memories with the key that the section encryption of config.toml names; makes it where there is none yet."""
    settings = _settings(data_dir)
    slot = slot_of(settings.encryption, settings.data_dir)
    with _progress() as told:
        done = sealing.encrypt(settings.data_dir, lambda: find_key(settings.encryption, settings.data_dir), slot, told)
    if done.memories is not None:
        note(settings, "encrypt", memories=done.memories)
    place = slot.place if slot else settings.encryption.source
    if done.memories is None:
        _report(done, as_json, f"All that is or will be stored in {settings.data_dir} is encrypted. The key is in {place}.", _KEEP_IT)
    else:
        encrypted = counted(done.memories, "memory")
        _report(done, as_json, f"Encrypted {encrypted}, compared row by row. The key is in {place}.", _KEEP_IT, _TRACES)


def rekey(
    new_key_file: Annotated[
        Path | None, typer.Option("--new-key-file", help="Holds the new key (default: a random one, where the present one is kept).")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Encrypt all memories with another key. Backups that are there keep the key that they were made with."""
    settings = _settings(data_dir)
    slot = slot_of(settings.encryption, settings.data_dir)
    given = None if new_key_file is None else read_key_file(expanded(new_key_file))
    with _progress() as told:
        done = sealing.rekey(settings.data_dir, lambda: find_key(settings.encryption, settings.data_dir), slot, given, told)
    if done.memories is not None:
        own = settings if given is None or slot else settings.model_copy(update={"encryption": EncryptionSettings(key=SecretStr(given))})
        note(own, "rekey", memories=done.memories)
    where = f"The key is in {slot.place}." if slot else f"Let {settings.encryption.source} lead to the key in {new_key_file} from now on."
    count = "" if done.memories is None else f" for {counted(done.memories, 'memory')}, compared row by row"
    _report(done, as_json, f"The new key holds{count}. {where}", _KEEP_IT)


def decrypt(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take the encryption off all memories."""
    settings = _settings(data_dir)
    key = find_key(settings.encryption, settings.data_dir)
    assert key is not None
    with _progress() as told:
        done = sealing.decrypt(settings.data_dir, key, told)
    if done.memories is not None:
        note(settings.model_copy(update={"encryption": NOT_ENCRYPTED}), "decrypt", memories=done.memories)
    became = "They were not encrypted" if done.memories is None else f"Decrypted {counted(done.memories, 'memory')}, compared row by row"
    _report(done, as_json, f"{became}. Now remove [encryption] from the configuration: until then the server refuses to start.")


def _settings(data_dir: Path | None) -> Settings:
    settings = settings_of(data_dir)
    if not settings.encryption.on:
        raise RequestError(
            "No key is configured. Put key_file, key_command or keyring under [encryption] in config.toml, like key_file = "
            '"~/.config/memory-mcp.key", or set MEMORY_MCP_ENCRYPTION__KEY.'
        )
    return settings


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TaskProgressColumn(), bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        bar = shown.add_task("looking", total=None)
        yield lambda what, done, total: shown.update(bar, description=what, completed=done, total=total or None)


def _report(done: Sealed, as_json: bool, *sentences: str) -> None:
    if as_json:
        facts = {"memories": done.memories, "changed": done.memories is not None, "not_encrypted": [str(path) for path in done.plain]}
        say_json(facts)
        return
    say("\n".join(sentences))
    for path in done.plain:
        remark(f"{path} is an older copy that is not encrypted: delete it if you do not need it.")
