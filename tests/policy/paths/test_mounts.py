"""Whether reading may keep the caller waiting follows from the file system a path lies on."""

from __future__ import annotations

from pathlib import Path

import pytest

from lg_policy.paths.mounts import on_own_disk

OWN = ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs")
MOUNTS = """\
21 1 0:20 / / rw,relatime shared:1 - overlay overlay rw
22 21 8:1 / /home rw,relatime - ext4 /dev/sda1 rw
23 22 0:50 / /home/net rw,relatime - nfs4 server:/export rw
24 22 0:51 / /home/with\\040space rw,relatime shared:2 master:3 - fuse.sshfs host: rw
25 22 0:52 / /home/over rw,relatime - tmpfs tmpfs rw
26 22 0:53 / /home/over rw,relatime - cifs //host/share rw
27 21 0:54 / /odd rw,relatime - somefs none rw
"""


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/", True),
        ("/srv/project", True),
        ("/home/me", True),
        ("/home/net", False),
        ("/home/net/project", False),
        ("/home/network", True),
        ("/home/with space/x", False),
        ("/home/over", False),
        ("/odd", False),
    ],
)
def test_the_nearest_mount_above_a_path_decides_and_of_two_the_later(tmp_path: Path, path: str, own: bool) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert on_own_disk(path, str(tmp_path / "mountinfo")) is own


def test_where_the_system_does_not_tell_nothing_is_assumed(tmp_path: Path) -> None:
    assert not on_own_disk("/", str(tmp_path / "missing"))
    (tmp_path / "empty").touch()
    assert not on_own_disk("/", str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        *((kind, True) for kind in OWN),
        *(
            (kind, False)
            for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.sshfs", "ceph", "autofs", "proc")
        ),
    ],
)
def test_disks_and_memory_of_this_machine_are_its_own_and_what_may_hang_is_not(
    tmp_path: Path, kind: str, own: bool
) -> None:
    (tmp_path / "mountinfo").write_text(f"21 1 0:20 / / rw,relatime - {kind} none rw\n")
    assert on_own_disk("/srv", str(tmp_path / "mountinfo")) is own
