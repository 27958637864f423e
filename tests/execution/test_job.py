"""A job that is sent to a worker is still the planned run, or fails with a message; an ended run leaves nothing."""

import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from nowt.config.placement import Placement
from nowt.config.recipes import RECIPES
from nowt.config.run_config import DataConfig, ModelConfig, RunConfig
from nowt.config.run_key import run_key
from nowt.execution import job as job_module
from nowt.execution.job import Job, run_job
from nowt.execution.preparation import inspect_data, plan_run
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from nowt.rules.registry import builtin_rules, find_rule
from tests.core.test_source_hash import written
from tests.support.forked_children import RETURNED, exit_code_of_child
from tests.support.small_studies import OWN
from tests.support.synthetic_images import draw, image_folder

NET = """
from torch import nn
def build(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes, bias=True))
"""


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("rule", [kind.name for kind in builtin_rules()])
def test_a_job_sent_as_text_is_the_same_run(recipe: str, rule: str) -> None:
    config = RECIPES[recipe](find_rule(rule)())
    job = Job(run_key(config, "images"), config, Placement(store="here", loaders=3))
    arrived = Job.from_text(job.to_text())
    assert arrived == job
    assert run_key(arrived.config, "images") == job.key


def test_a_run_fails_if_its_images_have_changed_since_it_was_planned(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    config = RunConfig(model=ModelConfig("mlp", hidden=(4,)), data=DataConfig("folder", size=8), batch=8, epochs=1)
    here = Placement(store=str(tmp_path / "store"), data=str(root), device="cpu", loaders=1)
    planned = plan_run("bp", config, inspect_data(config, here))
    draw(root / "train/cat/one_more.jpg")
    start, end = run_job(Job.from_text(Job.of(planned, here).to_text()))
    assert (start["kind"], end["state"]) == ("start", "failed")
    assert end["reason"] == "the images have changed since this run was planned; run the same command again"


def test_a_run_names_the_file_that_has_changed_since_it_was_planned(tmp_path: Path) -> None:
    folder = written(tmp_path, {"net.py": NET}).parent
    config = RunConfig(model=ModelConfig(f"{folder}/net.py:build"), data=DataConfig("digits"), batch=8, epochs=1)
    here = Placement(store=str(tmp_path / "store"), device="cpu", loaders=1)
    text = Job.of(plan_run("bp", config, inspect_data(config, here)), here).to_text()
    written(tmp_path, {"net.py": NET.replace("bias=True", "bias=False")})
    _, end = run_job(Job.from_text(text))
    assert end["reason"].startswith(f"model {folder}/net.py:build has changed since this run was planned")


def test_a_worker_with_its_own_copy_of_the_working_folder_finds_the_files_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under ``ray job submit --working-dir``, where the copies of two machines may lie in different places."""
    driver, worker = tmp_path / "driver", tmp_path / "worker"
    written(driver, {"lab/mine.py": OWN, "net.py": "def build(shape, classes): ...\n"})
    monkeypatch.chdir(driver)
    config = RunConfig(ModelConfig("net.py:build"), rule=find_rule("lab/mine.py")())
    text = Job(run_key(config, "images"), config, Placement(store=f"{driver}/runs")).to_text()
    driver.rename(worker)
    monkeypatch.chdir(worker)
    arrived = Job.from_text(text)
    assert arrived.config.rule.source == f"{worker}/lab/mine.py"
    assert arrived.config.model.name == f"{worker}/net.py:build"
    assert run_key(arrived.config, "images") == arrived.key
    assert arrived.placement.store == f"{worker}/runs"


@dataclass(frozen=True)
class Forks(FeedbackAlignment):
    """Forks a child in each step, which does ``child``, and waits for it."""

    name: ClassVar[str] = "forks"
    child: str = "returns"

    def after_step(self, layer: LayerView, step: int) -> None:
        if (process := os.fork()) == 0:
            if self.child == "raises":
                raise RuntimeError("in the child")
            if self.child == "exits":
                sys.exit()
        else:
            os.waitpid(process, 0)


@pytest.mark.parametrize("child", ["returns", "raises", "exits"])
def test_a_child_that_a_rule_forks_does_not_go_on_with_the_run(child: str, tmp_path: Path) -> None:
    config = RunConfig(
        ModelConfig("mlp", hidden=(4,)),
        DataConfig("digits", train_limit=32, score_limit=16),
        Forks(child=child),
        batch=16,
        epochs=2,
    )
    here = Placement(store=str(tmp_path / "store"), device="cpu")
    planned = plan_run("forks", config, inspect_data(config, here))
    at_work = tmp_path / "at_work"

    def work() -> None:
        for message in run_job(Job.of(planned, here)):
            with at_work.open("a") as file:
                file.write(f"{os.getpid()} {message['kind']}\n")

    assert exit_code_of_child(work) == RETURNED
    processes, kinds = zip(*(line.split() for line in at_work.read_text().splitlines()), strict=True)
    assert tuple(kind for kind in kinds if kind != "audit") == ("start", "epoch", "epoch", "epoch", "end")
    assert len({*processes}) == 1


def tensors() -> int:
    """Return the number of tensors in this process."""
    return sum(type(one) in (torch.Tensor, torch.nn.Parameter) for one in gc.get_objects())


@pytest.mark.parametrize("rule", ["fa", "wm", "kp"])
def test_an_ended_run_leaves_no_tensors_to_the_next_one(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataConfig("digits", train_limit=32, score_limit=16)
    config = RunConfig(ModelConfig("mlp", hidden=(4,)), data, find_rule(rule)(), batch=16, epochs=1)
    here, returned = Placement(store=str(tmp_path / "store"), device="cpu"), list[bool]()
    jobs = [Job.of(plan_run(rule, one, inspect_data(one, here)), here) for one in map(config.with_seed, range(3))]
    list(run_job(jobs[0]))  # some tensors are made once for a process
    monkeypatch.setattr(job_module, "return_free_memory", lambda: returned.append(True))
    gc.collect()
    gc.disable()
    try:
        before = tensors()
        ends = [list(run_job(job))[-1]["state"] for job in jobs[1:]]
        assert (ends, tensors() - before, returned) == (["finished"] * 2, 0, [True] * 2)
    finally:
        gc.enable()
