"""The network of a run: models that compute weights, checkpoint parts, or return something else than scores."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from nowt.config.placement import Placement
from nowt.config.recipes import digits, shrink_config
from nowt.config.run_config import ModelConfig, RunConfig
from nowt.core.errors import ConfigError
from nowt.execution.preparation import inspect_data
from nowt.layers.alignment import measure_alignment
from nowt.layers.attach import attach
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule
from nowt.training.loop import train
from nowt.training.network import count_training_flops
from tests.support.nets import normal

CPU = Placement(device="cpu")

MODELS = """
from collections import namedtuple
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

Scores = namedtuple("Scores", "logits features")

class Changed(nn.Module):
    def __init__(self, body, change):
        super().__init__()
        self.body, self.change = body, change
    def forward(self, x):
        return self.change(self.body(x.flatten(1)), self.training)

def pair(shape, classes):
    return Changed(nn.Linear(64, classes), lambda y, training: (y, y[:, :1]))

def named(shape, classes):
    return Changed(nn.Linear(64, classes), lambda y, training: Scores(y, y.mean(1)) if training else y)

def mapping(shape, classes):
    return Changed(nn.Linear(64, classes), lambda y, training: {"logits": y})

def one(shape, classes):
    return Changed(nn.Linear(64, 1), lambda y, training: y)

def more(shape, classes):
    return Changed(nn.Linear(64, 100), lambda y, training: y)

def flat(shape, classes):
    return nn.Sequential(nn.Linear(64, classes))

class Queries(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.first, self.queries = nn.Linear(64, 8), nn.Parameter(torch.randn(6, 8))
        self.norm, self.last = nn.LayerNorm(8), nn.Linear(8, classes)
    def forward(self, x):
        queries = self.norm(self.queries)
        return self.last(self.first(x.flatten(1)) @ queries.t() @ queries / 8)

def queries(shape, classes):
    return Queries(classes)

def parametrized(shape, classes):
    hidden = nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()
    model = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(16, classes))
    nn.utils.parametrizations.weight_norm(model[3])
    return model

class Checkpointed(nn.Module):
    def __init__(self, classes, reentrant):
        super().__init__()
        self.first, self.last, self.reentrant = nn.Linear(64, 16), nn.Linear(16, classes), reentrant
        self.middle = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU())
    def forward(self, x):
        y = torch.relu(self.first(x.flatten(1)))
        return self.last(checkpoint(self.middle, y, use_reentrant=self.reentrant))

def reentrant(shape, classes):
    return Checkpointed(classes, True)

def checkpointed(shape, classes):
    return Checkpointed(classes, False)

def lazy(shape, classes):
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))

def zero_head(shape, classes):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, classes))
    nn.init.zeros_(model[3].weight)
    return model
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "models.py"
    path.write_text(MODELS)
    return path


def config(models: Path, name: str, rule: Rule | None = None) -> RunConfig:
    short = shrink_config(digits(rule or find_rule("bp")()), epochs=1, images=128)
    return replace(short, model=ModelConfig(f"{models}:{name}"), data=replace(short.data, size=8))


@pytest.mark.parametrize(
    ("name", "returned"),
    [
        ("pair", "a tuple (0 (2, 10), 1 (2, 1))"),
        ("named", "a Scores (logits (2, 10), features (2,))"),
        ("mapping", "a dict (logits (2, 10))"),
        ("one", "a tensor of shape (2, 1)"),
        ("more", "a tensor of shape (2, 100)"),
    ],
)
def test_a_model_that_returns_no_score_per_class_is_rejected_before_anything_runs(
    models: Path, name: str, returned: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        inspect_data(config(models, name), CPU)
    assert str(caught.value) == (
        f"model {models}:{name} returns {returned} for 2 images of 10 classes: it must return one tensor of shape "
        "(2, 10), with a score for each class, in train mode and in eval mode"
    )


@pytest.mark.parametrize("name", ["pair", "named", "one"])
def test_train_rejects_a_model_that_returns_no_score_per_class(models: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"it must return one tensor of shape \(\d+, 10\)"):
        next(train(config(models, name), CPU))


def test_a_model_that_does_not_fit_the_images_is_rejected_before_anything_runs(models: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^model .*flat: an example of shape \(2, 1, 8, 8\) does not fit the model: "
    ):
        inspect_data(config(models, "flat"), CPU)


def test_a_rule_that_does_not_work_on_the_model_is_rejected_before_anything_runs(models: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model .*zero_head: all weights of layer 3 start at 0, so "):
        inspect_data(config(models, "zero_head"), CPU, [find_rule("fa")()])
    assert inspect_data(config(models, "zero_head"), CPU)["not_replaced"] == []


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.filterwarnings("ignore:.*requires_grad=True:UserWarning")
@pytest.mark.parametrize("rule", ["bp", "fa", "kp"])
@pytest.mark.parametrize("name", ["queries", "parametrized", "reentrant", "checkpointed", "lazy"])
def test_models_with_queries_parametrizations_checkpoints_and_lazy_layers_train(
    models: Path, name: str, rule: str
) -> None:
    run = config(models, name, find_rule(rule)())
    inspect_data(run, CPU)
    first, last = train(run, CPU)
    assert last.train_loss < 2.5 and last.flops > 0
    assert [line.name for line in first.layers] == [line.name for line in last.layers]
    again = list(train(run, CPU))
    assert again[-1].val_loss == last.val_loss


class Block(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.first, self.last = how, nn.Linear(6, 8), nn.Linear(8, 3)
        self.middle = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x))
        y = self.middle(y) if self.how == "plain" else checkpoint(self.middle, y, use_reentrant=self.how == "reentrant")
        found: Tensor = self.last(y)
        return found


def built(how: str, rule: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model = Block(how)
    return model, attach(model, find_rule(rule)(), example=normal(8, 6))


@pytest.mark.filterwarnings("ignore:.*requires_grad=True:UserWarning")
@pytest.mark.parametrize("how", ["reentrant", "not reentrant"])
def test_a_checkpointed_model_has_the_alignment_and_flops_of_the_plain_one_and_does_not_change(how: str) -> None:
    x, y = normal(8, 6), torch.arange(8) % 3
    flops, lines = {}, {}
    for kind in ("plain", how):
        model, layers = built(kind, "fa")
        before = copy.deepcopy(model.state_dict())
        torch.manual_seed(5)
        lines[kind] = measure_alignment(model, layers, x, y, F.cross_entropy)
        flops[kind] = count_training_flops(model, x, y, RunConfig(), classes=3)
        assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
        assert all(parameter.grad is None for parameter in model.parameters())
    assert lines[how] == lines["plain"]
    assert flops[how] > flops["plain"]  # the checkpointed part runs twice


@pytest.mark.filterwarnings("ignore:.*requires_grad=True:UserWarning")
def test_counting_flops_and_measuring_alignment_keep_gradients_that_are_there() -> None:
    model, layers = built("reentrant", "kp")
    x, y = normal(8, 6), torch.arange(8) % 3
    F.cross_entropy(model(x), y).backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    measure_alignment(model, layers, x, y, F.cross_entropy)
    count_training_flops(model, x, y, RunConfig(), classes=3)
    assert all(torch.equal(model.get_parameter(name).grad, gradient) for name, gradient in before.items())  # type: ignore[arg-type]


def test_a_parametrized_model_counts_its_flops() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    plain = count_training_flops(copy.deepcopy(model), normal(8, 6), torch.arange(8) % 3, RunConfig(), classes=3)
    parametrizations.weight_norm(model[0])
    assert count_training_flops(model, normal(8, 6), torch.arange(8) % 3, RunConfig(), classes=3) == plain
