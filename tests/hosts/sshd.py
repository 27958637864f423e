"""Each host's own sshd, which lets in one key, and the accounts behind it."""

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


def let_in(host: Host, public: str) -> None:
    """Let the owner of the key whose public half is given enter ``host``."""
    (host.folder / "root" / ".ssh" / "authorized_keys").write_text(public)


def listen(host: Host) -> None:
    """Start sshd on ``host``, where nobody is let in yet."""
    home = host.folder / "root"
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".sshd").mkdir(mode=0o700)
    (home / ".sshd" / "config").write_text(CONFIG)
    for file in (".bashrc", ".profile"):  # as a new account has them
        shutil.copy(Path("/etc/skel") / file, home / file)
    host.do("ssh-keygen -q -t ed25519 -N '' -f ~/.sshd/host_key && /usr/sbin/sshd -f ~/.sshd/config")


def give_environment(host: Host) -> None:
    """~/nowt-venv as environment.sh leaves it, so that it installs nothing: the packages are those of this machine's
    environment, nowt itself is what ``ray up`` brings."""
    venv = host.folder / "root" / "nowt-venv"
    venv.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (venv / part).symlink_to(Path(sys.prefix) / part)
    (venv / ".pins").write_text(sha256((ROOT / "requirements.lock").read_bytes()).hexdigest() + "\n")
    bashrc = host.folder / "root" / ".bashrc"
    line = "export PYTHONPATH=~/nowt/platform:~/nowt PYTHONDONTWRITEBYTECODE=1  # what an editable install does\n"
    bashrc.write_text(line + bashrc.read_text())
