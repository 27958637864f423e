"""The state of one run in training: everything that a checkpoint holds, and the operations that change it."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.core.distributed import SINGLE_WORKER, Group, check_identical, max_over_workers
from nowt.core.seeding import Seeds, seed_of
from nowt.data.datasets import DatasetSplits
from nowt.data.splits import Split
from nowt.layers import alignment
from nowt.layers.rule_steps import RuleSteps, clear_caches
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.moment import Moment, Respond
from nowt.rules.schedule import Schedule
from nowt.store.correct_images import pack_correct
from nowt.store.records import Epoch, Layer, epoch_from_json, epoch_to_json
from nowt.training.audit_plan import AuditPlan
from nowt.training.device import PARAMETER_DTYPES, autocast, pick_device, seed_globals
from nowt.training.feasibility import check_split, check_worker_count
from nowt.training.loss import Totals, compute_loss
from nowt.training.network import build_network, count_training_flops, load_probe
from nowt.training.optimizer import build_optimizer, clip_gradients, set_learning_rate
from nowt.training.rule_cost import RuleCost
from nowt.training.rule_state import RuleState
from nowt.training.schedule import learning_rate, turnover_schedule
from nowt.training.scoring import Score, score
from nowt.training.sharding import (
    aggregated_model_state,
    average_running_statistics,
    restore_worker_state,
    worker_state,
)
from nowt.training.state_form import COUNTERS
from nowt.training.step_timer import StepTimer, make_timer


@dataclass
class TrainingState:
    """A model, its rule and its optimizer at one point of a run.

    The loop calls ``create``, ``before_learning``, then per epoch ``train_step`` on each of ``remaining_batches`` and
    ``close_epoch``. ``state_dict`` and ``load_state_dict`` save and restore it.
    """

    config: RunConfig
    placement: Placement
    data: DatasetSplits
    seeds: Seeds
    device: torch.device
    model: nn.Module
    layers: list[FeedbackLayer]
    optimizer: torch.optim.Optimizer
    forward: Any  # the model as it is called in training: data parallel and compiled where configured
    eager: Any  # the same, not compiled
    probe: tuple[Tensor, Tensor]  # images and labels of the probe batch
    totals: Totals
    flops_per_image: float
    rule_state: RuleState
    group: Group = SINGLE_WORKER
    step: int = 0  # optimizer steps done
    epoch: int = 0  # epochs finished
    position: int = 0  # batches done in the current epoch
    presentations: int = 0  # training images shown, over all workers
    mirror_presentations: float = 0  # mirror samples, averaged over the layers
    flops: float = 0.0
    seconds: float = 0.0
    probe_seconds: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)
    audits: AuditPlan = field(default_factory=AuditPlan)
    respond: Respond | None = None  # answers mirror noise in place of the layers, in an audit
    saved_at: float = field(default_factory=time.monotonic)
    timer: StepTimer = field(init=False)
    schedule: Schedule = field(init=False)
    rule_cost: RuleCost = field(init=False)
    rule_steps: RuleSteps = field(init=False)

    def __post_init__(self) -> None:
        self.timer = make_timer(self.device)
        self.schedule = turnover_schedule(self.config, self.steps_per_epoch)
        self.rule_cost = RuleCost(self.config.rule, self.group, self.timer)
        self.rule_steps = RuleSteps(self.config.rule, self.layers)

    @classmethod
    def create(
        cls, config: RunConfig, placement: Placement, data: DatasetSplits, group: Group = SINGLE_WORKER
    ) -> "TrainingState":
        """Return the state before the first step. W and B are drawn by layer name, so runs with one seed share them
        under all rules."""
        check_worker_count(config, group.size)
        check_split(config, data)
        seeds, device = config.seeds.resolve(config.seed), pick_device(placement.device)
        x, y = load_probe(config, data, device)
        model, layers = build_network(config, data, seeds, x, group.size)
        rule_state = RuleState(config.rule, layers, model)
        if config.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        flops = count_training_flops(model, x, y, config, data.classes)
        parallel = group.wrap_model(model, lambda model: compute_loss(config, model(x), y))
        clear_caches(layers)
        return cls(
            config=config,
            placement=placement,
            data=data,
            seeds=seeds,
            device=device,
            model=model,
            layers=layers,
            optimizer=build_optimizer(config.optim, model, layers),
            forward=torch.compile(parallel) if config.compile else parallel,
            eager=parallel,
            probe=(x, y),
            totals=Totals.zero(device),
            flops_per_image=flops,
            rule_state=rule_state,
            group=group,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Number of complete batches per epoch; the remaining images are left out of this epoch."""
        return len(self.data.train) * self.config.data.repeat // self.config.batch

    def before_learning(self) -> None:
        """Call the rule's ``before_learning`` (such as mirror mode before the first step)."""
        with self.timer.step():
            self.mirror_presentations += self.rule_cost.call(self.rule_steps.before_learning, self.moment)

    def remaining_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this worker's share of the batches of the current epoch that are not done yet."""
        batches = self.data.train.batches(
            self.config.batch,
            seeds=self.seeds,
            epoch=self.epoch,
            start=self.position,
            drop_last=True,
            shard=(self.group.rank, self.group.size),
            device=self.device,
        )
        yield from ((self._placed(x), y.to(self.device)) for x, y in batches)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Do one optimizer step on this worker's images x, (n, channels, height, width), with labels y, (n,)."""
        with self.timer.step():
            self._train_step(x, y)
        self.rule_state.check_first_step()

    def _train_step(self, x: Tensor, y: Tensor) -> None:
        config, shown = self.config, len(y) * self.group.size
        self.seed_step()
        set_learning_rate(self.optimizer, learning_rate(config.optim, self.step, self.steps_per_epoch, config.epochs))
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.config.precision):
            output = self.forward(x)
            loss = compute_loss(config, output, y)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(self.model, config.optim.clip)
        self.mirror_presentations += self.rule_cost.call(self.rule_steps.before_step, self.optimizer, self.moment)
        self.optimizer.step()
        self.step += 1
        self.position += 1
        self.totals.add(loss, output, y)
        self.presentations += shown
        self.flops += self.flops_per_image * shown
        self.mirror_presentations += self.rule_cost.call(self.rule_steps.after_step, self.moment)

    def seed_step(self) -> None:
        """Seed the global generators, from which dropout draws, for the coming step."""
        rank = [self.group.rank] if self.group.rank else []
        seed_globals(seed_of(self.config.seed, "global", self.step, *rank), self.device)

    def is_mirror_step(self, step: int) -> bool:
        """Return whether the rule does mirror steps after training step ``step``, from 1."""
        return self.rule_steps.is_mirror_step(replace(self.moment, step=step))

    @property
    def moment(self) -> Moment:
        """The present point in training, for the rule's steps."""
        assert self.seeds.noise is not None
        return Moment(self.step, self.seeds.noise, self.group, self.schedule, self.respond)

    @property
    def flops_a_mirror_step(self) -> float:
        """FLOPs per mirror sample over all layers; 0 until they are measured."""
        return self.rule_cost.per_sample

    @flops_a_mirror_step.setter
    def flops_a_mirror_step(self, value: float) -> None:
        self.rule_cost.per_sample = value

    def is_finite(self, record: Epoch) -> bool:
        """Return whether all losses of the current epoch are finite. Epoch 0 has no training loss."""
        losses = [record.val_loss, *([record.train_loss] if record.epoch else [])]
        losses += [] if self._scored_test_images() is None else [record.test_loss]
        return all(map(math.isfinite, losses))

    def close_epoch(self) -> Epoch:
        """End the current epoch (or epoch 0): score validation and test images, measure alignment, start the next.

        Raises WorkersDiverged if the workers' W or B differ.
        """
        if self.position:
            self.epoch += 1
        self.rule_state.check()
        self.totals = self.totals.sum_over(self.group)
        average_running_statistics(self.model, self.group)
        self.flops += self.rule_cost.settle()
        self.seconds = max_over_workers(self.group, self.seconds + self.timer.read())
        record = self._record()
        check_identical(self.group, dict(self.model.named_parameters()), f"after epoch {self.epoch}")
        self.epochs.append(record)
        self.totals = Totals.zero(self.device)
        self.position = 0
        return record

    def _record(self) -> Epoch:
        train_loss, train_error = self.totals.mean()
        with self.rule_state.unchanged("scoring images"):
            val, test = self._score(self.data.val), self._score(self._scored_test_images())
        correct = test.correct if self.epoch == self.config.epochs else None
        layers = self._measure_alignment()
        return Epoch(
            epoch=self.epoch,
            step=self.step,
            lr=float(self.optimizer.param_groups[0]["lr"]) if self.step else 0.0,
            train_loss=train_loss,
            train_error=train_error,
            val_loss=val.loss,
            val_error=val.error,
            test_loss=test.loss,
            test_error=test.error,
            presentations=self.presentations,
            mirror_presentations=round(self.mirror_presentations),
            flops=self.flops,
            seconds=self.seconds,
            probe_seconds=self.probe_seconds,
            layers=layers,
            test_correct="" if correct is None else pack_correct(correct),
            test_images=0 if correct is None else len(correct),
        )

    def _measure_alignment(self) -> tuple[Layer, ...]:
        interval = self.config.probe.interval
        if interval == 0 or (self.epoch % interval and self.epoch != self.config.epochs):
            return ()
        with self.rule_state.unchanged("an alignment probe"), autocast(self.device, self.config.precision):
            started, loss = time.perf_counter(), partial(compute_loss, self.config)
            layers = alignment.measure_alignment(self.model, self.layers, *self.probe, loss)
            self.probe_seconds += time.perf_counter() - started
        return layers

    def _score(self, split: Split | None) -> Score:
        return Score() if split is None else score(self.config, self.model, split, self._placed, self.group)

    def _scored_test_images(self) -> Split | None:
        """Return the test images; None if this epoch does not score them."""
        due = self.config.test != "last" or self.epoch == self.config.epochs
        return self.data.test if due else None

    def _placed(self, x: Tensor) -> Tensor:
        form = torch.channels_last if self.config.channels_last else torch.contiguous_format
        return x.to(self.device, PARAMETER_DTYPES[self.config.precision], memory_format=form)

    def state_dict(self) -> dict[str, Any]:
        """Return the content of a checkpoint: tensors, numbers and text. All workers must call it.

        Random generators are not included: each is derived from the seed and the position in the run."""
        self.saved_at = time.monotonic()
        if self.position:  # otherwise close_epoch() has checked it
            self.rule_state.check()
        self.flops += self.rule_cost.settle()
        self.seconds += self.timer.read()
        per_worker = worker_state(self.model, self.totals, self.group)
        return {
            "model": aggregated_model_state(self.model, per_worker),
            "optimizer": self.optimizer.state_dict(),
            **per_worker,
            "epochs": [epoch_to_json(epoch) for epoch in self.epochs],
            **({"audits": self.audits.to_json()} if self.audits.drawn else {}),
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that ``state_dict`` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.totals = restore_worker_state(self.model, state, self.group)
        self.epochs = [epoch_from_json(epoch) for epoch in state["epochs"]]
        self.audits = AuditPlan.from_json(state["audits"]) if "audits" in state else self.audits
        for name in COUNTERS:
            setattr(self, name, state[name])
