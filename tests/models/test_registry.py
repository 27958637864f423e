"""Models by name: shapes and parameter names, custom models, and settings that do not apply to a model."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from nowt.core.errors import ConfigError
from nowt.models.batch_norm import GroupedBatchNorm2d
from nowt.models.registry import MODELS
from tests.support.built_models import CUSTOM_MODELS, GRAY_SHAPE, build, count_parameters


def config_error(name: str, **fields: Any) -> str:
    """Return the error message of building the model, which must be one line."""
    with pytest.raises(ConfigError) as caught:
        build(name, **fields)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_imagenet_resnets_have_the_parameter_names_and_shapes_of_torchvision(name: str) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(num_classes=10)
    ours = build(name, zero_init_gamma=True, norm_group=4)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert type(ours) is type(theirs)


@pytest.mark.parametrize(("name", "millions"), [("resnet20", 0.27), ("resnet56", 0.85)])
def test_cifar_resnets_have_the_parameter_counts_of_he_et_al(name: str, millions: float) -> None:
    assert count_parameters(build(name)) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(("name", "layers"), [("resnet20", 20), ("resnet56", 56), ("tiny_resnet", 8)])
def test_small_resnets_have_as_many_layers_as_their_names_say_and_two_projections(name: str, layers: int) -> None:
    weighted = [n for n, m in build(name).named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    shortcuts = [n for n in weighted if "downsample" in n.split(".")]
    assert shortcuts == ["layer2.0.downsample.0", "layer3.0.downsample.0"]
    assert len(weighted) - len(shortcuts) == layers


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20", "tiny_resnet"])
@pytest.mark.parametrize("size", [32, 64, 97])
@pytest.mark.parametrize("channels", [1, 3])
def test_resnets_accept_images_of_any_size(name: str, size: int, channels: int) -> None:
    model = build(name, (channels, size, size), classes=7)
    logits = model(torch.rand(2, channels, size, size))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


def test_every_parameter_of_a_model_receives_a_gradient() -> None:
    for name in ("resnet18", "resnet20", "tiny_resnet", "mlp"):
        model = build(name, GRAY_SHAPE, hidden=(20,) if name == "mlp" else ())
        model(torch.rand(4, *GRAY_SHAPE)).logsumexp(1).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters()), name


def test_mlp_computes_its_definition() -> None:
    model = build("mlp", (3, 4, 5), classes=6, hidden=(8, 7), activation="tanh")
    w = model.state_dict()
    assert list(w) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias"]
    x = torch.rand(2, 3, 4, 5)
    y = torch.tanh(x.flatten(1) @ w["fc1.weight"].T + w["fc1.bias"])
    y = torch.tanh(y @ w["fc2.weight"].T + w["fc2.bias"])
    torch.testing.assert_close(model(x), y @ w["fc3.weight"].T + w["fc3.bias"])
    torch.testing.assert_close(model(x.contiguous(memory_format=torch.channels_last)), model(x))


def test_mlp_has_the_layer_sizes_of_the_mnist_network_of_akrout_et_al() -> None:
    model = build("mlp", (1, 28, 28), hidden=(500,), activation="sigmoid")
    assert [p.shape for p in model.parameters()] == [(500, 784), (500,), (10, 500), (10,)]


@pytest.fixture
def custom(tmp_path: Path) -> str:
    """A file with custom models."""
    path = tmp_path / "custom.py"
    path.write_text(CUSTOM_MODELS)
    return str(path)


def test_a_custom_model_is_built_from_its_file(custom: str) -> None:
    model = build(f"{custom}:net", GRAY_SHAPE, norm_group=2)
    assert model(torch.rand(4, *GRAY_SHAPE)).shape == (4, 10)
    assert isinstance(model.norm, GroupedBatchNorm2d)
    weight = model.get_parameter("fc.weight")
    assert torch.equal(weight, build(f"{custom}:net", GRAY_SHAPE).get_parameter("fc.weight"))
    assert not torch.equal(weight, build(f"{custom}:net", GRAY_SHAPE, seed=1).get_parameter("fc.weight"))
    assert torch.equal(pickle.loads(pickle.dumps(model)).fc.weight, weight)


def test_a_custom_model_with_paper_weights_is_rejected(custom: str) -> None:
    assert "initializes its own weights" in config_error(f"{custom}:net", weights="paper")


def test_invalid_custom_models_are_rejected_in_one_line(custom: str) -> None:
    assert "custom.py defines no 'nett' (did you mean net?)" in config_error(f"{custom}:nett")
    assert ": expected FILE.py:NAME" in config_error(custom)
    assert "function(shape=(channels, height, width), classes=n)" in config_error(f"{custom}:wrong_arguments")
    assert "returned str: it must return a torch.nn.Module" in config_error(f"{custom}:no_module")
    assert "cannot group norm" in config_error(f"{custom}:odd_norm", norm_group=2)


def test_the_message_for_an_unknown_model_suggests_the_nearest() -> None:
    line = config_error("resnet81")
    assert "there is no model 'resnet81' (did you mean resnet18?)" in line
    assert all(name in line for name in MODELS)


def test_settings_that_do_not_apply_to_a_model_are_rejected() -> None:
    assert "such as 500" in config_error("mlp")
    assert "mlp has no batch norm" in config_error("mlp", hidden=(5,), norm_group=2)
    assert "mlp has no residual block" in config_error("mlp", hidden=(5,), zero_init_gamma=True)
