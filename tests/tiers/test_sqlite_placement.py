"""Which folders lie on a network."""

from pathlib import Path

import pytest

from memory_mcp.errors import TierError
from memory_mcp.tiers.sqlite import placement
from memory_mcp.tiers.sqlite.placement import network_file_system, read_mounts
from memory_mcp.tiers.sqlite.store import SqliteStore

MOUNTS = r"""
22 28 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:30 / /home rw,relatime shared:2 - nfs4 server:/export/home rw,vers=4.2
32 31 0:31 / /home/ann/local rw - xfs /dev/vdb rw
33 22 0:32 / /mnt/my\040share rw master:4 - cifs //server/share rw
34 22 0:33 / /mnt/ssh rw - fuse.sshfs ann@host: rw
35 22 0:34 / /mnt/box rw - fuse.portal portal rw
nonsense
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", ""),
        ("/var/lib/memory", ""),
        ("/home/ann/.memory-mcp", "nfs4"),
        ("/home", "nfs4"),
        ("/homes", ""),
        ("/home/ann/local/data", ""),
        ("/mnt/my share/x", "cifs"),
        ("/mnt/ssh/x", "fuse.sshfs"),
        ("/mnt/box/x", ""),
    ],
)
def test_the_innermost_mount_decides(folder: str, kind: str) -> None:
    assert network_file_system(Path(folder), MOUNTS) == kind
    assert network_file_system(Path(folder), "") == ""


async def test_a_store_there_is_refused_in_words_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"31 22 0:30 / {tmp_path.resolve()} rw - nfs server:/export rw\n")
    monkeypatch.setattr(placement, "MOUNTS", mounts)

    with pytest.raises(TierError, match="network file system"):
        async with SqliteStore.open(tmp_path / "store"):
            pass
    assert list((tmp_path / "store").iterdir()) == []


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    assert network_file_system(tmp_path.resolve(), read_mounts()) == ""
