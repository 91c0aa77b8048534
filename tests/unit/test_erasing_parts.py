"""What is looked for after an erasure, where, and how the list of what was erased is kept."""

import os
from errno import ENOSPC
from pathlib import Path
from stat import S_IMODE
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.upkeep.erasing import MOST_STRINGS, PIECE, SHORTEST, probes
from memory_mcp.upkeep.exporting import EXPORTS, erase_in_exports
from memory_mcp.upkeep.register import Register
from memory_mcp.upkeep.searching import search_files

ONE, TWO = UUID(int=1), UUID(int=2)


def test_of_a_long_text_beginning_middle_and_end_are_looked_for_and_its_longest_words() -> None:
    text = "The beginning of it all. " + "filling " * 50 + "extraordinarily in the middle " + "filling " * 50 + "and this is the End."
    found = probes([text])

    assert [piece in text for piece in found.pieces] == [True] * 3
    assert (found.pieces[0], found.pieces[1]) == (text[:PIECE], text[-PIECE:])
    assert found.words == ["extraordinarily", "beginning"]


def test_of_many_texts_each_is_looked_for_before_more_of_any() -> None:
    found = probes([f"Text number {n} " + "and so on " * 20 + f"ends with {n}" for n in range(MOST_STRINGS)])

    assert len(found.pieces) == MOST_STRINGS
    assert {piece[:12] for piece in found.pieces} == {"Text number "}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200), max_size=5))
def test_only_what_is_part_of_a_text_and_long_enough_is_looked_for(texts: list[str]) -> None:
    found = probes(texts)

    assert all(len(piece) >= SHORTEST and any(piece in text for text in texts) for piece in found.pieces)
    assert len(set(found.pieces)) == len(found.pieces) <= MOST_STRINGS


def test_strings_are_found_in_files_of_any_depth_and_only_there(tmp_path: Path) -> None:
    inner = tmp_path / "vectors" / "collection"
    inner.mkdir(parents=True)
    (tmp_path / "empty").touch()
    (tmp_path / "a.bin").write_bytes(b"\x00\xff" * 5_000 + "Grüße aus Zwickau".encode() + b"\x00")
    (inner / "b.bin").write_bytes(b"nothing of note")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "c.bin").write_bytes("Grüße".encode())
    (tmp_path / "elsewhere").symlink_to("/etc")
    files, found = search_files(tmp_path, ["Grüße", "of note", "absent"], ["models"])

    assert files == 3
    assert found == {"Grüße": [str(tmp_path / "a.bin")], "of note": [str(inner / "b.bin")]}


def test_an_export_loses_the_lines_of_what_was_erased_also_where_an_earlier_try_was_killed(tmp_path: Path) -> None:
    (tmp_path / EXPORTS).mkdir()
    export = tmp_path / EXPORTS / "local.jsonl"
    export.write_text("".join(f'{{"id": "{memory_id}", "content": "x"}}\n' for memory_id in (ONE, TWO)))
    (export.parent / f".gone.jsonl.{os.getpid()}-0123abcd.partial").write_text("half of a")
    cleaned = erase_in_exports(tmp_path, [ONE])

    assert cleaned == [export]
    assert export.read_text() == f'{{"id": "{TWO}", "content": "x"}}\n'
    assert list(export.parent.iterdir()) == [export]


def test_what_somebody_else_has_put_among_the_exports_is_kept_as_it_is(tmp_path: Path) -> None:
    (tmp_path / EXPORTS).mkdir()
    foreign, mixed = tmp_path / EXPORTS / "foreign.jsonl", tmp_path / EXPORTS / "mixed.jsonl"
    odd = b"\xff\xfe no text\r\n" + b"[" * 100_000 + b"\n"
    foreign.write_bytes(odd)
    mixed.write_bytes(odd + f'{{"id": "{ONE}", "content": "x"}}\n'.encode())

    assert erase_in_exports(tmp_path, [ONE]) == [mixed]
    assert (foreign.read_bytes(), mixed.read_bytes()) == (odd, odd)


def test_an_export_that_cannot_be_written_anew_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / EXPORTS).mkdir()
    export = tmp_path / EXPORTS / "local.jsonl"
    export.write_text(f'{{"id": "{ONE}", "content": "x"}}\n')
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        erase_in_exports(tmp_path, [ONE])

    assert str(ONE) in export.read_text()
    assert list(export.parent.iterdir()) == [export]


def full_disk(_: int) -> None:
    raise OSError(ENOSPC, os.strerror(ENOSPC))


def test_the_list_is_added_to_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    register = Register(tmp_path / "data")
    assert register.read() == {}
    register.add("local", [ONE])
    register.add("local", [])
    register.add("a tenant", [TWO, ONE])
    register.add("local", [TWO, ONE])

    assert register.read() == {"local": {ONE: None, TWO: None}, "a tenant": {TWO: None, ONE: None}}
    assert S_IMODE(register.path.stat().st_mode) == 0o600


def test_a_line_that_was_cut_off_costs_no_other(tmp_path: Path) -> None:
    register = Register(tmp_path)
    register.add("local", [ONE])
    with register.path.open("ab") as file:
        file.write(b"local 0000-\xff")
    register.add("local", [TWO])

    assert register.read() == {"local": {ONE: None, TWO: None}}


def test_a_list_takes_over_another(tmp_path: Path) -> None:
    mine, other = Register(tmp_path / "mine"), Register(tmp_path / "other")
    mine.add("local", [ONE])
    other.add("local", [ONE, TWO])
    other.add("stranger", [ONE])
    for _ in range(2):
        mine.include(other)

    assert mine.read() == {"local": {ONE: None, TWO: None}, "stranger": {ONE: None}}
    assert len(mine.path.read_text().splitlines()) == 3
