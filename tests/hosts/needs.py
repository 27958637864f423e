"""What the tests of real hosts need of this machine, and what of it is missing, in one sentence."""

import os
import shutil
import subprocess

PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "/usr/sbin/sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "unshare": "util-linux",
}

NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc")


def missing() -> str:
    """Why hosts cannot be made here; empty where they can."""
    if os.geteuid() != 0:
        return "hosts on this machine need root: sudo make cluster-test"
    if absent := sorted({package for tool, package in PACKAGES.items() if not shutil.which(tool)}):
        return f"hosts on this machine need {', '.join(absent)}: apt-get install {' '.join(absent)}"
    command = ["unshare", *NAMESPACES, "ip", "link", "add", "nowt", "type", "bridge"]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return f"this machine lets root make no hosts: {tried.stderr.strip()}" if tried.returncode else ""
