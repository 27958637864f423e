"""A PostgreSQL server for tests, reached through a socket in its folder with a password, not through a port."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

PASSWORD = "made for one test"  # kept in a file of mode 0600, as ~/.pgpass is


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, of Debian's or a custom installation; None if PostgreSQL is not installed."""
    found = shutil.which("pg_ctl")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return (
        Path(found).resolve().parent
        if found
        else next((place for place in places if (place / "pg_ctl").exists()), None)
    )


@dataclass(frozen=True)
class Server:
    """One server and its empty database ``nowt``."""

    folder: Path
    programs: Path

    @property
    def url(self) -> str:
        """The URL of the database for ``--storage``."""
        return f"postgresql://nowt@/nowt?host={self.folder}"

    @property
    def password_file(self) -> Path:
        """The file in which the client finds the password."""
        return self.folder / "pgpass"

    def make(self) -> None:
        """Create a database cluster with one user and one database."""
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        self._own(self.folder, secret)
        self._do(
            "initdb",
            "-E",
            "SQL_ASCII",
            "-U",
            "nowt",
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
            "--no-sync",
            "-D",
            self.data,
        )
        self.password_file.write_text(f"*:*:*:nowt:{PASSWORD}\n")
        self.password_file.chmod(0o600)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self._do("pg_ctl", "-w", "-s", "-D", self.data, "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop the server and all its connections at once."""
        self._do("pg_ctl", "-w", "-s", "-D", self.data, "-m", "immediate", "stop")

    @property
    def data(self) -> str:
        """The data folder."""
        return str(self.folder / "data")

    def _own(self, *paths: Path) -> None:
        for path in paths if os.geteuid() == 0 else ():
            shutil.chown(path, "postgres")

    def _do(self, program: str, *words: str) -> None:
        """Run a program of PostgreSQL, which refuses to run as root: then as the user that its package created."""
        other = {"user": "postgres", "cwd": self.folder} if os.geteuid() == 0 else {}
        subprocess.run(
            [str(self.programs / program), *words], check=True, stdout=subprocess.DEVNULL, env={"LC_ALL": "C"}, **other
        )


@contextmanager
def server(programs: Path) -> Iterator[Server]:
    """A running server, removed with its files afterwards."""
    folder = Path(mkdtemp(prefix="nowt-pg-", dir="/tmp"))  # a socket needs a short path
    made = Server(folder, programs)
    try:
        made.make()
        made.start()
        try:
            subprocess.run(
                [str(programs / "createdb"), "-h", str(folder), "-U", "nowt", "nowt"],
                check=True,
                env={"PGPASSFILE": str(made.password_file)},
            )
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder)
