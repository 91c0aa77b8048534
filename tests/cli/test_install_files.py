"""Other programs' files: replaced whole or not at all, and never over somebody else's change."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_mcp.cli.install import files

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_old_text_is_kept_beside_with_the_same_mode(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(b"old\r\n")
    path.chmod(0o640)

    copy = files.replace(files.read(path), "new\r\n", keep=NOW)

    assert path.read_bytes() == b"new\r\n"
    assert copy is not None
    assert copy.read_bytes() == b"old\r\n"
    assert names(tmp_path) == ["mcp.json", copy.name]
    assert [path.stat().st_mode & 0o777, copy.stat().st_mode & 0o777] == [0o640, 0o640]
    assert files.backups(path) == [copy]


def test_a_new_file_is_for_its_owner_alone_unless_it_is_to_be_shared(tmp_path: Path) -> None:
    for name, private in (("own", True), ("shared", False)):
        path = tmp_path / "folder" / name
        assert files.replace(files.read(path), "text", keep=NOW, private=private) is None

    os.umask(umask := os.umask(0))
    assert (tmp_path / "folder" / "own").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "folder" / "shared").stat().st_mode & 0o777 == 0o666 & ~umask
    assert names(tmp_path / "folder") == ["own", "shared"]


def test_copies_are_found_newest_first_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("0")
    made = [files.replace(files.read(path), str(year), keep=NOW.replace(year=year)) for year in (2027, 2026, 2028)]
    for name in ("mcp.json.bak", "other.json.memory-mcp-20260101-000000-000000.bak", "mcp.json.memory-mcp-x.txt"):
        (tmp_path / name).write_text("foreign")

    assert files.backups(path) == [made[2], made[0], made[1]]
    assert files.texts(files.backups(path)) == ["2026", "0", "2027"]


def test_a_link_stays_a_link_and_what_it_leads_to_changes(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target, link = tmp_path / "dotfiles" / "mcp.json", tmp_path / "mcp.json"
    target.write_text("old")
    link.symlink_to(target)

    copy = files.replace(files.read(link), "new", keep=NOW)

    assert link.is_symlink()
    assert target.read_text() == "new"
    assert copy is not None
    assert copy.parent == target.parent
    assert files.backups(link) == [copy]


def test_a_read_only_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("old")
    path.chmod(0o444)

    with pytest.raises(files.FileLeftAloneError, match="read-only"):
        files.replace(files.read(path), "new", keep=NOW)

    assert path.read_text() == "old"
    assert names(tmp_path) == ["mcp.json"]


def test_what_changed_since_it_was_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("old")
    snapshot, nothing = files.read(path), files.read(tmp_path / "absent.json")
    path.write_text("the client's own")
    (tmp_path / "absent.json").write_text("there now")

    for stale, text in ((snapshot, "new"), (snapshot, None), (nothing, "new")):
        with pytest.raises(files.FileLeftAloneError, match="changed by another program"):
            files.replace(stale, text, keep=NOW)

    assert path.read_text() == "the client's own"
    assert (tmp_path / "absent.json").read_text() == "there now"
    assert names(tmp_path) == ["absent.json", "mcp.json"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(files.FileLeftAloneError, match="No space left"):
        files.replace(files.read(path), "new", keep=NOW)

    assert path.read_text() == "old"
    assert names(tmp_path) == ["mcp.json"]


def test_a_text_that_cannot_be_written_as_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("old")

    with pytest.raises(files.FileLeftAloneError, match="UTF-8"):
        files.replace(files.read(path), "/home/\udcff", keep=NOW)

    assert names(tmp_path) == ["mcp.json"]


@pytest.mark.parametrize("content", ["{}".encode("utf-16"), b'{"a": "\xff"}'])
def test_what_is_not_utf_8_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(content)

    with pytest.raises(files.FileLeftAloneError, match="not UTF-8"):
        files.read(path)


def test_what_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "file").touch()

    for path in (tmp_path / "folder", tmp_path / "circle", tmp_path / "file" / "below"):
        with pytest.raises(files.FileLeftAloneError, match="cannot be read"):
            files.read(path)


def test_what_is_absent_has_no_text_and_is_removed_for_good(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    assert files.read(path).text is None
    path.write_text("text")

    assert files.replace(files.read(path), None, keep=None) is None
    assert names(tmp_path) == []
