"""The requirements of the tests on simulated hosts, and a one-sentence message about missing ones."""

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
    """Why this machine cannot create simulated hosts; empty if it can."""
    if os.geteuid() != 0:
        return "simulated hosts need root: sudo make cluster-test"
    if absent := sorted({package for tool, package in PACKAGES.items() if not shutil.which(tool)}):
        return f"simulated hosts need {', '.join(absent)}: apt-get install {' '.join(absent)}"
    command = ["unshare", *NAMESPACES, "ip", "link", "add", "nowt", "type", "bridge"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return f"root cannot create network namespaces here: {result.stderr.strip()}" if result.returncode else ""
