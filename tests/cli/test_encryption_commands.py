"""`encrypt`, `rekey`, `decrypt` and what stands around them, as people run them: with an engine, and one sentence for each fault."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from memory_mcp.tiers.sqlite.cipher import state_of
from tests.engines import command, data_directory, end_engine, pid_of

KEY = "0123456789abcdef" * 4
TEXT = "The lighthouse keeper paints on Sundays."


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(result: subprocess.CompletedProcess[str], status: int = 1) -> str:
    assert result.returncode == status, result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("memory-mcp: ")
    assert KEY not in line
    return line


def recalled(folder: Path, **environment: str) -> list[str]:
    told = done(command("recall", "--json", "--namespace", "n", folder=folder, **environment))
    return [hit["text"].strip() for hit in json.loads(told)["hits"]]


def noted(folder: Path) -> list[str]:
    told = done(command("audit", "export", "--tenant", "@server", folder=folder))
    return [json.loads(line)["action"] for line in told.splitlines()]


def configure(folder: Path, section: str) -> None:
    path = folder / "config.toml"
    path.write_text(path.read_text("utf-8").partition("\n[encryption]")[0] + f"\n[encryption]\n{section}\n", "utf-8")


def test_from_a_plain_store_to_an_encrypted_one_and_back(tmp_path: Path) -> None:
    with data_directory(tmp_path / "data") as folder:
        assert "No key is configured" in refused(command("encrypt", folder=folder))
        done(command("remember", TEXT, "--namespace", "n", folder=folder))
        configure(folder, f'key_file = "{tmp_path / "key"}"')
        assert "engine stop" in refused(command("encrypt", folder=folder))
        end_engine(folder)
        assert "memory-mcp encrypt" in refused(command("recall", folder=folder))
        end_engine(folder)
        told = done(command("encrypt", folder=folder))
        assert "1 memory" in told
        assert "Keep a copy of the key" in told
        assert state_of(folder / "memories.db") == "encrypted"
        assert recalled(folder) == [TEXT]
        checks = json.loads(done(command("doctor", "--json", folder=folder)))["checks"]
        assert [check["state"] for check in checks if check["name"] == "encryption"] == ["ok"]
        done(command("backup", str(tmp_path / "copy.db"), folder=folder))
        assert state_of(tmp_path / "copy.db") == "encrypted"

        end_engine(folder)
        first = (tmp_path / "key").read_text()
        (tmp_path / "first").write_text(first)
        (tmp_path / "first").chmod(0o600)
        assert json.loads(done(command("rekey", "--json", folder=folder)))["memories"] == 1
        assert (tmp_path / "key").read_text() != first
        assert noted(folder) == ["encrypt", "rekey"]
        assert "--key-file" in refused(command("restore", str(tmp_path / "copy.db"), folder=folder))
        done(command("restore", str(tmp_path / "copy.db"), "--key-file", str(tmp_path / "first"), folder=folder))
        assert recalled(folder) == [TEXT]

        end_engine(folder)
        assert "remove [encryption]" in done(command("decrypt", folder=folder))
        configure(folder, "")
        assert recalled(folder) == [TEXT]
        assert noted(folder) == ["encrypt", "restore", "decrypt"]  # the log is as old as the backup, too


def test_the_key_in_the_environment_is_the_engines_and_is_seen_by_nobody(tmp_path: Path) -> None:
    """Whoever starts the engine gives it; others need none, and no command line, log or file holds it."""
    with data_directory(tmp_path / "data") as folder:
        done(command("remember", TEXT, "--namespace", "n", folder=folder, MEMORY_MCP_ENCRYPTION__KEY=KEY))
        assert state_of(folder / "memories.db") == "encrypted"
        assert recalled(folder) == [TEXT]
        processes = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid_of(folder))], capture_output=True, text=True, check=True)
        assert "engine run" in processes.stdout
        assert KEY not in processes.stdout
        end_engine(folder)
        assert "no key is configured" in refused(command("recall", folder=folder))
        end_engine(folder)
        before = (folder / "memories.db").read_bytes()
        assert "does not open" in refused(command("recall", folder=folder, MEMORY_MCP_ENCRYPTION__KEY="another passphrase"))
        end_engine(folder)
        found = json.loads(command("doctor", "--json", folder=folder).stdout)
        assert [check["found"] for check in found["checks"] if check["name"] == "store" and "no key" in check["found"]]
        assert (folder / "memories.db").read_bytes() == before
        written = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())

    for secret in (KEY, KEY.encode().hex(), "another passphrase", TEXT):
        assert secret.encode() not in written


def test_a_program_gives_the_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    with data_directory(tmp_path / "data") as folder:
        configure(folder, f'key_command = ["cat", {json.dumps(str(tmp_path / "key"))}]')
        done(command("remember", TEXT, "--namespace", "n", folder=folder))
        end_engine(folder)
        assert state_of(folder / "memories.db") == "encrypted"
        assert "--new-key-file" in refused(command("rekey", folder=folder))
        (tmp_path / "new").write_text("a new passphrase")
        assert "chmod 600" in refused(command("rekey", "--new-key-file", str(tmp_path / "new"), folder=folder)) or os.name != "posix"
        (tmp_path / "new").chmod(0o600)
        done(command("rekey", "--new-key-file", str(tmp_path / "new"), folder=folder))
        assert "does not open" in refused(command("recall", folder=folder))
        end_engine(folder)
        configure(folder, f'key_command = ["cat", {json.dumps(str(tmp_path / "new"))}]')
        assert recalled(folder) == [TEXT]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_doctor_says_what_of_a_key_and_of_old_copies_is_to_be_mended(tmp_path: Path) -> None:
    with data_directory(tmp_path / "data") as folder:
        done(command("remember", TEXT, "--namespace", "n", folder=folder))
        end_engine(folder)
        done(command("backup", str(tmp_path / "copy.db"), folder=folder))
        done(command("restore", str(tmp_path / "copy.db"), folder=folder))
        configure(folder, 'key_file = "key"')
        old = command("encrypt", folder=folder)
        assert "not encrypted: delete it" in old.stderr

        def looked() -> dict[str, str]:
            found = json.loads(command("doctor", "--json", folder=folder).stdout)
            (check,) = [check for check in found["checks"] if check["name"] == "encryption"]
            return check

        found = looked()
        assert found["state"] == "wrong"
        (remedy,) = [part for part in [found["remedy"].partition(": ")[2]] if part.startswith("rm ")]
        for path in shlex.split(remedy)[1:]:
            os.unlink(path)
        assert "beside what it locks" in looked()["found"]
        (folder / "key").chmod(0o644)
        assert "chmod 600" in looked()["found"]
