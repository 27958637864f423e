"""Network file systems are told from local ones by the table of mounts."""

from pathlib import Path

import pytest

from nowt.core.file_systems import network_file_system

ROOT = "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw"


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of mounts with the root alone."""
    table = tmp_path / "mountinfo"
    table.write_text(f"{ROOT}\n")
    monkeypatch.setattr("nowt.core.file_systems.MOUNTS", table)
    return table


def add(table: Path, folder: Path, kind: str) -> None:
    name = str(folder).replace(" ", "\\040")
    with table.open("a") as file:
        file.write(f"40 21 0:35 / {name} rw shared:7 master:1 - {kind} server:/export rw,vers=4.2\n")


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "lustre", "fuse.sshfs", "fuse", "9p", "ceph", "gpfs", "afs", "virtiofs"]
)
def test_network_file_systems_are_recognized(kind: str, mounts: Path, tmp_path: Path) -> None:
    add(mounts, tmp_path / "lab share", kind)
    assert network_file_system(tmp_path / "lab share" / "runs" / "optuna.db") == kind
    assert network_file_system(tmp_path / "lab share") == kind
    assert network_file_system(tmp_path / "lab share 2") == network_file_system(tmp_path) == ""


def test_a_local_disk_below_a_network_mount_and_a_later_mount_over_it_count(mounts: Path, tmp_path: Path) -> None:
    add(mounts, tmp_path / "a", "nfs4")
    add(mounts, tmp_path / "a" / "scratch", "xfs")
    assert network_file_system(tmp_path / "a" / "scratch" / "runs") == ""
    add(mounts, tmp_path / "a", "ext4")
    assert network_file_system(tmp_path / "a" / "runs") == ""


def test_a_link_to_a_network_mount_leads_there(mounts: Path, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "share")
    add(mounts, tmp_path / "share", "nfs4")
    assert network_file_system(tmp_path / "runs" / "optuna.db") == "nfs4"


def test_without_a_table_every_file_system_is_local(mounts: Path, tmp_path: Path) -> None:
    mounts.unlink()
    assert network_file_system(tmp_path) == ""
