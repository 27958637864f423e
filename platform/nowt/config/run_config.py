"""What decides a run's numbers (RunConfig) and where it runs (Placement): frozen dataclasses, checked when built."""

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from nowt.core.errors import require
from nowt.core.fields import build
from nowt.core.seeding import Seeds
from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule


@dataclass(frozen=True)
class ModelConfig:
    """The network and how its weights start."""

    name: str = "tiny_resnet"  # one of nowt.models.MODELS, or FILE.py:FUNCTION of your own
    weights: Literal["torchvision", "paper"] = "torchvision"  # paper: truncated normal, last layer N(0, 0.01)
    zero_init_gamma: bool = False  # last batch-norm gamma of each residual block starts at 0
    norm_group: int | None = None  # samples a batch-norm statistic is taken over; None: the whole batch
    hidden: tuple[int, ...] = ()  # mlp only: sizes of the hidden layers
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"  # mlp only

    def __post_init__(self) -> None:
        if self.name != "mlp":
            require(self.hidden == (), f"model.hidden is for mlp only; {self.name} has no such setting")
            require(self.activation == "relu", f"model.activation is for mlp only; {self.name} uses relu")
        require(all(n > 0 for n in self.hidden), f"model.hidden is {self.hidden}: every size must be above 0")
        require(
            self.norm_group is None or self.norm_group > 1,
            f"model.norm_group is {self.norm_group}: it must be 2 or more, or none for the whole batch",
        )


@dataclass(frozen=True)
class DataConfig:
    """The pictures, by name and shape; where they lie is Placement's matter."""

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "folder", "imagenet", "synthetic"] = "digits"
    size: int | None = None  # pixels a side the network sees; None: the data set's own
    augment: Literal["none", "flip", "shift", "shift_flip", "resized_crop"] = "none"
    repeat: int = 1  # times each training picture is shown in an epoch, each time with a crop of its own
    train_limit: int | None = None  # at most this many training pictures, or one a class (a balanced, fixed choice)
    score_limit: int | None = None  # score at most this many val and as many test pictures (chosen likewise)
    noise: float = 0.0  # digits and synthetic only: sd of Gaussian pixel noise fixed in every picture, pixels in [0, 1]
    on_bad: Literal["stop", "skip"] = "stop"  # a picture that cannot be read: stop, or leave it out and say so

    def __post_init__(self) -> None:
        require(self.size is None or self.size >= 4, f"data.size is {self.size}: it must be at least 4 pixels")
        require(self.repeat >= 1, f"data.repeat is {self.repeat}: it must be at least 1")
        require(
            self.on_bad == "stop" or self.name in ("folder", "imagenet", "cifar10"),
            f"data.on_bad skip leaves picture files out, and {self.name} has none: it is for folder, imagenet, cifar10",
        )
        for name in ("train_limit", "score_limit"):
            limit = getattr(self, name)
            require(limit is None or limit >= 1, f"data.{name} is {limit}: it must be at least 1, or none")
        require(self.noise >= 0, f"data.noise is {self.noise}: it must be 0 or above")
        require(
            self.noise == 0 or self.name in ("digits", "synthetic"),
            f"data.noise is for digits and synthetic only, not for {self.name}",
        )


@dataclass(frozen=True)
class OptimConfig:
    """The optimiser of W (and of B under kp) and its schedule."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.05  # η, the largest of the schedule
    momentum: float = 0.9  # μ of sgd; β₁ of adamw
    nesterov: bool = False
    beta2: float = 0.999  # adamw only
    weight_decay: float = 1e-4  # λ
    decay_norms_and_biases: bool = False
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    milestones: tuple[float, ...] = ()  # step only: epochs at which the rate is multiplied by gamma
    gamma: float = 0.1  # step only
    warmup: float = 0.0  # epochs of linear rise from 0
    clip: float | None = None  # largest norm of the gradient; B is left out of it and scaled alike

    def __post_init__(self) -> None:
        require(self.lr > 0, f"optim.lr is {self.lr}: it must be above 0")
        require(0 <= self.momentum < 1, f"optim.momentum is {self.momentum}: it must lie in [0, 1)")
        require(self.weight_decay >= 0, f"optim.weight_decay is {self.weight_decay}: it must be 0 or above")
        require(self.warmup >= 0, f"optim.warmup is {self.warmup}: it must be 0 or above, in epochs")
        require(self.clip is None or self.clip > 0, f"optim.clip is {self.clip}: it must be above 0, or none")
        require(not (self.nesterov and self.name != "sgd"), "optim.nesterov is for sgd only")
        require(not (self.nesterov and self.momentum == 0), "optim.nesterov needs optim.momentum above 0")
        require(self.name == "adamw" or self.beta2 == 0.999, "optim.beta2 is for adamw only")
        require(
            self.schedule != "step" or bool(self.milestones),
            "optim.schedule step needs optim.milestones, the epochs at which the rate falls, such as 30,60,80",
        )
        if self.schedule != "step":
            require(self.milestones == (), f"optim.milestones is for schedule step, not {self.schedule}")
            require(self.gamma == 0.1, f"optim.gamma is for schedule step, not {self.schedule}")


@dataclass(frozen=True)
class ProbeConfig:
    """How often and on how many pictures alignment is measured."""

    interval: int = 1  # epochs; 0: never
    samples: int = 16  # pictures of the fixed probe batch

    def __post_init__(self) -> None:
        require(self.interval >= 0, f"probe.interval is {self.interval}: it must be 0 (never) or above")
        require(self.samples >= 2, f"probe.samples is {self.samples}: it must be at least 2")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the numbers of one run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    rule: Rule = field(default_factory=Backprop)
    optim: OptimConfig = field(default_factory=OptimConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    epochs: int = 10
    batch: int = 64  # pictures of one optimiser step, over all workers
    loss: Literal["cross_entropy", "binary"] = "cross_entropy"  # binary: sigmoid cross-entropy summed over classes
    label_smoothing: float = 0.0
    precision: Literal["float32", "bfloat16", "float64"] = "float32"  # bfloat16: autocast, W and B stay float32
    channels_last: bool = False
    compile: bool = False
    test: bool = True  # open the test pictures and score them every epoch; searches set it to False
    seed: int = 0
    seeds: Seeds = field(default_factory=Seeds)

    def __post_init__(self) -> None:
        require(isinstance(self.rule, Rule), f"rule is {self.rule!r}: it must be a Rule, such as KolenPollack()")
        require(self.epochs >= 1, f"epochs is {self.epochs}: it must be at least 1")
        require(self.batch >= 2, f"batch is {self.batch}: it must be at least 2")
        require(0 <= self.label_smoothing < 1, f"label_smoothing is {self.label_smoothing}: it must lie in [0, 1)")
        smooth = self.label_smoothing == 0 or self.loss == "cross_entropy"
        require(smooth, "label_smoothing is for loss cross_entropy only")
        self._within_the_run()
        group = self.model.norm_group
        whole = group is None or self.batch % group == 0
        require(whole, f"model.norm_group is {group}: it must divide batch, which is {self.batch}")
        require(
            group is None or self.probe.samples % group == 0,
            f"probe.samples is {self.probe.samples}: model.norm_group, which is {group}, must divide it",
        )

    def _within_the_run(self) -> None:
        """A warm-up or milestone that the run never comes to would be ignored in silence."""
        warmup, milestones = self.optim.warmup, self.optim.milestones
        require(warmup <= self.epochs, f"optim.warmup is {warmup:g} epochs: the run has {self.epochs}")
        require(
            not milestones or 0 < min(milestones) < self.epochs,
            f"optim.milestones begin at {min(milestones, default=0):g}: the run has {self.epochs} epochs, so the first "
            f"must lie above 0 and below {self.epochs}",
        )


def config_to_json(config: Any) -> dict[str, Any]:
    """A config as plain JSON data, the rule with its name."""
    data: dict[str, Any] = {"name": config.source or config.name} if isinstance(config, Rule) else {}
    for item in fields(config):
        value = getattr(config, item.name)
        plain = list(value) if isinstance(value, tuple) else value
        data[item.name] = config_to_json(value) if is_dataclass(value) else plain
    return data


def config_from_json(data: dict[str, Any]) -> RunConfig:
    """The RunConfig that ``config_to_json`` wrote. Raises ConfigError naming the field that is wrong."""
    parts: dict[str, Any] = {}
    types = {
        "model": ModelConfig,
        "data": DataConfig,
        "optim": OptimConfig,
        "probe": ProbeConfig,
        "seeds": Seeds,
    }
    for name, value in data.items():
        if name == "rule":
            fields_ = {k: v for k, v in value.items() if k != "name"}
            parts[name] = build(find_rule(value["name"]), fields_, "rule.")
        elif name in types:
            parts[name] = build(types[name], value, f"{name}.")
        else:
            parts[name] = value
    return build(RunConfig, parts, "")
