"""Recipes that repeat published code, with its settings and its quirks."""

from collections.abc import Sequence

from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig, ProbeConfig, RunConfig
from nowt.rules.backprop import Backprop
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.registry import find_rule
from nowt.rules.weight_mirror import WeightMirror

# η of each rule in the authors' code; other rules get that of backprop
AUTHORS_LR = {"bp": 0.2, "fa": 0.2, "wm": 0.05, "kp": 0.3}

# The settings of the authors' code. B is drawn from W's distribution, N(0, 1/(n_in + n_out)), independently of W.
# Mirror mode: uniform noise on (-0.05, 0.05) passes W, the bias and the sigmoid, in the output layer as well; the
# products are summed over a batch of 128 and added to B at a rate of 0.01, without decay; as many mirror steps as
# training steps of one epoch come before learning, and one follows each training step.
AUTHORS_RULES: tuple[Rule, ...] = (
    FeedbackAlignment(start="normal"),
    WeightMirror(
        start="normal",
        eta=0.01,
        decay=0.0,
        noise="uniform",
        sigma=0.1 / 12**0.5,
        through="nonlinearity",
        bias=True,
        last_activation="sigmoid",
        normalize="none",
        samples=128,
        extent=0,
        interval=1,
        warmup=468,
    ),
    KolenPollack(start="normal"),
)


def mnist_mlp_authors(rule: Rule | str = Backprop()) -> RunConfig:  # noqa: B008 (it is frozen)
    """Train the dense network of the authors' code on MNIST, with their settings and quirks.

    The same as in their code: network, initialization, loss, learning rates, mirror mode; pixels from 0 to 1; all
    60,000 training images, always in the same order; the last, smaller batch is left out; the gradient of the biases is
    divided by the batch size twice, so their η is 128 times smaller; ``kp`` has no decay, so that W − B stays constant;
    the weight mirror has no decay either, so that B grows, and it does not subtract the mean of its responses.

    Not the same:

    - Random numbers: the authors draw W, B, biases and noise from one NumPy stream with seed 1111.
    - δ angles: theirs are those of the first training image; here they are means over 128 training images.
    - Precision: float32; NumPy's default is float64.
    - Length: 100 epochs of their 400.
    - The validation error is that of 5,000 training images (``data.hold_out``); the authors measure test errors only.

    Args:
        rule: The learning rule, used as given; or its name, which selects the settings in ``AUTHORS_RULES``. Default:
            backprop. η depends on the rule: 0.2 for ``bp`` and ``fa``, 0.05 for ``wm``, 0.3 for ``kp``, and 0.2 for
            rules that the authors' code does not have.

    Returns:
        A 784-500-10 network with sigmoids; sigmoid cross-entropy, summed over classes; plain SGD with constant η; 100
        epochs, batch 128.

    Raises:
        ConfigError: If there is no rule of that name.

    Reference:
        The code published with Akrout et al. (2019), "Deep learning without weight transport".

    Example:
        >>> from nowt import recipes
        >>> recipes.mnist_mlp_authors("kp").optim.lr
        0.3
    """
    rule = named_rule(rule, AUTHORS_RULES) if isinstance(rule, str) else rule
    return RunConfig(
        model=ModelConfig("mlp", weights="paper", hidden=(500,), activation="sigmoid"),
        data=DataConfig("mnist", shuffle=False, hold_out=False),
        rule=rule,
        optim=OptimConfig(
            lr=AUTHORS_LR.get(rule.name, 0.2),
            momentum=0.0,
            weight_decay=0.0,
            lr_factor_norms_and_biases=1 / 128,
            schedule="constant",
        ),
        probe=ProbeConfig(samples=128),
        loss="binary",
        epochs=100,
        batch=128,
    )


def named_rule(name: str, rules: Sequence[Rule]) -> Rule:
    """Return the rule of that name among ``rules``, or else one with its defaults. Raises ConfigError."""
    kind = find_rule(name)
    return next((rule for rule in rules if type(rule) is kind), kind())
