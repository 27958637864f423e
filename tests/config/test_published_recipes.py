"""The recipe mnist_mlp_authors trains as the published code's equations say, written here once more in NumPy."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nowt.config.placement import Placement
from nowt.config.published_recipes import AUTHORS_RULES, mnist_mlp_authors
from nowt.config.run_config import RunConfig
from nowt.core.seeding import seed_of
from nowt.data.datasets import open_data
from nowt.data.mnist import read
from nowt.layers.alignment import angle
from nowt.layers.attach import attach
from nowt.layers.rule_steps import RuleSteps
from nowt.models.initialization import initialize_as_dense_paper, initialize_layers
from nowt.models.mlp import Mlp
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_noise import draw_noise
from nowt.rules.moment import Moment
from nowt.rules.weight_mirror import WeightMirror
from nowt.training.state import TrainingState
from tests.support.synthetic_images import mnist

Array = NDArray[np.float64]

BATCH, HIDDEN = 16, 7


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def small_config(rule: str) -> RunConfig:
    """The recipe with 7 hidden units, batches of 16 and 2 mirror steps before learning, in float64."""
    config = mnist_mlp_authors(rule)
    optim = replace(config.optim, lr_factor_norms_and_biases=1 / BATCH)
    mirror = {"samples": BATCH, "warmup": 2} if rule == "wm" else {}
    return replace(
        config,
        model=replace(config.model, hidden=(HIDDEN,)),
        optim=optim,
        rule=replace(config.rule, **mirror),
        probe=replace(config.probe, samples=10),
        batch=BATCH,
        precision="float64",
    )


def initial_state(config: RunConfig, root: Path) -> TrainingState:
    """The state before the first step, on 60 training images of random pixels."""
    mnist(root / "MNIST/raw")
    placement = Placement(data=str(root), device="cpu")
    return TrainingState.create(config, placement, open_data(config.data, placement))


def arrays(training: TrainingState) -> dict[str, Array]:
    return {name: value.detach().numpy().copy() for name, value in training.model.state_dict().items()}


def authors_step(state: dict[str, Array], x: Array, y: NDArray[np.int64], lr: float, rule: str) -> dict[str, Array]:
    """One step of SGD on the sigmoid cross-entropy, summed over classes; the bias gradient is divided by N twice."""
    w1, b1, w2, b2 = (state[name] for name in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"))
    hidden = sigmoid(x @ w1.T + b1)
    delta2 = sigmoid(hidden @ w2.T + b2) - np.eye(10)[y]
    back = w2 if rule == "bp" else state["fc2.feedback"]
    delta1 = (delta2 @ back) * hidden * (1 - hidden)
    grad1, grad2 = delta1.T @ x / len(x), delta2.T @ hidden / len(x)
    after = state | {"fc1.weight": w1 - lr * grad1, "fc2.weight": w2 - lr * grad2}
    for name, bias, delta in (("fc1.bias", b1, delta1), ("fc2.bias", b2, delta2)):
        after[name] = bias - lr * delta.mean(0) / len(x)
    if rule == "kp":
        for name, grad in (("fc1.feedback", grad1), ("fc2.feedback", grad2)):
            after[name] = state[name] - lr * grad
    return after


@pytest.mark.parametrize(("rule", "lr"), [("bp", 0.2), ("fa", 0.2), ("wm", 0.05), ("kp", 0.3)])
def test_an_epoch_is_that_of_the_published_code(rule: str, lr: float, tmp_path: Path) -> None:
    training = initial_state(small_config(rule), tmp_path)
    training.before_learning()
    batches = list(training.remaining_batches())
    assert len(batches) == 60 // BATCH  # the last 12 images are left out
    for x, y in batches:
        expected = authors_step(arrays(training), x.flatten(1).numpy(), y.numpy(), lr, rule)
        training.train_step(x, y)
        found = arrays(training)
        for name in found:
            if not (rule == "wm" and name.endswith("feedback")):
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_all_training_images_come_in_the_order_of_the_file_in_each_epoch(tmp_path: Path) -> None:
    training = initial_state(small_config("bp"), tmp_path)
    placement = Placement(data=str(tmp_path))
    stored = read(training.config.data, placement, 28).train.pixels[:48] / np.float64(255)
    for _ in range(2):
        shown = torch.cat([x for x, _ in training.remaining_batches()])
        np.testing.assert_allclose(shown.numpy(), stored.reshape(shown.shape), rtol=1e-6)
        training.epoch += 1
    assert len(training.data.train) == 60 and len(training.data.val) == 6


def test_a_mirror_step_follows_every_training_step_and_is_that_of_the_published_code(tmp_path: Path) -> None:
    training = initial_state(small_config("wm"), tmp_path)
    training.before_learning()
    assert training.mirror_presentations == 2 * BATCH
    x, y = next(training.remaining_batches())
    before = arrays(training)
    training.train_step(x, y)
    assert training.mirror_presentations == 3 * BATCH
    after, largest = arrays(training), 0.0
    for layer in training.layers:
        noise = mirror_noise(layer, training.step)
        largest = max(largest, np.abs(noise).max())
        response = sigmoid(noise @ after[f"{layer.name}.weight"].T + after[f"{layer.name}.bias"])
        expected = before[f"{layer.name}.feedback"] + 0.01 * response.T @ noise
        np.testing.assert_allclose(after[f"{layer.name}.feedback"], expected, rtol=1e-9, atol=1e-12)
    assert 0.049 < largest < 0.05


def mirror_noise(layer: FeedbackLayer, step: int) -> Array:
    """The noise of the layer's mirror step after training step ``step``."""
    noise = layer.rule.mirror_noise()
    assert noise is not None
    stream = torch.Generator().manual_seed(seed_of(0, "mirror", layer.name, step))
    return draw_noise(layer.geometry, noise, layer.weight, stream).numpy()


def test_before_learning_the_mirror_reaches_the_angle_that_its_mean_response_leaves() -> None:
    """Σ x yᵀ holds the signal φ' N T σ² W, and noise of deviation σ φ √(N T), since sigmoids have mean φ = 1/2."""
    rule = next(rule for rule in AUTHORS_RULES if isinstance(rule, WeightMirror))
    model = Mlp((784, 40, 10), "sigmoid")
    initialize_layers(model, initialize_as_dense_paper, seed=0)
    layers = attach(model, rule, activation="sigmoid", quiet=True)
    RuleSteps(rule, layers).before_learning(Moment(0, seed=0))
    summed, sd = 128 * 468, 1 / math.sqrt(784 + 40)
    signal, noise = 0.25 * 0.01 * summed * rule.sigma**2 * sd, 0.5 * 0.01 * rule.sigma * math.sqrt(summed)
    expected = math.degrees(math.atan(math.hypot(noise, sd) / signal))
    assert angle(layers[0].feedback, layers[0].weight) == pytest.approx(expected, abs=1.0)


def test_w_b_and_biases_start_with_the_authors_distribution(tmp_path: Path) -> None:
    config = replace(mnist_mlp_authors("fa"), probe=replace(mnist_mlp_authors().probe, samples=10), batch=BATCH)
    found = arrays(initial_state(config, tmp_path))
    for name, units in (("fc1", 784 + 500), ("fc2", 500 + 10)):
        for part, tolerance in (("weight", 0.05), ("feedback", 0.05), ("bias", 0.6)):
            assert found[f"{name}.{part}"].std() == pytest.approx(units**-0.5, rel=tolerance)
    assert len(np.intersect1d(found["fc1.weight"], found["fc1.feedback"])) < 0.05 * found["fc1.weight"].size


def test_a_rule_by_name_has_the_authors_settings_and_a_rule_object_its_own() -> None:
    assert mnist_mlp_authors("wm").rule in AUTHORS_RULES and mnist_mlp_authors("wm").optim.lr == 0.05
    assert mnist_mlp_authors(WeightMirror()).rule == WeightMirror()
    assert mnist_mlp_authors("ss").optim.lr == 0.2
