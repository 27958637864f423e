"""Small studies on digits, as files that a user could have written, for tests of execution and the command line."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nowt.store.records import RunLog, epoch_to_json
from nowt.store.run_log import read

HEAD = """
from dataclasses import replace
from pathlib import Path

from nowt import find_rule
from nowt.config.recipes import digits
from nowt import Cell, ModelConfig, Study

DENSE, RESIDUAL = ModelConfig("mlp", hidden=(12,)), ModelConfig("tiny_resnet")  # a run takes 0.1 s and 0.5 s


def small(rule, model=DENSE, **optim):
    base = digits(find_rule(str(rule))())
    data = replace(base.data, train_limit=128, repeat=1, size=8)
    return replace(base, model=model, data=data, optim=replace(base.optim, **optim), epochs=4)

"""

SLOW = '''
"""Kolen-Pollack that pauses at each step, so that a test can act between two epochs. It reports its process by a file.

The pause is in the environment, so that the same rule needs no time in a study that nobody disturbs."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nowt import KolenPollack


@dataclass(frozen=True)
class Slow(KolenPollack):
    name: ClassVar[str] = "slow"

    def after_step(self, layer, step):
        Path(__file__).with_name(f"{os.getpid()}.slow").touch()
        if layer.is_output:
            time.sleep(float(os.environ.get("PAUSE", 0)))
'''

INTERRUPTED = '''
"""A rule that sends one Ctrl-C to its own process, in its sixth step."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nowt import KolenPollack

PRESSED = Path(__file__).with_name("pressed")


@dataclass(frozen=True)
class Interrupted(KolenPollack):
    name: ClassVar[str] = "interrupted"

    def after_step(self, layer, step):
        if step == 6 and not PRESSED.exists():
            PRESSED.touch()
            os.kill(os.getpid(), signal.SIGINT)
'''

BROKEN = '''
"""A rule that fails at its fifth step, after the first epoch, with a message that looks like markup."""

from dataclasses import dataclass
from typing import ClassVar

from nowt import FeedbackAlignment


@dataclass(frozen=True)
class Broken(FeedbackAlignment):
    name: ClassVar[str] = "broken"

    def after_step(self, layer, step):
        if step == 5:
            raise RuntimeError("no such layer [/dense]")
'''

# the same rule without the failure
OWN = BROKEN.replace("step == 5", "False").replace('"broken"', '"mine"').replace("Broken", "Mine")


def write_study(folder: Path, cells: str, seeds: str = "(0,)", name: str = "small") -> Path:
    """Write a study to ``folder``; ``cells`` is Python source for a dict of configs by cell name."""
    body = f"def study():\n    cells = {cells}\n    made = tuple(Cell(n, c) for n, c in cells.items())\n"
    path = folder / f"{name}.py"
    path.write_text(f"{HEAD}\n{body}    return Study({name!r}, 'Which is best?', made, seeds={seeds})\n")
    return path


def logs(store: Path) -> dict[str, RunLog]:
    """Every log of the store, unfinished ones included, by rule name and seed."""
    found = [read(path) for path in sorted((store / "logs").glob("*.jsonl"))]
    return {f"{Path(r.start['config']['rule']['name']).stem} {r.start['config']['seed']}": r for r in found if r.start}


def log_bytes(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "logs").glob("*.jsonl")}


def numbers(run: RunLog) -> list[dict[str, Any]]:
    """Every number of a run's epochs, except times."""
    return [{k: v for k, v in epoch_to_json(e).items() if not k.endswith("seconds")} for e in run.epochs]


def store_with_database(store: Path, empty: Path) -> Path:
    """Create ``store`` with a copy of the MLflow database ``empty``: a process would take seconds to create one, and
    would leave it incomplete if it was killed meanwhile."""
    store.mkdir(parents=True)
    shutil.copy(empty, store / "mlflow.db")
    return store


def start(words: list[str], folder: Path, pause: float = 0.25) -> subprocess.Popen[str]:
    """Start ``python -m nowt`` in ``folder``, in a new process group. SLOW pauses ``pause`` seconds per step."""
    return subprocess.Popen(
        [sys.executable, "-m", "nowt", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PAUSE": str(pause)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until ``true()``; fail with ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)
