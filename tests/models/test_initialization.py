"""Initialization of weights: a function of seed, layer name and shape, as in torchvision and in the paper."""

import math
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from tests.support.built_models import CUSTOM_MODELS, build


@pytest.mark.parametrize("weights", ["torchvision", "paper"])
def test_the_initialization_of_a_layer_depends_only_on_seed_name_and_shape(weights: str) -> None:
    pairs = [
        (build("resnet18", weights=weights), build("resnet34", classes=7, weights=weights)),
        (build("resnet20", weights=weights), build("tiny_resnet", (3, 8, 8), classes=3, weights=weights)),
        (build("mlp", hidden=(50,), weights=weights), build("mlp", hidden=(50, 20), weights=weights)),
    ]
    for one, other in pairs:
        mine, theirs = one.state_dict(), other.state_dict()
        same = [k for k in mine if k in theirs and mine[k].shape == theirs[k].shape]
        assert any(k.endswith("weight") for k in same)
        assert all(torch.equal(mine[k], theirs[k]) for k in same)


def test_networks_are_the_same_for_the_same_seed_and_differ_between_seeds() -> None:
    first, again, other = build("resnet20"), build("resnet20"), build("resnet20", seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    drawn = [n for n, m in first.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert not any(torch.equal(first.get_parameter(f"{n}.weight"), other.get_parameter(f"{n}.weight")) for n in drawn)


@pytest.mark.parametrize("name", ["resnet18", "tiny_resnet", "mlp", "custom"])
def test_building_a_model_does_not_change_the_global_generator(name: str, tmp_path: Path) -> None:
    if name == "custom":
        (tmp_path / "custom.py").write_text(CUSTOM_MODELS)
        name = f"{tmp_path}/custom.py:net"
    before = torch.random.get_rng_state()
    build(name, hidden=(5,) if name == "mlp" else ())
    assert torch.equal(torch.random.get_rng_state(), before)


def follows(drawn: Tensor, distribution: object) -> bool:
    """Whether a Kolmogorov-Smirnov test does not reject that the values follow ``distribution``."""
    return bool(stats.kstest(drawn.flatten().double().numpy(), distribution.cdf).pvalue > 0.01)  # type: ignore[attr-defined]


def sign_angle(weight: Tensor) -> float:
    """Return the angle between W and sign(W), in degrees."""
    return math.degrees(math.acos(float(weight.abs().mean() / weight.square().mean().sqrt())))


def test_torchvision_initialization() -> None:
    model = build("resnet18")
    conv = model.get_parameter("layer3.0.conv1.weight").detach()  # 256 × 128 × 3 × 3
    assert follows(conv, stats.norm(scale=math.sqrt(2 / (256 * 9))))
    assert sign_angle(conv) == pytest.approx(37.07, abs=0.1)
    fc = model.get_parameter("fc.weight").detach()
    bound = 1 / math.sqrt(512)
    assert follows(fc, stats.uniform(-bound, 2 * bound))
    bias = build("mlp", hidden=(2000,)).get_parameter("fc1.bias").detach()
    bound = 1 / math.sqrt(3 * 32 * 32)
    assert follows(bias, stats.uniform(-bound, 2 * bound))


def test_paper_initialization_of_resnets() -> None:
    model = build("resnet18", classes=1000, weights="paper")
    conv = model.get_parameter("layer3.0.conv1.weight").detach()
    fan_in = 128 * 9
    sd_before_truncation = 1 / math.sqrt(fan_in) / 0.87962566
    assert float(conv.abs().max()) <= 2 * sd_before_truncation
    assert float(conv.var()) * fan_in == pytest.approx(1, abs=0.01)
    assert follows(conv, stats.truncnorm(-2, 2, scale=sd_before_truncation))
    assert sign_angle(conv) == pytest.approx(34.74, abs=0.1)
    assert follows(model.get_parameter("fc.weight").detach(), stats.norm(scale=0.01))
    assert not model.get_parameter("fc.bias").any()


def test_paper_initialization_of_dense_networks() -> None:
    model = build("mlp", (1, 28, 28), hidden=(500,), activation="sigmoid", weights="paper")
    assert follows(model.get_parameter("fc1.weight").detach(), stats.norm(scale=math.sqrt(1 / (784 + 500))))
    assert follows(model.get_parameter("fc2.weight").detach(), stats.norm(scale=math.sqrt(1 / (500 + 10))))
    assert follows(model.get_parameter("fc1.bias").detach(), stats.norm(scale=math.sqrt(1 / (784 + 500))))


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 8), ("resnet50", 16), ("resnet20", 9), ("tiny_resnet", 3)])
def test_zero_init_gamma_sets_the_last_gamma_of_every_block_to_0_and_no_other(name: str, blocks: int) -> None:
    last = "bn3.weight" if name == "resnet50" else "bn2.weight"
    norms = {k: v for k, v in build(name, zero_init_gamma=True).state_dict().items() if v.dim() == 1 and k != "fc.bias"}
    gammas = {k: v for k, v in norms.items() if k.endswith("weight")}
    zero = {k for k, v in gammas.items() if not v.any()}
    assert zero == {k for k in gammas if k.startswith("layer") and k.endswith(last)}
    assert len(zero) == blocks
    assert all((v == 1).all() for k, v in gammas.items() if k not in zero)


def test_with_zero_init_gamma_a_block_equals_its_shortcut() -> None:
    block = build("tiny_resnet", zero_init_gamma=True).get_submodule("layer1.0")
    x = torch.rand(4, 16, 8, 8)
    assert torch.equal(block(x), x)
