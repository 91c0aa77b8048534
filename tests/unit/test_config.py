"""What a configuration may say, where it is looked for, and how it is refused: in one line that names the key."""

import os
from pathlib import Path

import pytest

from memory_mcp.config import DEFAULT_DATA_DIR, load_settings
from memory_mcp.errors import ConfigError
from memory_mcp.tiers.sqlite.keys import find_key


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("MEMORY_MCP_DATA_DIR", "MEMORY_MCP_CONFIG", "MEMORY_MCP_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, text: str) -> Path:
    (folder / "config.toml").write_text(text, "utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(data_dir=folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_without_file_and_environment_everything_has_its_default() -> None:
    settings = load_settings()

    assert settings.data_dir == DEFAULT_DATA_DIR.expanduser()
    assert settings.namespace == ""
    assert settings.recall.candidates == 50


def test_a_home_folder_that_nobody_has_is_told_of_wherever_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobodys = "~nobody-of-that-name/x"
    settings = load_settings(data_dir=written(tmp_path, f'[encryption]\nkey_file = "{nobodys}"\n'))
    for name in ("MEMORY_MCP_CONFIG", "MEMORY_MCP_DATA_DIR"):
        with monkeypatch.context() as patch:
            patch.setenv(name, nobodys)
            with pytest.raises(ConfigError, match=nobodys):
                load_settings()

    with pytest.raises(ConfigError, match=nobodys):
        find_key(settings.encryption, tmp_path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[recall]\ncandidats = 9", "recall.candidats"),
        ("[recal]\ncandidates = 90", "recal:"),
        ("colour = 'red'", "colour"),
        ("[recall]\ncandidates = 'many'", "recall.candidates"),
        ("[recall]\ncandidates = 1", "recall.candidates"),
        ("[remember]\nsimilar_from = 2.0", "remember.similar_from"),
        ("recall = 3", "recall"),
        ("[log]\nlevel = 'loud'", "log.level"),
        ("[embedding]\nprovider = 'remote'\nmodel = 'm'", "base_url"),
        ("[embedding]\nbase_url = 'https://example.com/v1'", "base_url"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(tmp_path: Path, text: str, named: str) -> None:
    message = refusal(written(tmp_path, text))

    assert named in message
    assert str(tmp_path / "config.toml") in message


def test_a_secret_in_a_refused_section_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(written(tmp_path, "[embedding]\napi_key = ['hunter2']\nbase_url = 'hunter2'"))


def test_what_is_not_toml_is_refused_with_the_place(tmp_path: Path) -> None:
    assert "line 2" in refusal(written(tmp_path, "[recall]\ncandidates: 9"))


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe[")

    assert "is not TOML" in refusal(tmp_path)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()

    assert "cannot be read" in refusal(tmp_path)


def test_the_file_cannot_name_the_folder_it_lies_in(tmp_path: Path) -> None:
    assert "--data-dir" in refusal(written(tmp_path, "data_dir = '/elsewhere'"))


def test_the_environment_goes_over_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "namespace = 'file'\n[recall]\ncandidates = 50\nembed_seconds = 3.0")
    monkeypatch.setenv("MEMORY_MCP_RECALL__CANDIDATES", "60")
    settings = load_settings(data_dir=tmp_path)

    assert (settings.recall.candidates, settings.recall.embed_seconds) == (60, 3.0)
    assert settings.namespace == "file"


def test_the_command_line_goes_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_MCP_DATA_DIR", str(tmp_path / "environment"))
    monkeypatch.setenv("MEMORY_MCP_NAMESPACE", "environment")

    assert load_settings().data_dir == tmp_path / "environment"
    assert load_settings().namespace == "environment"
    settings = load_settings(data_dir=tmp_path / "line", namespace="line")
    assert (settings.data_dir, settings.namespace) == (tmp_path / "line", "line")


def test_a_wrong_value_in_the_environment_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_MCP_RECALL__CANDIDATES", "many")

    assert "recall.candidates" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["MEMORY_MCP_RECALL", "MEMORY_MCP_EMBEDDING"])
def test_a_section_in_the_environment_that_is_no_json_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "{")

    assert name.removeprefix("MEMORY_MCP_").lower() in refusal(tmp_path)


def test_a_misspelt_key_or_section_in_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_MCP_RECALL__CANDIDATS", "60")
    assert "recall.candidats: there is no such key; is candidates meant?" in refusal(tmp_path)
    monkeypatch.setenv("MEMORY_MCP_RECAL__CANDIDATES", "60")
    assert "MEMORY_MCP_RECAL__CANDIDATES" in refusal(tmp_path)


@pytest.mark.parametrize(
    "name", ["MEMORY_MCP_DATADIR", "MEMORY_MCP_RECALL_CANDIDATES", "MEMORY_MCP_RECORDS_DSN", "MEMORY_MCP_RECORDS_ANSWER_SECONDS"]
)
def test_a_variable_that_is_nearly_a_setting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "60")

    assert f"{name} is" in refusal(tmp_path)


def test_a_value_where_a_section_belongs_is_told_as_that(tmp_path: Path) -> None:
    assert "recall: give a table, [recall]" in refusal(written(tmp_path, "recall = 5"))


def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "namespace = 'not this one'")
    (tmp_path / "other.toml").write_text("namespace = 'this one'", "utf-8")
    monkeypatch.setenv("MEMORY_MCP_CONFIG", str(tmp_path / "other.toml"))

    assert load_settings(data_dir=tmp_path).namespace == "this one"


def test_a_named_file_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_MCP_CONFIG", str(tmp_path / "absent.toml"))

    assert "MEMORY_MCP_CONFIG, does not exist" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[encryption]\nkey = 'hunter2 hunter2'", "key_file, key_command or keyring"),
        ("[encryption]\nkey_file = 'a'\nkeyring = true", "key_file and keyring exclude each other"),
        ("[encryption]\nkey_command = 'pass show x'", "encryption.key_command"),
        ("[encryption]\nkeyring = true\n[qdrant]\npath = 'vectors'", "qdrant.path keeps vectors"),
        ("[encryption]\nkeyring = true\n[records]\nbackend = 'postgres'\ndsn = 'postgresql:///memory'", "PostgreSQL's disks"),
    ],
)
def test_encryption_that_would_leave_something_open_is_refused(tmp_path: Path, text: str, named: str) -> None:
    message = refusal(written(tmp_path, text))

    assert named in message
    assert "hunter2" not in message


def test_the_key_itself_comes_from_the_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_MCP_ENCRYPTION__KEY", "hunter2 hunter2")
    settings = load_settings(data_dir=tmp_path)

    assert settings.encryption.source == "key"
    assert "hunter2" not in f"{settings!r} {settings}"
    written(tmp_path, "[encryption]\nkey_file = 'a'")
    assert "hunter2" not in refusal(tmp_path)


def test_a_folder_that_sqlite_cannot_be_told_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'/tmp/m\\udcff' is not UTF-8"):
        load_settings(data_dir=Path(os.fsdecode(b"/tmp/m\xff")))
