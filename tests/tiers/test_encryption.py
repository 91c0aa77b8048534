"""The encrypted store: nothing readable in any of its files, no way in with another key, and never a store lost on the way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from stat import S_IMODE
from typing import Any

import anyio
import apsw
import pytest
from record_stores import ACTOR, ANYTHING, HOME, NOW, add, found, rewritten, texts
from sqlite_child import KEY

from memory_mcp.errors import RequestError, StoreDamagedError, StoreKeyError, TierError
from memory_mcp.tiers.sqlite import database, sealing
from memory_mcp.tiers.sqlite.backup import backup, restore
from memory_mcp.tiers.sqlite.cipher import Key, copy_into, parse, state_of, state_of_header
from memory_mcp.tiers.sqlite.keys import FileSlot, find_key, slot_of
from memory_mcp.tiers.sqlite.sealing import Sealed
from memory_mcp.tiers.sqlite.settings import NOT_ENCRYPTED, EncryptionSettings
from memory_mcp.tiers.sqlite.store import SqliteStore

CHILD = Path(__file__).with_name("sqlite_child.py")
PASSPHRASE = "a long passphrase"
WITH_KEY, WITH_PASSPHRASE, WITH_ANOTHER = (EncryptionSettings(key=text) for text in (KEY, PASSPHRASE, "11" * 32))
WHEN = datetime(2026, 11, 21, tzinfo=UTC)
SECRETS = ("Marigold", "tulipwood", "petrichor", "quicksilver")
FILE = "memories.db"


def key_of(settings: EncryptionSettings) -> Key | None:
    return find_key(settings, Path())


def silent(_what: str, _done: int, _total: int) -> None:
    pass


async def some_store(folder: Path, encryption: EncryptionSettings = NOT_ENCRYPTED) -> Path:
    """Texts, past forms, tags and metadata, each with a word that stands nowhere else."""
    async with SqliteStore.open(folder, encryption) as store:
        one = await add(store, f"{SECRETS[0]} grows by the gate", tags=(SECRETS[1],), metadata={"smell": SECRETS[2]})
        await store.revise([HOME], one, rewritten(f"{SECRETS[3]} runs by the gate"), ACTOR, NOW)
        for n in range(50):
            await add(store, f"text {n} of some length, so that there is more than a page or two " + SECRETS[0])
    return folder


async def opened(folder: Path, encryption: EncryptionSettings) -> list[str]:
    async with SqliteStore.open(folder, encryption) as store:
        assert await store.check() == []
        assert await store.verify_chain() is None
        return await texts(store)


def readable(folder: Path) -> dict[str, list[str]]:
    """Which of the words stand in which file below a folder."""
    seen = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes().lower()
        if words := [word for word in SECRETS if word.lower().encode() in data or word.lower().encode("utf-16-le") in data]:
            seen[path.name] = words
    return seen


@pytest.mark.parametrize("encryption", [NOT_ENCRYPTED, WITH_KEY, WITH_PASSPHRASE], ids=["plain", "key", "passphrase"])
async def test_no_file_holds_a_word_of_what_is_stored(tmp_path: Path, encryption: EncryptionSettings) -> None:
    """Looked at while it is open, with its WAL, after it was closed, and in a backup; without a key every word is there."""
    async with SqliteStore.open(tmp_path / "data", encryption) as store:
        assert store.encrypted is encryption.on
        one = await add(store, f"{SECRETS[0]} grows by the gate", tags=(SECRETS[1],), metadata={"smell": SECRETS[2]})
        await store.revise([HOME], one, rewritten(f"{SECRETS[3]} runs by the gate"), ACTOR, NOW)
        assert await found(store, SECRETS[3])
        assert (tmp_path / "data" / f"{FILE}-wal").stat().st_size > 0
        seen_open = readable(tmp_path / "data")
    backup(tmp_path / "data", tmp_path / "copy.db", key_of(encryption))
    seen_closed = readable(tmp_path)

    if encryption.on:
        assert (seen_open, seen_closed) == ({}, {})
    else:
        assert sorted(seen_open[f"{FILE}-wal"]) == sorted(SECRETS)
        assert sorted(seen_closed[FILE]) == sorted(seen_closed["copy.db"]) == sorted(SECRETS)


async def test_what_sqlite_sorts_and_may_roll_back_stays_in_memory(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path, WITH_KEY) as store:
        assert await store._write(lambda connection: connection.pragma("temp_store")) == 2
        assert await store._read(lambda connection: connection.pragma("temp_store")) == 2


WRONG = {
    "another key": (WITH_KEY, WITH_ANOTHER, "does not open memories.db"),
    "another passphrase": (WITH_PASSPHRASE, EncryptionSettings(key="b long passphrase"), "does not open memories.db"),
    "no key": (WITH_KEY, NOT_ENCRYPTED, "is encrypted, and no key is configured"),
    "a key for what is plain": (NOT_ENCRYPTED, WITH_KEY, "memory-mcp encrypt"),
}


@pytest.mark.parametrize(("made", "asked", "said"), WRONG.values(), ids=list(WRONG))
async def test_another_key_opens_nothing_and_changes_nothing(
    tmp_path: Path, made: EncryptionSettings, asked: EncryptionSettings, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_store(tmp_path, made)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for writable in (True, False):
        with monkeypatch.context() as patched:
            if not writable:
                patched.setattr(os, "access", lambda path, mode: mode != os.W_OK)
            with pytest.raises(StoreKeyError, match=said) as caught:
                await opened(tmp_path, asked)
        assert "Nothing was changed." in str(caught.value)
        assert not any(secret in repr(caught.value) for secret in (KEY, PASSPHRASE, "11" * 32))
    with pytest.raises(StoreKeyError):
        backup(tmp_path, tmp_path.with_name("copy.db"), key_of(asked))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name in before} == before
    assert not tmp_path.with_name("copy.db").exists()
    assert len(await opened(tmp_path, made)) == 51


@pytest.mark.parametrize("place", ["garbage", "the middle", "cut"])
async def test_damage_is_not_taken_for_a_wrong_key(tmp_path: Path, place: str) -> None:
    await some_store(tmp_path, WITH_KEY)
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    if place == "garbage":
        data[:100] = b"\x5a" * 100
    elif place == "the middle":
        data[3 * 4096 + 700] ^= 1  # a single bit is noticed
    else:
        del data[10:]
    path.write_bytes(data)
    if place != "the middle":
        with pytest.raises(StoreDamagedError, match="Restore a backup"):
            await opened(tmp_path, WITH_KEY)
        assert path.read_bytes() == data
        return
    async with SqliteStore.open(tmp_path, WITH_KEY) as store:
        try:
            faults = await store.check()
        except StoreDamagedError:
            return
        assert faults


def test_a_header_tells_what_a_file_is() -> None:
    plain = b"SQLite format 3\0" + bytes((16, 0, 2, 2, 0, 64, 32, 32))
    locked = bytes(range(16)) + bytes((16, 0, 2, 2, 32, 64, 32, 32))

    assert [state_of_header(header) for header in (plain, locked)] == ["plain", "encrypted"]
    for other in (b"", b"Dear diary, it rained all day", bytes(24), locked[:23], bytes(16) + bytes((16, 1, 2, 2, 32, 64, 32, 32))):
        assert state_of_header(other) == "unknown"


def test_looking_at_a_file_does_not_end_the_locks_on_it(tmp_path: Path) -> None:
    """As closing it by other means than SQLite would."""
    path = database.prepare(tmp_path)
    holder = database.connect(path, None)
    holder.execute("CREATE TABLE t (a)")
    holder.execute("BEGIN EXCLUSIVE")
    assert state_of(path) == "plain"
    asked = f"import apsw; c = apsw.Connection({str(path)!r}); c.execute('INSERT INTO t VALUES (1)')"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    holder.close()

    assert "BusyError" in done.stderr


NO_KEYS = ["", "short", "a passphrase\nof two lines", "x" * 1001, "tab\tseparated words", "zero\0 in the middle", "raw:" + "0" * 40]


@pytest.mark.parametrize("text", NO_KEYS)
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(StoreKeyError) as caught:
        parse(text)
    assert not text or text not in str(caught.value)


def test_a_key_shows_itself_nowhere() -> None:
    key = parse(KEY)

    assert KEY not in f"{key!r} {key} {key!s}"
    assert parse(f"{KEY.upper()}\r\n") == key != parse("22" * 32)


async def test_a_passphrase_is_derived_as_the_cipher_derives_it(tmp_path: Path) -> None:
    """What is written with the derived key is read with the passphrase, and the other way round."""
    await some_store(tmp_path, WITH_PASSPHRASE)
    key = parse(PASSPHRASE)
    derived = key.derived(tmp_path / FILE)
    connection = database.connect(tmp_path / FILE, derived)
    connection.execute("DELETE FROM uses")
    connection.pragma("user_version", connection.pragma("user_version"))
    connection.close()

    assert derived not in (key, parse(PASSPHRASE + "x").derived(tmp_path / FILE))
    assert parse(KEY).derived(tmp_path / FILE) == parse(KEY)
    assert len(await opened(tmp_path, WITH_PASSPHRASE)) == 51


async def test_a_copy_that_cannot_be_written_does_not_tell_the_key(tmp_path: Path) -> None:
    """SQLite's own error names the file, and with it the key."""
    await some_store(tmp_path, WITH_KEY)
    connection = database.connect(tmp_path / FILE, key_of(WITH_KEY))
    for target in (tmp_path / "absent" / "copy.db", tmp_path / FILE):
        with pytest.raises((TierError, apsw.Error)) as caught:
            copy_into(connection, target, key_of(WITH_KEY))
        assert KEY.encode().hex() not in repr(caught.value)
        assert KEY not in repr(caught.value)
        assert caught.value.__cause__ is None
    connection.close()


# where the key comes from


def key_file(path: Path, text: str = KEY, mode: int = 0o600) -> Path:
    path.write_text(f"{text}\n")
    path.chmod(mode)
    return path


def test_a_key_comes_from_a_file_a_program_or_the_environment(tmp_path: Path) -> None:
    file = key_file(tmp_path / "key")
    wanted = parse(KEY)

    assert find_key(EncryptionSettings(key_file="key"), tmp_path) == wanted
    assert find_key(EncryptionSettings(key_file=str(file)), Path("/elsewhere")) == wanted
    assert find_key(EncryptionSettings(key_command=["cat", str(file)]), tmp_path) == wanted
    assert find_key(WITH_KEY, tmp_path) == wanted
    assert find_key(NOT_ENCRYPTED, tmp_path) is None


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    key_file(tmp_path / "key", mode=mode)
    with pytest.raises(StoreKeyError, match="chmod 600"):
        find_key(EncryptionSettings(key_file="key"), tmp_path)


def test_a_key_that_is_not_to_be_had_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    faults = {
        "There is no key in": EncryptionSettings(key_file="absent"),
        "plain file": EncryptionSettings(key_file="pipe"),
        "cannot be run": EncryptionSettings(key_command=["no-such-program-anywhere"]),
        "status 3": EncryptionSettings(key_command=["sh", "-c", "echo hunter2 hunter2; echo hunter2 >&2; exit 3"]),
        "64 hexadecimal digits": EncryptionSettings(key_command=["printf", "hunter2"]),
        "64 hexadecimal": EncryptionSettings(key_command=["head", "-c", "9000", "/dev/zero"]),
    }
    for said, settings in faults.items():
        with pytest.raises(StoreKeyError, match=said) as caught:
            find_key(settings, tmp_path)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreKeyError):
        find_key(EncryptionSettings(key_file="folder"), tmp_path)


KEYRING = '''
import json, os, pathlib
import keyring.backend, keyring.errors
FILE = pathlib.Path(os.environ["TEST_KEYRING"])
class Keyring(keyring.backend.KeyringBackend):
    """The real library over a keyring that this machine has not."""
    priority = 1
    def _all(self): return json.loads(FILE.read_text()) if FILE.exists() else {}
    def get_password(self, service, username): return self._all().get(f"{service}/{username}")
    def set_password(self, service, username, password): FILE.write_text(json.dumps(self._all() | {f"{service}/{username}": password}))
    def delete_password(self, service, username):
        left = self._all()
        if left.pop(f"{service}/{username}", None) is None: raise keyring.errors.PasswordDeleteError()
        FILE.write_text(json.dumps(left))
'''


async def test_a_key_lies_in_the_keyring_and_is_changed_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "keyring_of_the_test.py").write_text(KEYRING)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setenv("TEST_KEYRING", str(tmp_path / "keyring.json"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring_of_the_test.Keyring")
    keyring.core.init_backend()
    settings = EncryptionSettings(keyring=True)
    folder = await some_store(tmp_path / "data")
    with pytest.raises(StoreKeyError, match="There is no key in the system's keyring"):
        await opened(folder, settings)
    slot = slot_of(settings, folder)
    sealing.encrypt(folder, lambda: find_key(settings, folder), slot, silent)
    first = find_key(settings, folder)
    assert len(await opened(folder, settings)) == 51
    sealing.rekey(folder, lambda: find_key(settings, folder), slot, None, silent)

    assert find_key(settings, folder) != first
    assert len(await opened(folder, settings)) == 51
    assert (tmp_path / "keyring.json").read_text().count("memory-mcp/") == 1
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    keyring.core.init_backend()
    with pytest.raises(StoreKeyError, match="keyring cannot be used"):
        await opened(folder, settings)


# encrypt, rekey, decrypt


async def test_encrypted_and_decrypted_it_is_what_it_was(tmp_path: Path) -> None:
    folder, told = await some_store(tmp_path / "data"), []
    before = await opened(folder, NOT_ENCRYPTED)
    one = sealing.encrypt(folder, lambda: parse(KEY), None, lambda what, done, total: told.append((what, done, total)))
    assert (one, state_of(folder / FILE)) == (Sealed(51), "encrypted")
    assert told[0][0] == "copying"
    assert told[-1][0] == "comparing"
    assert told[-1][1] == told[-1][2] > 200
    assert readable(folder) == {}
    assert S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert await opened(folder, WITH_KEY) == before
    async with SqliteStore.open(folder, WITH_KEY) as store:
        assert len(await found(store, SECRETS[0])) == 50
        assert await store._read(lambda connection: connection.pragma("journal_mode")) == "wal"
    assert sealing.encrypt(folder, lambda: parse(KEY), None, silent) == Sealed(None)
    assert sealing.decrypt(folder, parse(KEY), silent) == Sealed(51)
    assert state_of(folder / FILE) == "plain"

    assert await opened(folder, NOT_ENCRYPTED) == before
    assert sorted(path.name for path in folder.iterdir() if "partial" in path.name) == []


async def test_what_was_only_in_the_wal_is_taken_along(tmp_path: Path) -> None:
    """From a process that was killed."""
    for state, settings in (("plain", NOT_ENCRYPTED), ("encrypted", WITH_KEY)):
        folder = tmp_path / state
        with another_process("add_for_ever", folder, *([KEY] if settings.on else [])) as process:
            said = [process.ask("go")] + [process.line() for _ in range(40)]
            process.kill()
            said += process.rest()
        assert (folder / f"{FILE}-wal").stat().st_size > 0
        if settings.on:
            sealing.rekey(folder, lambda: parse(KEY), None, "11" * 32, silent)
        else:
            sealing.encrypt(folder, lambda: parse("11" * 32), None, silent)
        async with SqliteStore.open(folder, WITH_ANOTHER) as store:
            kept = {str(memory.id) for memory in await store.newest([HOME], ANYTHING, limit=100_000)}

        assert len(said) > 40
        assert set(said) <= kept


async def test_a_store_in_use_is_left_alone(tmp_path: Path) -> None:
    folder = await some_store(tmp_path)
    before = (folder / FILE).read_bytes()
    async with SqliteStore.open(folder):
        with pytest.raises(TierError, match="engine stop"):
            sealing.encrypt(folder, lambda: parse(KEY), None, silent)

    assert (folder / FILE).read_bytes() == before


async def test_the_former_file_is_overwritten(tmp_path: Path) -> None:
    """Held open under no name, it shows what is left on the disk."""
    folder = await some_store(tmp_path)
    handle = os.open(folder / FILE, os.O_RDONLY)
    sealing.encrypt(folder, lambda: parse(KEY), None, silent)
    left = os.pread(handle, 1 << 22, 0)
    os.close(handle)

    assert left
    assert left.strip(b"\0") == b""


async def test_a_key_is_made_where_there_is_none_and_never_for_a_store_that_has_one(tmp_path: Path) -> None:
    folder = await some_store(tmp_path / "data")
    key = tmp_path / ".config" / "memory-mcp.key"
    settings = EncryptionSettings(key_file=str(key))
    slot = slot_of(settings, folder)
    sealing.encrypt(folder, lambda: find_key(settings, folder), slot, silent)
    assert len(key.read_text()) == 65
    assert S_IMODE(key.stat().st_mode) == 0o600
    assert len(await opened(folder, settings)) == 51

    os.rename(key, tmp_path / "lost")
    with pytest.raises(StoreKeyError, match="There is no key in"):
        sealing.encrypt(folder, lambda: find_key(settings, folder), slot, silent)
    assert not key.exists()


async def test_a_new_key_takes_the_old_ones_place(tmp_path: Path) -> None:
    settings = EncryptionSettings(key_file=str(key_file(tmp_path / "key")))
    folder = await some_store(tmp_path / "data", settings)
    slot = slot_of(settings, folder)
    assert sealing.rekey(folder, lambda: find_key(settings, folder), slot, None, silent) == Sealed(51)
    assert find_key(settings, folder) != parse(KEY)
    assert not (tmp_path / "key.new").exists()
    assert len(await opened(folder, settings)) == 51
    with pytest.raises(StoreKeyError):
        await opened(folder, WITH_KEY)
    sealing.rekey(folder, lambda: find_key(settings, folder), slot, PASSPHRASE, silent)

    assert len(await opened(folder, WITH_PASSPHRASE)) == 51
    with pytest.raises(RequestError, match="--new-key-file"):
        sealing.rekey(folder, lambda: parse(PASSPHRASE), None, None, silent)
    with pytest.raises(StoreKeyError, match="does not open"):
        sealing.rekey(folder, lambda: parse(KEY), None, PASSPHRASE, silent)


@pytest.mark.parametrize("swapped", [False, True])
async def test_a_rekey_that_was_broken_off_is_finished_by_the_next(tmp_path: Path, swapped: bool) -> None:
    settings = EncryptionSettings(key_file=str(key_file(tmp_path / "key")))
    folder = await some_store(tmp_path / "data", settings)
    slot = FileSlot(tmp_path / "key")
    slot.propose(PASSPHRASE if swapped else "half")
    if swapped:
        sealing.rekey(folder, lambda: parse(KEY), None, PASSPHRASE, silent)
        with pytest.raises(StoreKeyError, match="rekey"):
            await opened(folder, settings)
    done = sealing.rekey(folder, lambda: find_key(settings, folder), slot, None, silent)

    assert done == Sealed(None if swapped else 51)
    assert (find_key(settings, folder) == parse(PASSPHRASE)) is swapped
    assert find_key(settings, folder) != parse(KEY)
    assert len(await opened(folder, settings)) == 51


async def test_plain_copies_that_lie_beside_are_named(tmp_path: Path) -> None:
    folder = await some_store(tmp_path / "data")
    backup(folder, tmp_path / "copy.db")
    restore(folder, tmp_path / "copy.db", WHEN)
    done = sealing.encrypt(folder, lambda: parse(KEY), None, silent)

    assert [path.name for path in done.plain] == ["memories.db.before-restore-20261121-000000-000000"]


async def test_backups_keep_their_key_and_a_restored_store_has_the_present_one(tmp_path: Path) -> None:
    one, other = key_of(WITH_KEY), key_of(WITH_ANOTHER)
    folder = await some_store(tmp_path / "data", WITH_KEY)
    backup(folder, tmp_path / "copy.db", one)
    await some_store(tmp_path / "plain")
    backup(tmp_path / "plain", tmp_path / "plain.db")
    before = (folder / FILE).read_bytes()

    restore(folder, tmp_path / "copy.db", WHEN, one)
    assert len(await opened(folder, WITH_KEY)) == 51
    restore(tmp_path / "another", tmp_path / "copy.db", WHEN, other, one)
    assert len(await opened(tmp_path / "another", WITH_ANOTHER)) == 51
    restore(tmp_path / "locked", tmp_path / "plain.db", WHEN, one)
    assert readable(tmp_path / "locked") == {}
    assert len(await opened(tmp_path / "locked", WITH_KEY)) == 51
    assert before
    now = (folder / FILE).read_bytes()
    with pytest.raises(StoreKeyError, match="--key-file"):
        restore(folder, tmp_path / "copy.db", WHEN, other)
    with pytest.raises(StoreKeyError, match="would not be"):
        restore(folder, tmp_path / "copy.db", WHEN)
    assert (folder / FILE).read_bytes() == now


# two processes, and an end in the middle


class Process:
    """Another process on the store, told what to do by lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout

    def tell(self, line: str) -> None:
        self._stdin.write(f"{line}\n")
        self._stdin.flush()

    def line(self) -> Any:
        line = self._stdout.readline()
        assert line, f"the process ended with status {self._process.wait(5)}"
        return json.loads(line)

    def ask(self, line: str) -> Any:
        self.tell(line)
        return self.line()

    def kill(self) -> None:
        self._process.kill()

    def rest(self) -> list[Any]:
        """What it said before it was killed; half a line was not said."""
        return [json.loads(line) for line in self._stdout if line.endswith("\n")]


@contextmanager
def another_process(*arguments: object) -> Iterator[Process]:
    command = [sys.executable, str(CHILD), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        process = Process(started)
        try:
            assert process.line() == "ready"
            yield process
        finally:
            process.kill()


async def test_two_processes_share_an_encrypted_store(tmp_path: Path) -> None:
    """Started on nothing at once; what one has stored the other finds."""
    folder = tmp_path / "data"
    with another_process("add_many", folder, "a", 200, KEY) as one, another_process("add_many", folder, "b", 200, KEY) as other:
        one.tell("go")
        assert other.ask("go") == one.line() == []
        assert one.ask("count") == other.ask("count") == 400
        assert state_of(folder / FILE) == "encrypted"
    assert len(await opened(folder, WITH_KEY)) == 400


async def test_killed_in_the_middle_the_former_store_or_the_new_one_is_there(tmp_path: Path) -> None:
    """At moments spread over the whole change, in both directions; nothing readable is left behind by the next one."""
    folder = tmp_path / "data"
    async with SqliteStore.open(folder) as store:
        for n in range(300):
            await add(store, f"{n} {SECRETS[0]} " + "of some length " * 60)
    with another_process("seal", folder, KEY) as process:
        seconds = process.ask("go")
    kept, changed = 0, 0
    for share in (*(0.08 * n for n in range(16)), 2, 4, 8, 16):
        if share > 1.2 and changed:
            break  # else the machine has become slower since the first one
        before = state_of(folder / FILE)
        with another_process("seal", folder, KEY) as process:
            process.tell("go")
            await anyio.sleep(share * seconds)
        state = state_of(folder / FILE)
        assert state in ("plain", "encrypted")
        kept, changed = kept + (state == before), changed + (state != before)
        assert len(await opened(folder, WITH_KEY if state == "encrypted" else NOT_ENCRYPTED)) == 300
    if state_of(folder / FILE) == "encrypted":
        sealing.decrypt(folder, parse(KEY), silent)
    sealing.encrypt(folder, lambda: parse(KEY), None, silent)

    print(f"{kept} were killed before the swap, {changed} after it")
    assert min(kept, changed) > 0
    assert readable(folder) == {}
    assert [path.name for path in folder.iterdir() if "partial" in path.name] == []
