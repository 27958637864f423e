"""A small study on digits in its own folder, and the command that runs it, as a process that tests can disturb."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from nowt.cli.main import main
from tests.faults.cleanup_checks import STUDY_TIMEOUT, TIMEOUT, processes
from tests.support.small_spaces import write_space
from tests.support.small_studies import wait_for, write_study

Verb = Literal["ablate", "search"]

VERBS: tuple[Verb, ...] = ("ablate", "search")

RULES = ("kp", "wm", "fa", "ss", "sham")  # sham uses a copy of W; bp itself does nothing per step

EPOCHS = 4

STEPS = 4  # per epoch

TRIALS = 4

RULE = '''
"""A built-in rule that pauses at each step, and writes down which process has done which step."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nowt import find_rule


@dataclass(frozen=True)
class Slow(find_rule("{rule}")):
    name: ClassVar[str] = "slow"

    def after_step(self, layer, step):
        super().after_step(layer, step)
        if not layer.is_output:
            return
        Path(__file__).with_name(f"{os.getpid()}.step").write_text(str(step))
        with Path(__file__).with_name("steps").open("a") as steps:
            steps.write(f"{step} ")
        time.sleep(float(Path(__file__).with_name("pause").read_text()))
'''

SLOW = 'Path(__file__).with_name("slow.py")'

HALVING = "stopping=EarlyStopping('halving', first_rung=1, factor=2), reference='slow'"


@dataclass(frozen=True)
class StudyProcess:
    """An ablation or a search in ``folder``. Its store is in that folder, and all its processes run there."""

    folder: Path
    verb: Verb
    slots: int = 2
    environment: dict[str, str] = field(default_factory=dict)  # in addition to this process's environment
    pause: float = 0.12  # additional seconds per step
    workers: int | str = 1  # per run
    rule: str = "kp"

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.folder / "runs"

    @property
    def argv(self) -> list[str]:
        """The arguments of the command, after ``nowt``."""
        argv = [self.verb, "./small.py", "--store", "runs", "--slots", str(self.slots)]
        if self.workers != 1:
            argv += ["--workers", str(self.workers), "--model.norm_group", "8"]
        return argv

    def reset(self, empty: Path) -> "StudyProcess":
        """Write the study, and a store that contains only the MLflow database ``empty``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "slow.py").write_text(RULE.replace("{rule}", self.rule))
        self.set_pause(self.pause)
        if self.verb == "ablate":
            write_study(self.folder, f'{{"slow": small({SLOW}, RESIDUAL)}}', "(0, 1, 2)")
        else:
            write_space(self.folder, f"(part({SLOW}, model=RESIDUAL),)", f"Budget({TRIALS})", HALVING)
        for place in self.store.iterdir() if self.store.exists() else ():  # the store may be a mounted disk
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        self.store.mkdir(exist_ok=True)
        shutil.copy(empty, self.store / "mlflow.db")
        return self

    def set_pause(self, seconds: float) -> None:
        """Add so many seconds to every step from now on."""
        new = self.folder / "pause.new"
        new.write_text(str(seconds))
        new.replace(self.folder / "pause")

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """Start the command in its own process group. Its output goes to files, so that nothing waits for a reader."""
        for path in self.folder.glob("*.step"):
            path.unlink()
        with self._output_file("out").open("wb") as out, self._output_file("err").open("wb") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "nowt", *self.argv, *more],
                cwd=self.folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def _output_file(self, stream: str) -> Path:
        return self.folder / f"nowt.{stream}"

    def output(self) -> str:
        """Return the output of the last command, standard error last."""
        return self._output_file("out").read_text() + self._output_file("err").read_text()

    def errors(self) -> str:
        """Return the standard error of the last command."""
        return self._output_file("err").read_text()

    def run(self, *more: str) -> int:
        """Run the command to its end; return its exit code."""
        return self.start(*more).wait(STUDY_TIMEOUT)

    def rerun_in_process(self) -> None:
        """Finish the study in this process without pauses, instead of on Ray."""
        self.set_pause(0.0)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            assert main([*replace(self, slots=1).argv, "--in-process"]) == 0

    def rerun(self) -> None:
        """Run the same command again, undisturbed and without pauses, and assert that it succeeds."""
        self.set_pause(0.0)
        assert self.run() == 0, self.output()

    def training_processes(self) -> list[int]:
        """Return the processes with a run between two epochs: one epoch is logged, and the next one has begun."""
        return [pid for pid, step in self._steps().items() if step > STEPS and step % STEPS]

    def _steps(self) -> dict[int, int]:
        steps, alive = {int(p.stem): p.read_text() for p in self.folder.glob("*.step")}, processes(self.folder)
        return {pid: int(step) for pid, step in steps.items() if step and pid in alive}

    def wait_for_first_step(self, driver: subprocess.Popen[bytes]) -> None:
        """Wait for the command's first step. Raises AssertionError if the command ends before."""
        wait_for(lambda: bool(self._steps()) or driver.poll() is not None, TIMEOUT, "the first step")
        assert driver.poll() is None, self.output()
