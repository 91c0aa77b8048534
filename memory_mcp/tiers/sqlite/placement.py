"""Where the file lies: over a network the locks that SQLite's WAL rests on do not hold (rule R2)."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""Linux tells here what is mounted where; elsewhere nothing is known, and nothing refused."""

_NETWORK = re.compile(r"nfs\d?|cifs|smb\d?|smbfs|afs|ceph|glusterfs|lustre|fuse\.(sshfs|s3fs|rclone|davfs|gcsfuse|glusterfs|ceph)|davfs")


def network_file_system(folder: Path, mounts: str) -> str:
    """The kind of the network file system that a folder lies on; empty where it is a local one, or nobody knows.

    Args:
        folder: Absolute, links followed.
        mounts: In the form of `MOUNTS` (proc(5)): the mount point is the fifth field, the kind the first one after ` - `.
    """
    kinds: dict[Path, str] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
            kinds[Path(point)] = after.split(" ")[0]
    kind = next((kinds[place] for place in (folder, *folder.parents) if place in kinds), "")
    return kind if _NETWORK.fullmatch(kind) else ""


def read_mounts() -> str:
    """What is mounted, empty where the platform does not tell."""
    try:
        return MOUNTS.read_text("utf-8", errors="replace")
    except OSError:
        return ""
