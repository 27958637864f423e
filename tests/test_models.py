"""The networks: shapes and names, how weights start, batch norm over groups, models of one's own."""

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from nowt.config import ConfigError, ModelConfig
from nowt.models import MODELS, GroupedBatchNorm2d, build_model
from scipy import stats
from torch import Tensor, nn

COLOUR = (3, 32, 32)
GREY = (1, 16, 16)


def build(
    name: str, shape: tuple[int, int, int] = COLOUR, classes: int = 10, seed: int = 0, **fields: Any
) -> nn.Module:
    return build_model(ModelConfig(name=name, **fields), shape, classes, seed)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def refusal(name: str, **fields: Any) -> str:
    """The one line with which a setting is refused."""
    with pytest.raises(ConfigError) as caught:
        build(name, **fields)
    line = str(caught.value)
    assert "\n" not in line
    return line


# shapes and names


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_torchvisions_resnets_keep_their_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(num_classes=10)
    ours = build(name, zero_init_gamma=True, norm_group=4)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert type(ours) is type(theirs)


@pytest.mark.parametrize(("name", "millions"), [("resnet20", 0.27), ("resnet56", 0.85)])
def test_cifar_resnets_have_the_size_that_he_et_al_give(name: str, millions: float) -> None:
    assert parameters(build(name)) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(("name", "layers"), [("resnet20", 20), ("resnet56", 56), ("tiny_resnet", 8)])
def test_small_resnets_count_their_layers_without_the_two_projections(name: str, layers: int) -> None:
    weighted = [n for n, m in build(name).named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    shortcuts = [n for n in weighted if "downsample" in n.split(".")]
    assert shortcuts == ["layer2.0.downsample.0", "layer3.0.downsample.0"]
    assert len(weighted) - len(shortcuts) == layers


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20", "tiny_resnet"])
@pytest.mark.parametrize("size", [32, 64, 97])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_size_give_one_logit_a_class(name: str, size: int, channels: int) -> None:
    model = build(name, (channels, size, size), classes=7)
    logits = model(torch.rand(2, channels, size, size))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


def test_every_model_learns_on_every_parameter() -> None:
    for name in ("resnet18", "resnet20", "tiny_resnet", "mlp"):
        model = build(name, GREY, hidden=(20,) if name == "mlp" else ())
        model(torch.rand(4, *GREY)).logsumexp(1).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters()), name


def test_mlp_is_the_formula_that_it_stands_for() -> None:
    model = build("mlp", (3, 4, 5), classes=6, hidden=(8, 7), activation="tanh")
    w = model.state_dict()
    assert list(w) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias"]
    x = torch.rand(2, 3, 4, 5)
    y = torch.tanh(x.flatten(1) @ w["fc1.weight"].T + w["fc1.bias"])
    y = torch.tanh(y @ w["fc2.weight"].T + w["fc2.bias"])
    torch.testing.assert_close(model(x), y @ w["fc3.weight"].T + w["fc3.bias"])
    torch.testing.assert_close(model(x.contiguous(memory_format=torch.channels_last)), model(x))


def test_the_sizes_of_the_authors_mnist_net() -> None:
    model = build("mlp", (1, 28, 28), hidden=(500,), activation="sigmoid")
    assert [p.shape for p in model.parameters()] == [(500, 784), (500,), (10, 500), (10,)]


# how weights start


@pytest.mark.parametrize("weights", ["torchvision", "paper"])
def test_a_layers_start_depends_on_seed_name_and_shape_alone(weights: str) -> None:
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


def test_the_same_seed_gives_the_same_network_and_another_seed_another() -> None:
    first, again, other = build("resnet20"), build("resnet20"), build("resnet20", seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    drawn = [n for n, m in first.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert not any(torch.equal(first.get_parameter(f"{n}.weight"), other.get_parameter(f"{n}.weight")) for n in drawn)


@pytest.mark.parametrize("name", ["resnet18", "tiny_resnet", "mlp", "own"])
def test_building_leaves_the_global_generator_alone(name: str, tmp_path: Path) -> None:
    if name == "own":
        (tmp_path / "own.py").write_text(OWN)
        name = f"{tmp_path}/own.py:net"
    before = torch.random.get_rng_state()
    build(name, hidden=(5,) if name == "mlp" else ())
    assert torch.equal(torch.random.get_rng_state(), before)


def follows(drawn: Tensor, distribution: object) -> bool:
    """Whether a Kolmogorov-Smirnov test lets the numbers pass for draws of ``distribution``."""
    return bool(stats.kstest(drawn.flatten().double().numpy(), distribution.cdf).pvalue > 0.01)  # type: ignore[attr-defined]


def sign_angle(weight: Tensor) -> float:
    """Degrees between W and sign(W)."""
    return math.degrees(math.acos(float(weight.abs().mean() / weight.square().mean().sqrt())))


def test_torchvisions_start() -> None:
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


def test_the_papers_start() -> None:
    model = build("resnet18", classes=1000, weights="paper")
    conv = model.get_parameter("layer3.0.conv1.weight").detach()
    fan_in = 128 * 9
    sd_before_the_cut = 1 / math.sqrt(fan_in) / 0.87962566
    assert float(conv.abs().max()) <= 2 * sd_before_the_cut
    assert float(conv.var()) * fan_in == pytest.approx(1, abs=0.01)
    assert follows(conv, stats.truncnorm(-2, 2, scale=sd_before_the_cut))
    assert sign_angle(conv) == pytest.approx(34.74, abs=0.1)
    assert follows(model.get_parameter("fc.weight").detach(), stats.norm(scale=0.01))
    assert not model.get_parameter("fc.bias").any()


def test_the_papers_start_of_dense_nets() -> None:
    model = build("mlp", (1, 28, 28), hidden=(500,), activation="sigmoid", weights="paper")
    assert follows(model.get_parameter("fc1.weight").detach(), stats.norm(scale=math.sqrt(1 / (784 + 500))))
    assert follows(model.get_parameter("fc2.weight").detach(), stats.norm(scale=math.sqrt(1 / (500 + 10))))
    assert follows(model.get_parameter("fc1.bias").detach(), stats.norm(scale=math.sqrt(1 / (784 + 500))))


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 8), ("resnet50", 16), ("resnet20", 9), ("tiny_resnet", 3)])
def test_zero_init_gamma_zeroes_the_last_norm_of_every_block_and_nothing_else(name: str, blocks: int) -> None:
    last = "bn3.weight" if name == "resnet50" else "bn2.weight"
    norms = {k: v for k, v in build(name, zero_init_gamma=True).state_dict().items() if v.dim() == 1 and k != "fc.bias"}
    gammas = {k: v for k, v in norms.items() if k.endswith("weight")}
    zero = {k for k, v in gammas.items() if not v.any()}
    assert zero == {k for k in gammas if k.startswith("layer") and k.endswith(last)}
    assert len(zero) == blocks
    assert all((v == 1).all() for k, v in gammas.items() if k not in zero)


def test_with_zero_gamma_a_block_is_its_shortcut() -> None:
    block = build("tiny_resnet", zero_init_gamma=True).get_submodule("layer1.0")
    x = torch.rand(4, 16, 8, 8)
    assert torch.equal(block(x), x)


# batch norm over groups


def grouped(group: int, channels: int = 3) -> GroupedBatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
    nn.init.uniform_(norm.bias, generator=torch.Generator().manual_seed(2))
    norm.__class__ = GroupedBatchNorm2d
    assert isinstance(norm, GroupedBatchNorm2d)
    norm.group = group
    return norm


def pictures(count: int, channels: int = 3, seed: int = 0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, 5, 4, generator=stream) * 2 + torch.arange(count).view(-1, 1, 1, 1)


def test_grouped_batch_norm_against_its_definition_group_by_group() -> None:
    norm, x = grouped(4), pictures(12)
    y = norm(x)
    means, variances = [], []
    for start in range(0, 12, 4):
        part = x[start : start + 4]
        mean, var = part.mean((0, 2, 3), keepdim=True), part.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = norm.weight.view(1, -1, 1, 1), norm.bias.view(1, -1, 1, 1)
        expected = (part - mean) / (var + norm.eps).sqrt() * scale + shift
        torch.testing.assert_close(y[start : start + 4], expected)
        means.append(part.mean((0, 2, 3)))
        variances.append(part.var((0, 2, 3), correction=1))
    torch.testing.assert_close(norm.running_mean, 0.1 * torch.stack(means).mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * torch.stack(variances).mean(0))
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_batch_of_one_group_is_plain_batch_norm_bit_for_bit(layout: torch.memory_format) -> None:
    one, x = grouped(6), pictures(6).contiguous(memory_format=layout)
    plain = nn.BatchNorm2d(3)
    plain.load_state_dict(one.state_dict())
    assert torch.equal(one(x), plain(x))
    for name, value in plain.state_dict().items():
        assert torch.equal(one.state_dict()[name], value)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_batch_of_several_groups_is_several_workers_with_a_group_each(layout: torch.memory_format) -> None:
    x = pictures(12).contiguous(memory_format=layout).requires_grad_()
    alone, workers = grouped(4), [grouped(4) for _ in range(3)]
    y = torch.cat([norm(part) for norm, part in zip(workers, x.chunk(3), strict=True)])
    assert torch.equal(alone(x), y)
    assert alone(x).is_contiguous(memory_format=layout)
    (expected,) = torch.autograd.grad(y.square().sum(), x)
    (found,) = torch.autograd.grad(alone(x).square().sum(), x)
    assert torch.equal(found, expected)


def test_the_workers_mean_running_statistics_are_those_of_one_worker_over_many_steps() -> None:
    alone, workers = grouped(4), [grouped(4) for _ in range(3)]
    for step in range(5):
        x = pictures(12, seed=step)
        alone(x)
        for norm, part in zip(workers, x.chunk(3), strict=True):
            norm(part)
    for name in ("running_mean", "running_var"):
        mean = torch.stack([norm.get_buffer(name) for norm in workers]).mean(0)
        torch.testing.assert_close(alone.get_buffer(name), mean)
    assert alone.num_batches_tracked == workers[0].num_batches_tracked == 5


def test_evaluation_uses_the_running_statistics_for_any_batch() -> None:
    norm = grouped(4)
    norm(pictures(12))
    plain = nn.BatchNorm2d(3)
    plain.load_state_dict(norm.state_dict())
    x = pictures(5, seed=9)
    assert torch.equal(norm.eval()(x), plain.eval()(x))


def test_a_batch_that_cannot_be_grouped_is_refused_in_one_line() -> None:
    for count in (3, 6):
        with pytest.raises(ValueError, match=f"a batch of {count} cannot be split into groups of 4") as caught:
            grouped(4)(pictures(count))
        assert "\n" not in str(caught.value)


def test_grouped_models_can_be_copied_pickled_and_saved() -> None:
    model, x = build("tiny_resnet", GREY, norm_group=2), torch.rand(4, *GREY)
    fresh = build("tiny_resnet", GREY, norm_group=2, seed=5)
    fresh.load_state_dict(model.state_dict())
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fresh]
    expected = model(x)
    assert all(torch.equal(twin(x), expected) for twin in twins)


def test_grouped_models_compile_without_graph_breaks() -> None:
    model, x = build("tiny_resnet", GREY, norm_group=2), torch.rand(4, *GREY)
    twin = copy.deepcopy(model)
    traced = torch.compile(twin, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(traced(x), model(x))
    for name, value in model.named_buffers():
        torch.testing.assert_close(twin.get_buffer(name), value)


def test_grouped_models_run_under_autocast_with_statistics_in_float32() -> None:
    model = build("tiny_resnet", GREY, norm_group=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(torch.rand(4, *GREY))
    logits.float().sum().backward()
    assert logits.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
    assert all(b.dtype in (torch.float32, torch.int64) for b in model.buffers())


# models of one's own

OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, classes, norm):
        super().__init__()
        self.norm = norm
        self.fc = nn.Linear(inputs, classes)
    def forward(self, x):
        return self.fc(self.norm(x).flatten(1))

def net(shape, classes):
    return Net(shape[0] * shape[1] * shape[2], classes, nn.BatchNorm2d(shape[0]))

def odd_norm(shape, classes):
    return Net(shape[0] * shape[1] * shape[2], classes, nn.BatchNorm2d(shape[0], momentum=None))

def wrong_arguments(pixels):
    return nn.Linear(pixels, 1)

def no_module(shape, classes):
    return "a network"
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return str(path)


def test_a_model_of_ones_own_is_built_from_its_file(own: str) -> None:
    model = build(f"{own}:net", GREY, norm_group=2)
    assert model(torch.rand(4, *GREY)).shape == (4, 10)
    assert isinstance(model.norm, GroupedBatchNorm2d)
    weight = model.get_parameter("fc.weight")
    assert torch.equal(weight, build(f"{own}:net", GREY).get_parameter("fc.weight"))
    assert not torch.equal(weight, build(f"{own}:net", GREY, seed=1).get_parameter("fc.weight"))
    assert torch.equal(pickle.loads(pickle.dumps(model)).fc.weight, weight)


def test_a_model_of_ones_own_in_the_papers_weights_is_refused(own: str) -> None:
    assert "draws its own weights" in refusal(f"{own}:net", weights="paper")


def test_bad_models_of_ones_own_are_refused_in_one_line(own: str) -> None:
    assert "own.py defines no 'nett' (did you mean net?)" in refusal(f"{own}:nett")
    assert "names nothing to use: give FILE.py:NAME" in refusal(own)
    assert "function(shape=(channels, height, width), classes=n)" in refusal(f"{own}:wrong_arguments")
    assert "returned str: it must return a torch.nn.Module" in refusal(f"{own}:no_module")
    assert "cannot group norm" in refusal(f"{own}:odd_norm", norm_group=2)


# settings that a model cannot follow


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    line = refusal("resnet81")
    assert "there is no model 'resnet81' (did you mean resnet18?)" in line
    assert all(name in line for name in MODELS)


def test_settings_a_model_cannot_follow_are_refused() -> None:
    assert "e.g. --model.hidden 500" in refusal("mlp")
    assert "mlp has no batch norm" in refusal("mlp", hidden=(5,), norm_group=2)
    assert "mlp has no residual block" in refusal("mlp", hidden=(5,), zero_init_gamma=True)
