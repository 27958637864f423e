"""The sshd and the account of a host."""

import shutil
import sys
from hashlib import sha256
from pathlib import Path

from tests.hosts.hosts import ROOT, Host

CONFIG = """
HostKey /root/.sshd/host_key
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PrintMotd no
"""


def authorize(host: Host, public: str) -> None:
    """Allow logins to ``host`` with the key that belongs to this public key."""
    (host.folder / "root" / ".ssh" / "authorized_keys").write_text(public)


def start(host: Host) -> None:
    """Start sshd on ``host``. No key is authorized yet."""
    home = host.folder / "root"
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".sshd").mkdir(mode=0o700)
    (home / ".sshd" / "config").write_text(CONFIG)
    for file in (".bashrc", ".profile"):  # as in a new account
        shutil.copy(Path("/etc/skel") / file, home / file)
    host.check_output("ssh-keygen -q -t ed25519 -N '' -f ~/.sshd/host_key && /usr/sbin/sshd -f ~/.sshd/config")


def create_environment(host: Host) -> None:
    """Create ~/nowt-venv in the state in which environment.sh has nothing left to install. Packages come from the
    test's own environment; nowt itself comes from ``ray up``."""
    venv = host.folder / "root" / "nowt-venv"
    venv.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (venv / part).symlink_to(Path(sys.prefix) / part)
    (venv / ".pins").write_text(sha256((ROOT / "requirements.lock").read_bytes()).hexdigest() + "\n")
    bashrc = host.folder / "root" / ".bashrc"
    line = "export PYTHONPATH=~/nowt/platform:~/nowt PYTHONDONTWRITEBYTECODE=1  # like an editable install\n"
    bashrc.write_text(line + bashrc.read_text())
