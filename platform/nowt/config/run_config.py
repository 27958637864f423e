"""RunConfig: everything that decides the numbers of one run. A frozen dataclass, checked when built."""

import copy
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from nowt.config.sections import DataConfig, ModelConfig, OptimConfig, ProbeConfig
from nowt.core.errors import require
from nowt.core.fields import build_dataclass, check_fields, check_groups, check_type, make_plain
from nowt.core.formatting import counted
from nowt.core.seeding import Seeds
from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.mirror_control import check_reachable
from nowt.rules.registry import find_rule, identify, require_rule
from nowt.rules.rule_checks import check_rule
from nowt.rules.weight_mirror import WeightMirror

__all__ = [
    "DataConfig",
    "ModelConfig",
    "OptimConfig",
    "ProbeConfig",
    "RunConfig",
    "config_from_json",
    "config_to_json",
]

SECTIONS: dict[str, type] = {
    "model": ModelConfig,
    "data": DataConfig,
    "optim": OptimConfig,
    "probe": ProbeConfig,
    "seeds": Seeds,
}


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the numbers of one run; where it runs is in ``Placement``.

    The run key is a hash of the fields that differ from their defaults. Recipes return complete configurations.

    Args:
        model: Network and initialization. Default: ``tiny_resnet``.
        data: Data set and augmentation. Default: ``digits``.
        rule: Learning rule with its hyperparameters. Default: ``Backprop()``.
        optim: Optimizer and learning-rate schedule.
        probe: How often alignment is measured.
        epochs: Number of epochs; at least 1. Default 10.
        batch: Images per optimizer step, over all workers; at least 2. Default 64.
        loss: ``"cross_entropy"`` (default), or ``"binary"``: sigmoid cross-entropy summed over classes. Both are means
            over the batch.
        label_smoothing: In [0, 1); for ``cross_entropy`` only. Default 0.0.
        precision: ``"float32"`` (default), ``"float64"``, or ``"bfloat16"``: autocast, with W and B in float32.
        channels_last: Use torch's channels-last memory format. Default False.
        compile: Compile the model with ``torch.compile``. Default False.
        test: When the test images are scored. ``True`` (default): at every epoch. ``"last"``: once, after the last,
            which takes less time. ``False``: never, as in searches.
        seed: Seed of all random streams. Default 0.
        seeds: Seed of single purposes (weights, feedback, order, crops, noise), to vary or fix each separately.
            Default: all follow ``seed``.

    Raises:
        ConfigError: If a value is out of range, or fields contradict each other (warm-up longer than the run, a first
            milestone after its end, ``norm_group`` not a divisor of ``batch`` or ``probe.samples``, neither test
            images nor validation images that are held out).

    Example:
        >>> from nowt import KolenPollack, OptimConfig, RunConfig
        >>> config = RunConfig(rule=KolenPollack(), optim=OptimConfig(weight_decay=1e-2), epochs=5)
        >>> config.model.name, config.batch
        ('tiny_resnet', 64)
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    rule: Rule = field(default_factory=Backprop)
    optim: OptimConfig = field(default_factory=OptimConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    epochs: int = 10
    batch: int = 64
    loss: Literal["cross_entropy", "binary"] = "cross_entropy"
    label_smoothing: float = 0.0
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    channels_last: bool = False
    compile: bool = False
    test: bool | Literal["last"] = True
    seed: int = 0
    seeds: Seeds = field(default_factory=Seeds)

    def __post_init__(self) -> None:
        require_rule(self.rule)
        identify(type(self.rule))
        make_plain(self.rule)
        make_plain(self)
        check_fields(self, "")
        check_fields(self.rule, "rule.")  # again, since a custom rule may replace Rule.__post_init__
        check_groups(self.rule, "rule.")
        check_rule(self.rule)
        require(self.epochs >= 1, f"epochs is {self.epochs}: it must be at least 1")
        require(self.batch >= 2, f"batch is {self.batch}: it must be at least 2")
        require(0 <= self.label_smoothing < 1, f"label_smoothing is {self.label_smoothing}: it must lie in [0, 1)")
        require(
            self.label_smoothing == 0 or self.loss == "cross_entropy",
            "label_smoothing is for loss cross_entropy only",
        )
        self._check_data()
        self._check_schedule()
        self._check_norm_group()
        self._check_target_angle()
        self._check_mirror_steps()

    def with_seed(self, seed: int) -> "RunConfig":
        """Return the config with another seed, which nothing else in it depends on: it is not checked again."""
        found = copy.copy(self)
        object.__setattr__(found, "seed", check_type(int, seed, "seed", strict=True))
        return found

    def _check_data(self) -> None:
        """Raise ConfigError if no error would be one of images that were not trained on, or if a seed has no effect."""
        require(
            self.data.hold_out or bool(self.test),
            "data.hold_out is False, so validation images are trained on, and test is False, as in searches: nothing "
            "would be left to score; set data.hold_out or test to True",
        )
        require(
            self.data.shuffle or self.seeds.order is None,
            f"seeds.order is {self.seeds.order}, but data.shuffle is False, so no order is drawn: leave out either",
        )

    def _check_schedule(self) -> None:
        """Raise ConfigError for a warm-up or milestone after the end of the run, which would have no effect."""
        warmup, milestones = self.optim.warmup, self.optim.milestones
        require(warmup <= self.epochs, f"optim.warmup is {counted(f'{warmup:g}', 'epoch')}: the run has {self.epochs}")
        require(
            not milestones or 0 < min(milestones) < self.epochs,
            f"optim.milestones begin at {min(milestones, default=0):g}: the run has {counted(self.epochs, 'epoch')}, "
            f"so the first must lie above 0 and below {self.epochs}",
        )

    def _check_norm_group(self) -> None:
        group, samples = self.model.norm_group, self.probe.samples
        require(
            group is None or self.batch % group == 0,
            f"model.norm_group is {group}: it must divide batch, which is {self.batch}",
        )
        require(
            group is None or samples % group == 0,
            f"probe.samples is {samples}: model.norm_group, which is {group}, must divide it",
        )

    def _check_mirror_steps(self) -> None:
        rule = self.rule
        if not isinstance(rule, WeightMirror):
            return
        require(
            rule.burst_epochs <= self.epochs,
            f"rule.burst_epochs is {rule.burst_epochs}, but the run has {counted(self.epochs, 'epoch')}, so no phase "
            "would begin: leave out rule.burst, or lower rule.burst_epochs",
        )
        require(
            rule.warmup + rule.interval + rule.burst > 0,
            "rule.warmup, rule.interval and rule.burst are 0, so B would stay as it was drawn: set one of them above "
            "0, or use rule fa",
        )

    def _check_target_angle(self) -> None:
        if not isinstance(self.rule, WeightMirror) or (target := self.rule.target_angle) is None:
            return
        require(
            self.optim.weight_decay > 0,
            f"rule.target_angle is {target:g}, but optim.weight_decay is 0, by which nowt knows how fast W turns: set "
            "optim.weight_decay above 0, or leave out rule.target_angle and set samples, interval and decay",
        )
        check_reachable(target, self.optim.turnover(self.optim.lr))


def config_to_json(config: Any) -> dict[str, Any]:
    """Return a config as plain JSON data, with the name of its rule."""
    data: dict[str, Any] = {"name": config.source or config.name} if isinstance(config, Rule) else {}
    for item in fields(config):
        value = getattr(config, item.name)
        plain = list(value) if isinstance(value, tuple) else value
        data[item.name] = config_to_json(value) if is_dataclass(value) else plain
    return data


def config_from_json(data: dict[str, Any]) -> RunConfig:
    """Build the RunConfig that ``config_to_json`` wrote. Raises ConfigError naming the field that is wrong."""
    parts: dict[str, Any] = {}
    for name, value in data.items():
        if name == "rule":
            rule_fields = {k: v for k, v in value.items() if k != "name"}
            parts[name] = build_dataclass(find_rule(value["name"]), rule_fields, "rule.")
        elif name in SECTIONS:
            parts[name] = build_dataclass(SECTIONS[name], value, f"{name}.")
        else:
            parts[name] = value
    return build_dataclass(RunConfig, parts, "")
