"""The sections of a RunConfig: model, data, optimizer and alignment probe. Frozen dataclasses, checked when built."""

from dataclasses import dataclass
from typing import Literal

from nowt.core.errors import require
from nowt.core.fields import check_fields, make_plain
from nowt.core.plugins import absolute_spec


@dataclass(frozen=True)
class ModelConfig:
    """The network and the initialization of its weights.

    Args:
        name: ``resnet18``, ``resnet34``, ``resnet50``, ``resnet101``, ``resnet152`` (torchvision), ``resnet20``,
            ``resnet56``, ``tiny_resnet`` (small images), ``mlp``, or ``FILE.py:FUNCTION`` for a custom model. Default
            ``tiny_resnet``.
        weights: Initialization of built-in models. ``"torchvision"`` (default): as torchvision's ResNets.
            ``"paper"``: as the networks of Akrout et al. (2019); for ResNets a truncated normal, and N(0, 0.01²) in the
            last layer.
        zero_init_gamma: Set γ of the last batch norm of each residual block to 0, so that a block starts as its
            shortcut. Default False.
        norm_group: Number of images over which batch norm takes its training statistics; at least 2; must divide
            ``batch`` and ``probe.samples``. Default None: the whole batch. Set it to train one run on several workers
            (default 32 in the ImageNet recipes).
        hidden: Sizes of the hidden layers; for ``mlp`` only, which needs at least one.
        activation: Nonlinearity between the layers: ``"relu"`` (default), ``"sigmoid"`` or ``"tanh"``; for ``mlp``
            only.

    Raises:
        ConfigError: If a value is out of range, or a field does not apply to the model.

    Reference:
        ``zero_init_gamma``: Goyal et al. (2017), "Accurate, large minibatch SGD", section 5.1.

    Example:
        >>> from nowt import ModelConfig
        >>> ModelConfig("mlp", hidden=(500,), activation="sigmoid").hidden
        (500,)
    """

    name: str = "tiny_resnet"
    weights: Literal["torchvision", "paper"] = "torchvision"
    zero_init_gamma: bool = False
    norm_group: int | None = None
    hidden: tuple[int, ...] = ()
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "model.")
        object.__setattr__(self, "name", absolute_spec(self.name))  # a frozen dataclass has no other way
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
    """The data set. The folder of its files is in ``Placement.data``.

    Args:
        name: ``digits`` (default) and ``synthetic`` are built in; ``mnist``, ``fashion_mnist``, ``cifar10``,
            ``imagenet`` and ``folder`` (one subfolder per class in ``train`` and ``val``) are read from a folder.
        size: Height and width of the network's input, in pixels; at least 4. Default None: that of the data set.
        augment: Augmentation of the training images. ``"none"`` (default). ``"shift"``: by up to size/8 pixels.
            ``"flip"``: horizontally, with probability 1/2. ``"shift_flip"``: both. ``"resized_crop"``: random area and
            aspect ratio, and flip; for ``folder`` and ``imagenet`` only.
        decoded_side: Decode each training image once, to the center square of this side in pixels, and take the crops
            of ``resized_crop`` from these squares; at least ``size``. They take 3 · side² bytes per image in the store
            and are shared by all processes of a machine. What lies outside of the squares is not trained on. Default
            None: decode the files for each crop.
        repeat: Times each training image is shown per epoch, each time with its own augmentation. Default 1.
        train_limit: Maximum number of training images: a choice with equally many images per class where
            possible, and at least one of each. Default None: all.
        score_limit: Maximum number of validation images, and of test images, chosen the same way. Default None: all.
        shuffle: Show the training images in a new order in each epoch. Default True. False: always in the order of the
            files, which in image folders is class by class.
        hold_out: Leave the validation images out of training. Default True. False: train on them as well; the
            validation error is then a training error, so only test errors count, and searches refuse it. It is for
            repeating published experiments without validation images.
        split: Which training images are held out for validation, and which ones ``train_limit`` chooses. ``"fixed"``
            (default): the same for all runs. ``"by_seed"``: a choice of its own for each seed of a run, and the same
            for all runs with one seed. The test images are the same in both cases.
        noise: Standard deviation of Gaussian pixel noise that is fixed for each image, for pixels in [0, 1]; for
            ``digits`` and ``synthetic`` only. Default 0.0.
        on_bad: What to do with an image file that is broken, or whose pixels have no stated conversion. ``"stop"``
            (default): raise DataError. ``"skip"``: leave it out and report it; for data read from image files. A file
            that cannot be read at all raises DataError.

    Raises:
        ConfigError: If a value is out of range, or a field does not apply to the data set.

    Example:
        >>> from nowt import DataConfig
        >>> DataConfig("digits", size=16, augment="shift", noise=0.3).augment
        'shift'
    """

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "folder", "imagenet", "synthetic"] = "digits"
    size: int | None = None
    augment: Literal["none", "flip", "shift", "shift_flip", "resized_crop"] = "none"
    decoded_side: int | None = None
    repeat: int = 1
    train_limit: int | None = None
    score_limit: int | None = None
    shuffle: bool = True
    hold_out: bool = True
    split: Literal["fixed", "by_seed"] = "fixed"
    noise: float = 0.0
    on_bad: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "data.")
        require(self.size is None or self.size >= 4, f"data.size is {self.size}: it must be at least 4 pixels")
        require(
            self.decoded_side is None or self.augment == "resized_crop",
            f"data.decoded_side is for data.augment resized_crop, not for {self.augment}: leave it out",
        )
        require(self.repeat >= 1, f"data.repeat is {self.repeat}: it must be at least 1")
        require(
            self.on_bad == "stop" or self.name in ("folder", "imagenet", "cifar10"),
            f"data.on_bad skip leaves out image files, and {self.name} has none: it is for folder, imagenet, cifar10",
        )
        for name in ("train_limit", "score_limit"):
            limit = getattr(self, name)
            require(limit is None or limit >= 1, f"data.{name} is {limit}: it must be at least 1, or none")
        require(
            self.split == "fixed" or self.hold_out or self.train_limit is not None,
            "data.split is by_seed, but all training images are used: set data.hold_out to True, set data.train_limit, "
            "or leave out data.split",
        )
        require(self.noise >= 0, f"data.noise is {self.noise}: it must be 0 or above")
        require(
            self.noise == 0 or self.name in ("digits", "synthetic"),
            f"data.noise is for digits and synthetic only, not for {self.name}: set data.noise to 0",
        )


@dataclass(frozen=True)
class OptimConfig:
    """The optimizer of W (and of B under ``kp``) and its learning-rate schedule.

    Args:
        name: ``"sgd"`` (default; weight decay is added to the gradient) or ``"adamw"`` (decoupled weight decay).
        lr: η, the largest learning rate of the schedule. Default 0.05; must be above 0. The shipped search spaces try
            0.005 to 0.5 on digits and 0.03 to 0.3 on ImageNet.
        momentum: μ of SGD, or β₁ of AdamW; in [0, 1). Default 0.9. The shipped search spaces try 0.5 to 0.97.
        nesterov: Use Nesterov momentum; for ``sgd`` with ``momentum`` above 0. Default False.
        beta2: β₂; for ``adamw`` only. Default 0.999.
        weight_decay: λ, weight decay coefficient; must be 0 or above. Default 1e-4. Under ``kp`` it also decides
            how fast W − B shrinks. The shipped search spaces try 1e-4 to 5e-2 on digits, 3e-5 to 3e-4 on ImageNet.
        decay_norms_and_biases: Apply weight decay to biases and batch-norm parameters, too. Default False.
        lr_factor_norms_and_biases: Factor of η for biases and batch-norm parameters, and so of their weight decay; must
            be above 0. Default 1.0.
        schedule: ``"cosine"`` (default): from ``lr`` to 0 between warm-up and the last epoch. ``"step"``: times
            ``gamma`` at every milestone. ``"constant"``.
        milestones: Epochs at which the learning rate falls; for ``step`` only, which needs at least one.
        gamma: Factor at each milestone; for ``step`` only. Default 0.1.
        warmup: Epochs over which the learning rate rises linearly from 0; at most ``epochs``. Default 0.0. The shipped
            search spaces try up to a fifth of the run.
        clip: Maximum norm of the gradient over all parameters of the model. B is not part of the norm; under ``kp`` it
            receives W's clipped gradient. Default None: no clipping.

    Raises:
        ConfigError: If a value is out of range, or a field does not apply to the optimizer or schedule.

    Example:
        >>> from nowt import OptimConfig
        >>> OptimConfig(lr=0.1, schedule="step", milestones=(30.0, 60.0)).gamma
        0.1
    """

    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    nesterov: bool = False
    beta2: float = 0.999
    weight_decay: float = 1e-4
    decay_norms_and_biases: bool = False
    lr_factor_norms_and_biases: float = 1.0
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    warmup: float = 0.0
    clip: float | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "optim.")
        require(self.lr > 0, f"optim.lr is {self.lr}: it must be above 0")
        require(0 <= self.momentum < 1, f"optim.momentum is {self.momentum}: it must lie in [0, 1)")
        require(self.weight_decay >= 0, f"optim.weight_decay is {self.weight_decay}: it must be 0 or above")
        factor = self.lr_factor_norms_and_biases
        require(factor > 0, f"optim.lr_factor_norms_and_biases is {factor}: it must be above 0")
        require(self.warmup >= 0, f"optim.warmup is {self.warmup}: it must be 0 or above, in epochs")
        require(self.clip is None or self.clip > 0, f"optim.clip is {self.clip}: it must be above 0, or none")
        require(not (self.nesterov and self.name != "sgd"), "optim.nesterov is for sgd only")
        require(not (self.nesterov and self.momentum == 0), "optim.nesterov needs optim.momentum above 0")
        require(self.name == "adamw" or self.beta2 == 0.999, "optim.beta2 is for adamw only")
        require(
            self.schedule != "step" or bool(self.milestones),
            "optim.schedule step needs optim.milestones, the epochs at which the learning rate falls, such as 30,60,80",
        )
        if self.schedule != "step":
            require(self.milestones == (), f"optim.milestones is for schedule step, not {self.schedule}")
            require(self.gamma == 0.1, f"optim.gamma is for schedule step, not {self.schedule}")

    def turnover(self, lr: float) -> float:
        """Return κ, the share of W's memory that weight decay removes per step at learning rate ``lr``: η λ/(1 − μ)
        under SGD, η λ under AdamW."""
        return lr * self.weight_decay / (1 - self.momentum if self.name == "sgd" else 1)


@dataclass(frozen=True)
class ProbeConfig:
    """How often, and on how many images, alignment with backprop is measured.

    Args:
        interval: Epochs between measurements; the last epoch is always measured. Default 1; 0: never.
        samples: Number of training images in the fixed probe batch; at least 2. Default 16.

    Raises:
        ConfigError: If a value is out of range.

    Example:
        >>> from nowt import ProbeConfig
        >>> ProbeConfig(interval=5).samples
        16
    """

    interval: int = 1
    samples: int = 16

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "probe.")
        require(self.interval >= 0, f"probe.interval is {self.interval}: it must be 0 (never) or above")
        require(self.samples >= 2, f"probe.samples is {self.samples}: it must be at least 2")
