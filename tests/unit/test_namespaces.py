"""From a working directory to a namespace, over real repositories."""

import subprocess
from pathlib import Path

import pytest

from memory_mcp.namespaces import address_without_secrets, client_namespace, project_namespace, similar_names
from memory_mcp.remember import door


def git(*arguments: str, at: Path) -> None:
    subprocess.run(["git", *arguments], cwd=at, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "some project"
    place.mkdir()
    git("init", "-q", at=place)
    return place


def test_a_repository_without_a_remote_is_named_after_its_folder_and_path(repository: Path, tmp_path: Path) -> None:
    (inner := repository / "src" / "deep").mkdir(parents=True)

    name = project_namespace(inner, home=tmp_path)

    assert name.startswith("some-project-")
    assert name == project_namespace(repository, home=tmp_path)
    assert door.namespace(name) == name


def test_clones_of_one_remote_share_a_namespace_wherever_they_lie(repository: Path, tmp_path: Path) -> None:
    git("remote", "add", "upstream", "https://example.com/other/thing", at=repository)
    git("remote", "add", "origin", "https://user:secret@Example.com:8443/owner/thing.git", at=repository)
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x", at=repository)
    git("worktree", "add", "-q", str(tmp_path / "tree"), at=repository)

    assert project_namespace(repository, home=tmp_path) == "example.com/owner/thing"
    assert project_namespace(tmp_path / "tree", home=tmp_path) == "example.com/owner/thing"


def test_the_home_folder_is_no_project(repository: Path) -> None:
    assert project_namespace(repository, home=repository) == ""


def test_what_was_given_wins_then_the_project_then_the_person(repository: Path, tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    project = project_namespace(repository, tmp_path)

    assert client_namespace("given", {"CLAUDE_PROJECT_DIR": str(repository)}, elsewhere, tmp_path) == "given"
    assert client_namespace("", {"CLAUDE_PROJECT_DIR": str(repository)}, elsewhere, tmp_path) == project
    assert client_namespace("", {}, repository, tmp_path) == project
    assert client_namespace("", {}, elsewhere, tmp_path) == "personal"


def test_a_broken_repository_still_has_a_name(repository: Path, tmp_path: Path) -> None:
    (repository / ".git" / "config").write_bytes(b"\xff[[[")

    assert project_namespace(repository, tmp_path).startswith("some-project-")


@pytest.mark.parametrize("leads_to", [b"a\0b", b"round", b"n" * 300, b"\xff"])
def test_a_repository_that_leads_nowhere_still_has_a_name(tmp_path: Path, leads_to: bytes) -> None:
    (place := tmp_path / "some project").mkdir()
    (place / "round").symlink_to(place / "round")
    (place / ".git").write_bytes(b"gitdir: " + leads_to)

    assert project_namespace(place, tmp_path).startswith("some-project-")


def test_a_directory_that_can_be_none_is_no_project(repository: Path, tmp_path: Path) -> None:
    assert client_namespace("", {"CLAUDE_PROJECT_DIR": "/" + "n" * 300}, tmp_path / ("n" * 300), tmp_path) == "personal"
    assert client_namespace("", {"CLAUDE_PROJECT_DIR": "/" + "n" * 300}, repository, tmp_path) == project_namespace(repository, tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("git@github.com:owner/repo.git", "github.com/owner/repo"),
        ("ssh://git@github.com:22/owner/repo", "github.com/owner/repo"),
        ("https://token@github.com/owner/repo.git/", "github.com/owner/repo"),
        ("https://h/a b/ü.git", "h/a-b"),
        ("../elsewhere", ""),
        ("/srv/git/thing.git", ""),
        ("file:///srv/git/thing.git", ""),
        ("https://[bad/x", ""),
        ("", ""),
    ],
)
def test_addresses_lose_their_secrets(url: str, expected: str) -> None:
    assert address_without_secrets(url) == expected


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("parcels", ["github.com/acme/parcels"]),
        ("Parcles", ["github.com/acme/parcels"]),
        ("acme/parcels", ["github.com/acme/parcels"]),
        ("personnal", ["personal"]),
        ("github.com/acme/parcels", []),
        ("w", []),
        ("invoices", []),
        ("team-1", ["team-10", "team-11", "team-12"]),
        ("parcels-0123abcd", ["github.com/acme/parcels"]),
        ("shop-0123abcd", ["shop-fedc9876"]),
        ("shops-0123abcd", ["shop-fedc9876"]),
        ("github.com/acme/shop", ["shop-fedc9876", "github.com/acme/parcels"]),
    ],
)
def test_a_name_that_is_none_leads_to_those_that_may_be_meant(name: str, likely: list[str]) -> None:
    known = ["global", "personal", "github.com/acme/parcels", "shop-fedc9876", "web", *(f"team-{number}" for number in range(10, 14))]
    assert similar_names(name, known) == likely
