"""A small study on digits in a folder of its own, and the command that runs it, as a process that can be disturbed."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.faults.leftovers import PATIENCE, WHOLE, processes
from tests.support.small_spaces import write_space
from tests.support.small_studies import wait_for, write_study

Verb = Literal["ablate", "search"]

VERBS: tuple[Verb, ...] = ("ablate", "search")

RULES = ("kp", "wm", "fa", "ss", "sham")  # sham does backprop by a copy of W: bp itself is asked for nothing at a step

EPOCHS = 4

STEPS = 4  # an epoch

TRIALS = 4

RULE = '''
"""A rule of nowt's that takes its time, and leaves word which process has done which step."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nowt import find_rule


@dataclass(frozen=True)
class Slow(find_rule("{rule}")):
    name: ClassVar[str] = "slow"

    def after_step(self, layers, moment):
        Path(__file__).with_name(f"{os.getpid()}.step").write_text(str(moment.step))
        with Path(__file__).with_name("steps").open("a") as steps:
            steps.write(f"{moment.step} ")
        time.sleep(float(Path(__file__).with_name("pause").read_text()))
        return super().after_step(layers, moment)
'''

SLOW = 'Path(__file__).with_name("slow.py")'

HALVING = "stopping=EarlyStopping('halving', first_rung=1, factor=2), reference='slow'"


@dataclass(frozen=True)
class World:
    """A study or a search in ``folder``; its store lies there too, and everything that it starts works there."""

    folder: Path
    verb: Verb
    slots: int = 2
    environment: dict[str, str] = field(default_factory=dict)  # beside this process's own
    pause: float = 0.12  # seconds that a step takes more than it must
    workers: int | str = 1  # that share each run
    rule: str = "kp"

    @property
    def store(self) -> Path:
        """Where the command keeps its runs."""
        return self.folder / "runs"

    @property
    def words(self) -> list[str]:
        """The command, after ``nowt``."""
        words = [self.verb, "./small.py", "--store", "runs", "--slots", str(self.slots)]
        if self.workers != 1:
            words += ["--workers", str(self.workers), "--model.norm_group", "8"]
        return words

    def make(self, empty: Path) -> "World":
        """Write the study, and a store with the record ``empty`` and nothing else."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "slow.py").write_text(RULE.replace("{rule}", self.rule))
        self.set_pause(self.pause)
        if self.verb == "ablate":
            write_study(self.folder, f'{{"slow": small({SLOW})}}', "(0, 1, 2)")
        else:
            write_space(self.folder, f"(part({SLOW}),)", f"Budget({TRIALS})", HALVING)
        for place in self.store.iterdir() if self.store.exists() else ():  # it may be a mounted disk
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        self.store.mkdir(exist_ok=True)
        shutil.copy(empty, self.store / "mlflow.db")
        return self

    def set_pause(self, seconds: float) -> None:
        """Let every step from now on take so much more than it must."""
        new = self.folder / "pause.new"
        new.write_text(str(seconds))
        new.replace(self.folder / "pause")

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """The command, in a process group of its own; what it says goes to files, so that nobody waits for a reader."""
        for path in self.folder.glob("*.step"):
            path.unlink()
        with self._said("out").open("wb") as out, self._said("err").open("wb") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "nowt", *self.words, *more],
                cwd=self.folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def _said(self, stream: str) -> Path:
        return self.folder / f"nowt.{stream}"

    def said(self) -> str:
        """What the last command wrote, errors last."""
        return self._said("out").read_text() + self._said("err").read_text()

    def errors(self) -> str:
        """What the last command wrote to its standard error."""
        return self._said("err").read_text()

    def run(self, *more: str) -> int:
        """The command to its end; its exit code."""
        return self.start(*more).wait(WHOLE)

    def finish(self) -> None:
        """Give the same command again, undisturbed."""
        assert self.run() == 0, self.said()

    def at_work(self) -> list[int]:
        """Processes that have a run between two epochs: at least one epoch is logged, some of the next's steps are
        done, and not its last."""
        return [pid for pid, step in self._steps().items() if step > STEPS and step % STEPS]

    def _steps(self) -> dict[int, int]:
        steps, alive = {int(p.stem): p.read_text() for p in self.folder.glob("*.step")}, processes(self.folder)
        return {pid: int(step) for pid, step in steps.items() if step and pid in alive}

    def wait_for_work(self, driver: subprocess.Popen[bytes]) -> None:
        """Wait for the command's first step. Raises AssertionError where it ends before."""
        wait_for(lambda: bool(self._steps()) or driver.poll() is not None, PATIENCE, "the first step")
        assert driver.poll() is None, self.said()
