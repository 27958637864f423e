"""A study to disturb, on the disk that the hosts share: runs that take their time until the test lets them go."""

from collections.abc import Sequence
from pathlib import Path

RULE = '''
"""Kolen-Pollack that takes its time while there is a file `slowly`, and says on which host it works."""

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

    def after_step(self, layers, moment):
        (HERE / f"at-{socket.gethostname()}").touch()
        if (HERE / "slowly").exists():
            time.sleep(1)
        return 0
'''

EPOCHS = 60  # of each paced run: at four steps each, four minutes

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
    return Study("paced", "Do runs outlive their hosts?", (paced, Cell("bp", small("bp", 3))), seeds=SEEDS)
"""


def write(shared: Path, seeds: Sequence[int], epochs: int = EPOCHS) -> Path:
    """Folder /srv/lab of the hosts with the study and the file that holds it up."""
    folder = shared / "lab"
    folder.mkdir()
    (folder / "paced.py").write_text(RULE)
    (folder / "study.py").write_text(f"EPOCHS, SEEDS = {epochs}, {tuple(seeds)}\n{STUDY}")
    (folder / "slowly").touch()
    return folder


def at_work(folder: Path) -> set[str]:
    """The hosts on which workers have made a step since the last time this was asked."""
    found = {path.name.removeprefix("at-") for path in folder.glob("at-*")}
    for name in found:
        (folder / f"at-{name}").unlink(missing_ok=True)
    return found
