"""`config.example.toml` against the settings: every key, every default, every description, in the same order."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from memory_mcp.config import Settings, load_settings

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"
LINES = EXAMPLE.read_text("utf-8").splitlines()


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The plain keys as a section without a name, then each section."""
    yield from sections_of("", Settings)


def sections_of(name: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield name, model
    for key, field in model.model_fields.items():
        if is_section(field):
            yield from sections_of(f"{name}.{key}".strip("."), type(field.default))


def is_section(field: FieldInfo) -> bool:
    return isinstance(field.default, BaseModel)


def alternatives() -> Iterator[tuple[str, type[BaseModel]]]:
    """Sections that can stand in another's place."""
    for key, field in Settings.model_fields.items():
        for model in get_args(field.annotation) if is_section(field) else ():
            if model is not type(field.default):
                yield key, model


def fields() -> Iterator[tuple[str, str, FieldInfo]]:
    for section, model in sections():
        for key, field in model.model_fields.items():
            if not is_section(field) and key != "data_dir":  # which cannot be set in the file that lies in it
                yield section, key, field


def plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def tables_of(name: str, table: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield name, {key: value for key, value in table.items() if not isinstance(value, dict)}
    for key, value in table.items():
        if isinstance(value, dict):
            yield from tables_of(f"{name}.{key}".strip("."), value)


def test_the_example_sets_every_default_in_the_order_of_the_settings() -> None:
    expected: dict[str, dict[str, Any]] = {}
    for section, key, field in fields():
        if field.default is not None:  # TOML has no way to write "unset": such a key stands there as a comment
            expected.setdefault(section, {})[key] = plain(field.default)
    found = dict(tables_of("", tomllib.loads(EXAMPLE.read_text("utf-8"))))

    assert found == expected
    assert [(section, list(values)) for section, values in found.items()] == [(s, list(v)) for s, v in expected.items()]
    types = {(s, k): type(v) for s, values in found.items() for k, v in values.items()}
    assert types == {(s, k): type(v) for s, values in expected.items() for k, v in values.items()}


@pytest.mark.parametrize(("section", "key", "field"), [pytest.param(*each, id=f"{each[0]}.{each[1]}") for each in fields()])
def test_each_key_is_described_above_its_line(section: str, key: str, field: FieldInfo) -> None:
    start = LINES.index(f"[{section}]") if section else 0
    at = next(i for i in range(start, len(LINES)) if LINES[i].removeprefix("# ").startswith(f"{key} ="))

    assert field.description
    assert LINES[at - 1] == f"# {field.description}"


@pytest.mark.parametrize(("section", "model"), [pytest.param(*each, id=each[1].__name__) for each in alternatives()])
def test_a_section_that_can_take_anothers_place_stands_there_as_a_comment(section: str, model: type[BaseModel]) -> None:
    start = LINES.index(f"# [{section}]")
    block = [line.removeprefix("# ") for line in LINES[start : LINES.index("", start)]]
    described = [f"# {field.description}" for field in model.model_fields.values()]

    assert list(tomllib.loads("\n".join(block))[section].items()) == [(k, plain(f.default)) for k, f in model.model_fields.items()]
    assert block[1::2] == described


def test_the_example_is_a_valid_configuration_that_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain_settings = load_settings(data_dir=tmp_path)
    monkeypatch.setenv("MEMORY_MCP_CONFIG", str(EXAMPLE))

    assert load_settings(data_dir=tmp_path).model_dump() == plain_settings.model_dump()
