"""A slow study on the shared disk for tests that interrupt it. Its runs are throttled until the test removes a file."""

from collections.abc import Sequence
from pathlib import Path

RULE = '''
"""Kolen-Pollack that waits one second per step while a file `throttle` exists, and records the hosts of its workers."""

import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nowt import KolenPollack

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Paced(KolenPollack):
    name: ClassVar[str] = "paced"

    def after_step(self, layer, step):
        if not layer.is_output:
            return
        (HERE / f"host-{socket.gethostname()}").touch()
        if (HERE / "throttle").exists():
            time.sleep(1)
'''

EPOCHS = 60  # of each throttled run: with four steps per epoch, four minutes

STUDY = """
from dataclasses import replace
from pathlib import Path

from nowt import find_rule
from nowt.config.recipes import digits
from nowt import Cell, Study


def small(rule, epochs):
    base = digits(find_rule(str(rule))())
    data = replace(base.data, train_limit=128, repeat=1, size=8)
    return replace(base, data=data, epochs=epochs)


def study():
    paced = Cell("paced", small(Path(__file__).with_name("paced.py"), EPOCHS))
    return Study("paced", "Do runs survive the loss of hosts?", (paced, Cell("bp", small("bp", 3))), seeds=SEEDS)
"""


def write_study(shared: Path, seeds: Sequence[int], epochs: int = EPOCHS) -> Path:
    """Create the folder /srv/lab of the hosts with the study and the file that throttles it."""
    folder = shared / "lab"
    folder.mkdir()
    (folder / "paced.py").write_text(RULE)
    (folder / "study.py").write_text(f"EPOCHS, SEEDS = {epochs}, {tuple(seeds)}\n{STUDY}")
    throttle(folder)
    return folder


def throttle(folder: Path) -> None:
    """Make the runs of the study slow."""
    (folder / "throttle").touch()


def unthrottle(folder: Path) -> None:
    """Let the runs of the study go at full speed."""
    (folder / "throttle").unlink()


def active_hosts(folder: Path) -> set[str]:
    """The hosts whose workers have made a step since the last call."""
    found = {path.name.removeprefix("host-") for path in folder.glob("host-*")}
    for name in found:
        (folder / f"host-{name}").unlink(missing_ok=True)
    return found
