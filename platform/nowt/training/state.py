"""One training in progress: everything that a checkpoint must hold, and the steps that change it."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.core.distributed import SINGLE_WORKER, Group, check_identical, max_over_workers
from nowt.core.errors import ConfigError
from nowt.core.seeding import Seeds, seed_of
from nowt.data.datasets import DatasetSplits
from nowt.data.splits import Split, probe_batch
from nowt.layers.attach import attach
from nowt.models.registry import build_model
from nowt.rules.base import FeedbackLayer, Moment
from nowt.store.records import Epoch, Layer, epoch_from_json, epoch_to_json
from nowt.training import alignment
from nowt.training.feasibility import check_batch_norm, check_shortcuts, check_worker_count
from nowt.training.loss import Totals, compute_loss
from nowt.training.optimizer import build_optimizer, clip_gradients, set_learning_rate
from nowt.training.schedule import learning_rate
from nowt.training.sharding import (
    aggregated_model_state,
    average_running_statistics,
    restore_worker_state,
    worker_state,
)

PARAMETER_DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}


@dataclass
class TrainingState:
    """A model, its rule and its optimiser, on their way through the data."""

    config: RunConfig
    placement: Placement
    data: DatasetSplits
    seeds: Seeds
    device: torch.device
    model: nn.Module
    layers: list[FeedbackLayer]
    optimizer: torch.optim.Optimizer
    forward: Any  # the model, divided among the workers, compiled where the config says so
    probe: tuple[Tensor, Tensor]
    totals: Totals
    flops_per_image: float
    group: Group = SINGLE_WORKER
    flops_a_mirror_step: float = 0.0
    step: int = 0
    epoch: int = 0  # epochs finished
    position: int = 0  # batches done of the epoch in progress
    presentations: int = 0
    mirror_presentations: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    probe_seconds: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)
    saved_at: float = field(default_factory=time.monotonic)

    @classmethod
    def create(
        cls, config: RunConfig, placement: Placement, data: DatasetSplits, group: Group = SINGLE_WORKER
    ) -> "TrainingState":
        """The state before the first step; W and B drawn by name, so that rules of one seed share them."""
        check_worker_count(config, group.size)
        seeds = config.seeds.resolve(config.seed)
        device = pick_device(placement.device)
        kind = PARAMETER_DTYPES[config.precision]
        x, y = probe_batch(data.train, config.probe.samples)
        x, y = x.to(device, kind), y.to(device)
        assert seeds.weights is not None and seeds.feedback is not None
        model = build_model(config.model, data.shape, data.classes, seeds.weights).to(device, kind)
        check_shortcuts(config.rule, model)
        check_batch_norm(config, model, group.size)
        layers = attach(model, config.rule, seeds.feedback, config.model.activation, x, quiet=True)
        if config.channels_last:
            model = model.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        flops = _training_flops(model, x, y, config)
        divided = group.wrap_model(model, lambda model: compute_loss(config, model(x), y))
        forward = torch.compile(divided) if config.compile else divided
        optimizer = build_optimizer(config.optim, model, layers)
        return cls(
            config,
            placement,
            data,
            seeds,
            device,
            model,
            layers,
            optimizer,
            forward,
            (x, y),
            Totals.zero(device),
            flops,
            group,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; the rest of the pictures wait for the next order."""
        return len(self.data.train) * self.config.data.repeat // self.config.batch

    def before_learning(self) -> None:
        """The rule's work before the first step (mirror mode "in utero")."""
        self._mirror(lambda moment: self.config.rule.before_learning(self.layers, moment))

    def remaining_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's share of the batches of the epoch in progress that are still to come."""
        batches = self.data.train.batches(
            self.config.batch,
            seeds=self.seeds,
            epoch=self.epoch,
            start=self.position,
            drop_last=True,
            shard=(self.group.rank, self.group.size),
        )
        for x, y in batches:
            yield self._placed(x), y.to(self.device)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        """One optimiser step on this worker's pictures x, (n, channels, height, width), with labels y, (n,)."""
        started = time.perf_counter()
        config, shown = self.config, len(y) * self.group.size
        own = (self.group.rank,) if self.group.rank else ()
        torch.manual_seed(seed_of(config.seed, "global", self.step, *own))  # for dropout and the like
        set_learning_rate(self.optimizer, learning_rate(config.optim, self.step, self.steps_per_epoch, config.epochs))
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            output = self.forward(x)
            loss = compute_loss(config, output, y)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(self.model, config.optim.clip)
        config.rule.before_step(self.layers, self.optimizer)
        self.optimizer.step()
        self.step += 1
        self.position += 1
        self.totals.add(loss, output, y)
        self.presentations += shown
        self.flops += self.flops_per_image * shown
        self._mirror(lambda moment: config.rule.after_step(self.layers, moment))
        self.seconds += time.perf_counter() - started

    def _mirror(self, act: Any) -> None:
        """Let the rule act, and count what it showed its layers. Its cost is measured at its first mirror step: what
        all workers did where they shared it out, what each did where all did the same."""
        assert self.seeds.noise is not None
        moment = Moment(self.step, self.seeds.noise, self.group)
        if self.flops_a_mirror_step or self.config.rule.learns_from != "mirror":
            shown = act(moment)
        else:
            with FlopCounterMode(display=False) as counter:
                shown = act(moment)
            if shown:
                workers = self.group.size if self.config.rule.noise_streams() > 1 else 1
                self.flops_a_mirror_step = counter.get_total_flops() * workers / shown
        self.mirror_presentations += shown
        self.flops += self.flops_a_mirror_step * shown

    def is_finite(self) -> bool:
        """Whether the epoch's loss, on the training and on the validation pictures, is a number."""
        last = self.epochs[-1]
        return self.totals.shown == 0 or (math.isfinite(last.train_loss) and math.isfinite(last.val_loss))

    def close_epoch(self) -> Epoch:
        """Close the epoch in progress (or epoch 0): validation, test, alignment. Raises Apart where a worker's W or B
        is not that of the others."""
        if self.position:
            self.epoch += 1
        self.totals = self.totals.over(self.group)
        train_loss, train_error = self.totals.mean()
        average_running_statistics(self.model, self.group)
        self.seconds = max_over_workers(self.group, self.seconds)
        val = self._evaluate(self.data.val)
        test = self._evaluate(self.data.test) if self.data.test is not None else (math.nan, math.nan)
        layers = self._probe()
        record = Epoch(
            epoch=self.epoch,
            step=self.step,
            lr=float(self.optimizer.param_groups[0]["lr"]) if self.step else 0.0,
            train_loss=train_loss,
            train_error=train_error,
            val_loss=val[0],
            val_error=val[1],
            test_loss=test[0],
            test_error=test[1],
            presentations=self.presentations,
            mirror_presentations=self.mirror_presentations,
            flops=self.flops,
            seconds=self.seconds,
            probe_seconds=self.probe_seconds,
            layers=layers,
        )
        check_identical(self.group, dict(self.model.named_parameters()), f"after epoch {self.epoch}")
        self.epochs.append(record)
        if self.is_finite():
            self.totals = Totals.zero(self.device)
            self.position = 0
        return record

    def _probe(self) -> tuple[Layer, ...]:
        interval = self.config.probe.interval
        if interval == 0 or (self.epoch % interval and self.epoch != self.config.epochs):
            return ()
        started = time.perf_counter()
        x, y = self.probe
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            layers = alignment.measure_alignment(
                self.model, self.layers, x, y, lambda o, t: compute_loss(self.config, o, t)
            )
        self.probe_seconds += time.perf_counter() - started
        return layers

    @torch.inference_mode()
    def _evaluate(self, split: Split) -> tuple[float, float]:
        totals = Totals.zero(self.device)
        self.model.eval()
        for x, y in split.batches(max(self.config.batch, 256), shard=(self.group.rank, self.group.size)):
            y = y.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
                output = self.model(self._placed(x))
                totals.add(compute_loss(self.config, output, y), output, y)
        self.model.train()
        return totals.over(self.group).mean()

    def _placed(self, x: Tensor) -> Tensor:
        form = torch.channels_last if self.config.channels_last else torch.contiguous_format
        return x.to(self.device, PARAMETER_DTYPES[self.config.precision], memory_format=form)

    def seconds_since_save(self) -> float:
        """Seconds since the last checkpoint, or since the start."""
        return time.monotonic() - self.saved_at

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds: tensors, numbers and text only. Random streams need no place in it, since each is a
        function of the seed and of where the run is (torch's own is seeded anew at each step). All workers call it."""
        self.saved_at = time.monotonic()
        own = worker_state(self.model, self.totals, self.group)
        counts = {name: getattr(self, name) for name in COUNTS}
        return {
            "model": aggregated_model_state(self.model, own),
            "optimizer": self.optimizer.state_dict(),
            **own,
            "epochs": [epoch_to_json(epoch) for epoch in self.epochs],
            **counts,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the training that ``state`` was taken from."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.totals = restore_worker_state(self.model, state, self.group)
        self.epochs = [epoch_from_json(epoch) for epoch in state["epochs"]]
        for name in COUNTS:
            setattr(self, name, state[name])


COUNTS = (
    "step",
    "epoch",
    "position",
    "presentations",
    "mirror_presentations",
    "flops",
    "flops_a_mirror_step",
    "seconds",
    "probe_seconds",
)


def pick_device(name: str) -> torch.device:
    """``auto``: the GPU where there is one. Raises ConfigError for a device that is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device is {name!r}, which is not here: use auto or cpu") from error


def _training_flops(model: nn.Module, x: Tensor, y: Tensor, config: RunConfig) -> float:
    """Floating point operations of one picture's forward and backward pass, counted on the probe batch."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    model.train()
    with FlopCounterMode(display=False) as counter:
        output = torch.func.functional_call(model, buffers, (x,))
        torch.autograd.grad(compute_loss(config, output, y), parameters, allow_unused=True)
    return float(counter.get_total_flops()) / len(x)
