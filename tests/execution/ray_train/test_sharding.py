"""Several workers that share a run get the same results as one worker; here they are 2 and 4 processes."""

import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.distributed as dist

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.config.run_config import ModelConfig, OptimConfig, RunConfig
from nowt.config.run_key import non_default_fields, run_key
from nowt.core.distributed import ProcessGroup, WorkersDiverged
from nowt.core.errors import ConfigError
from nowt.data.datasets import open_data
from nowt.execution.job import Job
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from nowt.rules.weight_mirror import WeightMirror
from nowt.store.records import Epoch
from nowt.training.feasibility import check_worker_count, worker_counts
from nowt.training.loop import TrainingInterrupted, train
from tests.support.short_runs import CPU, after, assert_equal, numbers, short_run, tensors
from tests.support.worker_processes import RULES, Moved, farthest, kept, moved, on_workers, shared_run, trained


@pytest.mark.parametrize("rule", [*RULES, "dfa", "dkp", "ia", "sham"])
def test_losses_do_not_depend_on_the_number_of_workers(rule: str) -> None:
    config, sizes = shared_run(rule, epochs=4, steps=15), (2, 4)
    if rule not in RULES:
        config, sizes = shared_run(rule, epochs=2, steps=10), (2,)
    alone = list(train(config, CPU))
    assert alone[-1].train_loss < alone[1].train_loss
    for size in sizes:
        epochs = on_workers(size, trained, config)
        assert farthest(epochs[0], alone) < 1e-10
        assert all(numbers(others) == numbers(epochs[0]) for others in epochs[1:])  # every worker knows the same
        assert [e.presentations for e in epochs[0]] == [e.presentations for e in alone]
        assert [e.mirror_presentations for e in epochs[0]] == [e.mirror_presentations for e in alone]
        assert [e.flops for e in epochs[0]] == pytest.approx([e.flops for e in alone])
        assert angles(epochs[0]) == pytest.approx(angles(alone), nan_ok=True)
        assert (epochs[0][-1].test_correct, epochs[0][-1].test_images) == (alone[-1].test_correct, 41)


def angles(epochs: list[Epoch]) -> list[float]:
    return [layer.matrix_angle for epoch in epochs for layer in epoch.layers]


def test_workers_together_draw_the_same_noise_as_one_worker() -> None:
    config = shared_run("wm", epochs=4, steps=10, streams=4)
    alone = list(train(config, CPU))
    for size in (2, 4):
        epochs = on_workers(size, trained, config)[0]
        assert farthest(epochs, alone) < 1e-10
        assert angles(epochs) == pytest.approx(angles(alone))
        assert [e.mirror_presentations for e in epochs] == [e.mirror_presentations for e in alone]
        assert [e.flops for e in epochs] == pytest.approx([e.flops for e in alone])


@pytest.mark.parametrize("rule", RULES)
def test_in_single_precision_losses_agree_at_first(rule: str) -> None:
    config = shared_run(rule, epochs=2, steps=5, precision="float32")  # benchmarks/workers.py shows how they drift
    assert farthest(on_workers(2, trained, config)[0], list(train(config, CPU))) < 1e-4


def test_clipping_uses_the_gradient_of_the_complete_batch() -> None:
    config = replace(shared_run("kp"), optim=OptimConfig(lr=0.05, clip=0.5, weight_decay=0.01))
    alone = list(train(config, CPU))
    assert farthest(alone, list(train(replace(config, optim=replace(config.optim, clip=None)), CPU))) > 1e-3
    assert farthest(on_workers(2, trained, config)[0], alone) < 1e-10


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_shares_make_up_the_batch_and_every_image_is_scored_once(size: int) -> None:
    data = open_data(shared_run("bp").data, CPU, test=False)
    for batch, *shares in zip(
        data.val.batches(40), *(data.val.batches(40, shard=(rank, size)) for rank in range(size)), strict=False
    ):
        assert torch.equal(torch.cat([x for x, _ in shares]), batch[0])
        assert torch.equal(torch.cat([y for _, y in shares]), batch[1])
    counted = sum(len(y) for rank in range(size) for _, y in data.val.batches(40, shard=(rank, size)))
    assert counted == len(data.val) == 41  # the last batch has one image, for one of the workers


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, list[Epoch], Path]:
    """A run that two workers trained without interruption."""
    config, folder = shared_run("kp", precision="float32", epochs=2, steps=4), tmp_path_factory.mktemp("two_workers")
    epochs = on_workers(2, kept, config, folder)[0]
    assert epochs is not None
    return config, epochs, folder


@pytest.mark.parametrize("steps", [1, 6])
def test_workers_stopped_within_an_epoch_resume_with_equal_results(
    two_workers: tuple[RunConfig, list[Epoch], Path], steps: int, tmp_path: Path
) -> None:
    config, epochs, folder = two_workers
    assert on_workers(2, kept, config, tmp_path, steps) == [None, None]  # one was asked, both stopped
    assert sorted(path.name for path in tmp_path.glob("*"))[-1] == f"step-{steps:09d}.pt"
    assert numbers(continued(2, config, tmp_path)) == numbers(epochs)
    assert_equal(tensors(tmp_path), tensors(folder))


@pytest.mark.parametrize("worker_counts", [(2, 4), (4, 2), (2, 1), (1, 2)], ids=str)
def test_a_run_resumes_with_another_number_of_workers(worker_counts: tuple[int, int], tmp_path: Path) -> None:
    config = shared_run("wm", epochs=2, steps=4)
    first, second = worker_counts
    if first == 1:
        with pytest.raises(TrainingInterrupted):
            list(train(config, CPU, checkpoints=tmp_path, should_stop=after(6)))
    else:
        on_workers(first, kept, config, tmp_path, 6)
    epochs = list(train(config, CPU, checkpoints=tmp_path)) if second == 1 else continued(second, config, tmp_path)
    alone = list(train(config, CPU, checkpoints=tmp_path / "alone"))
    assert farthest(epochs, alone) < 1e-10
    found, expected = tensors(tmp_path), tensors(tmp_path / "alone")
    assert found.keys() == expected.keys()
    assert max(float((found[n].double() - expected[n].double()).abs().max()) for n in found) < 1e-10


def test_a_group_that_shrinks_and_grows_gets_the_results_of_one_worker(tmp_path: Path) -> None:
    config = shared_run("wm", epochs=2, steps=4, streams=4)
    assert on_workers(4, kept, config, tmp_path, 2) == [None] * 4
    with pytest.raises(TrainingInterrupted):
        list(train(config, CPU, checkpoints=tmp_path, should_stop=after(3)))
    assert farthest(continued(2, config, tmp_path), list(train(config, CPU))) < 1e-10


def continued(size: int, config: RunConfig, folder: Path) -> list[Epoch]:
    epochs = on_workers(size, kept, config, folder)[0]
    assert epochs is not None
    return epochs


def test_workers_without_a_shared_store_are_refused(tmp_path: Path) -> None:
    config = shared_run("fa")
    on_workers(2, kept, config, tmp_path / "0", 2)
    with pytest.raises(
        WorkersDiverged, match=r"^worker 1 begins at step 0 and worker 0 at step 2: the store must be a folder"
    ):
        on_workers(2, kept_apart, config, tmp_path)


def kept_apart(config: RunConfig, folder: Path) -> list[Epoch] | None:
    return kept(config, folder / str(ProcessGroup().rank))


@dataclass(frozen=True)
class Stray(FeedbackAlignment):
    """Worker 1 loses a digit of its B."""

    name: ClassVar[str] = "stray"

    def after_step(self, layer: LayerView, step: int) -> None:
        if step == 5 and layer.name == "3" and dist.get_rank() == 1:
            layer.feedback[0, 0, 0, 0] *= 1 + 1e-7


def test_a_run_fails_if_b_differs_between_workers() -> None:
    with pytest.raises(
        WorkersDiverged, match=r"^3\.feedback of worker 1 is not bit for bit that of worker 0 after epoch 2: "
    ):
        on_workers(2, trained, replace(shared_run("bp", precision="float32"), rule=Stray()))


@cache
def moved_by(rule: str, size: int) -> list[Moved]:
    return on_workers(size, moved, shared_run(rule))


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_sends_as_many_bytes_as_backprop(rule: str, size: int) -> None:
    for worker, backprop in zip(moved_by(rule, size), moved_by("bp", size), strict=True):
        assert (worker.gradients, worker.others) == (backprop.gradients, backprop.others)
        weights = 6 * 9 + 8 * 6 * 9 + 32 * 10 + 10 + 2 * (6 + 8)
        assert backprop.gradients == 4 * 8 * weights  # steps × bytes of float64 × W, biases and gains


def test_noise_per_worker_sends_b_once_per_mirror_step_and_improves_its_angle() -> None:
    same, own = moved_by("wm", 2), on_workers(2, moved, shared_run("wm", streams=2))
    mirror_steps = 2  # of 4 steps
    assert own[0].others - same[0].others == mirror_steps * same[0].feedback > 0
    assert own[0].gradients == same[0].gradients


def test_four_streams_of_noise_halve_the_sampling_angle() -> None:
    fields = {"interval": 1, "warmup": 60, "samples": 8, "extent": 4, "decay": 0.05}
    one, four = (on_workers(2, moved, shared_run("wm", epochs=1, streams=n, **fields))[0].angles for n in (1, 4))
    assert len(one) == 3
    ratios = [math.tan(math.radians(b)) / math.tan(math.radians(a)) for a, b in zip(one, four, strict=True)]
    assert sum(ratios) / len(ratios) == pytest.approx(0.5, abs=0.2)


def test_sharding_does_not_change_run_keys() -> None:
    assert run_key(short_run("wm"), "images") == run_key(short_run("wm", fields={"streams": 1}), "images")
    assert run_key(short_run("wm"), "images") != run_key(short_run("wm", fields={"streams": 2}), "images")


@pytest.mark.parametrize(
    ("change", "expected_error"),
    [
        ({"batch": 18}, "batch is 18: it must be a multiple of the number of workers, which is 4, such as 16 or 20"),
        ({"batch": 24}, "model.norm_group is 4: it must divide each worker's share of the batch, 6 of 24"),
        (
            {"rule": WeightMirror(streams=6)},
            "rule.streams is 6: it must be 1 or a multiple of the number of workers, which is 4",
        ),
    ],
)
def test_settings_that_workers_cannot_share_equally_are_refused(change: dict[str, object], expected_error: str) -> None:
    config = replace(shared_run("bp"), model=ModelConfig("tiny_resnet", norm_group=None), **change)  # type: ignore[arg-type]
    if config.batch == 24:
        config = replace(config, model=ModelConfig("tiny_resnet", norm_group=4))
    check_worker_count(config, 1)
    with pytest.raises(ConfigError, match=f"^{expected_error}"):
        check_worker_count(config, 4)


@pytest.mark.parametrize(
    ("allowed", "found"), [(1, (1,)), (2, (2,)), ((1, 4), (1, 2, 4)), ((2, 3), (2,)), ((3, 99), (4,))], ids=str
)
def test_a_group_has_sizes_that_share_a_batch_equally(allowed: Any, found: tuple[int, ...]) -> None:
    assert worker_counts(shared_run("bp"), allowed) == found  # batches of 16 in groups of 4
    assert worker_counts(replace(shared_run("bp"), rule=WeightMirror(streams=2)), (2, 4)) == (2,)


def test_a_range_without_a_valid_size_is_refused_with_the_valid_ones() -> None:
    expected_error = (
        r"^workers is 5:7: no such number of workers divides batch \(16\), .* equally; use one of: 1, 2, 4$"
    )
    with pytest.raises(ConfigError, match=expected_error):
        worker_counts(shared_run("bp"), (5, 7))


def test_a_range_of_workers_is_sent_with_a_job_but_is_not_part_of_its_key() -> None:
    job = Job(run_key(shared_run("bp"), "images"), shared_run("bp"), Placement(workers=(2, 4)))
    assert Job.from_text(job.to_text()) == job
    assert "workers" not in non_default_fields(job.config)


@pytest.mark.parametrize(
    ("workers", "expected_error"),
    [
        ("4:2", "workers is 4:2: the smaller number comes first"),
        ("0:2", "workers is 0:2: it must be at least 1"),
        ("2:many", "'2:many': give a number such as 4, or a range such as 2:4"),
        ("5:7", "workers is 5:7: no such number of workers divides batch (32)"),
    ],
)
def test_a_malformed_number_of_workers_is_refused_in_one_line(
    workers: str, expected_error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "digits", "--workers", workers, "--model.norm_group", "16", "--store", str(tmp_path / "runs")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert expected_error in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("fields", "expected_error"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"gpus_per_worker": 0.0}, "gpus_per_worker is 0"),
        ({"gpus_per_worker": 1.5}, "gpus_per_worker is 1.5: it must be a whole number, or a share of one GPU"),
        ({"gpus_per_worker": 1.0, "device": "cpu"}, "gpus_per_worker is 1, and device is cpu"),
        ({"workers": 2, "device": "cuda:1"}, "device is 'cuda:1': with 2 workers"),
    ],
)
def test_an_invalid_placement_is_refused(fields: dict[str, object], expected_error: str) -> None:
    with pytest.raises(ConfigError, match=f"^{expected_error}"):
        Placement(**fields)  # type: ignore[arg-type]


HALF_USED = """
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.used, self.idle = nn.Linear(inputs, classes), nn.Linear(3, 3)

    def forward(self, x):
        return self.used(x.flatten(1))

def net(shape, classes):
    return Net(shape[0] * shape[1] * shape[2], classes)
"""


def test_a_model_with_unused_weights_can_be_trained(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(HALF_USED)
    config = replace(shared_run("bp"), model=ModelConfig(f"{tmp_path}/half.py:net"))
    assert farthest(on_workers(2, trained, config)[0], list(train(config, CPU))) < 1e-10
