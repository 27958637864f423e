"""The null-space test of training steps that nowt did not write."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nowt.cli.main import main
from nowt.core.errors import ConfigError
from nowt.evaluation.certify.step_command import certify_step_command
from nowt.evaluation.certify.step_result import BOUND, StepCertificate
from nowt.evaluation.certify.training_step import certify_step

START = """
import torch
import torch.nn.functional as F
from torch import nn


class ThroughB(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, feedback):
        ctx.save_for_backward(x, feedback)
        return x @ weight.t()

    @staticmethod
    def backward(ctx, error):
        x, feedback = ctx.saved_tensors
        return error @ feedback, error.t() @ x, None


class Layer(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, bias=False)
        self.feedback = torch.randn(outputs, inputs)

    def forward(self, x):
        return ThroughB.apply(x, self.weight, self.feedback)


def net(kind):
    return nn.Sequential(kind(12, 20), nn.Tanh(), kind(20, 16), nn.Tanh(), kind(16, 3))


def trained(model, after=lambda: None, x=None, make=lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)):
    optimizer = make(model.parameters())
    x = torch.randn(4, 12) if x is None else x
    y = torch.arange(len(x)) % 3

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        after()

    return model, step

"""

HONEST = {
    "feedback alignment": "def build():\n    return trained(net(Layer))",
    "with batch norm, dropout and Adam": """
def build():
    layers = [Layer(12, 20), nn.BatchNorm1d(20), nn.Dropout(0.2), nn.Tanh(), Layer(20, 3)]
    return trained(nn.Sequential(*layers), make=lambda p: torch.optim.Adam(p, lr=0.01))
""",
    "direct feedback alignment by hand": """
def build():
    model = net(lambda i, o: nn.Linear(i, o, bias=False)).requires_grad_(False)
    feedback = [torch.randn(3, 20), torch.randn(3, 16)]
    x, y = torch.randn(4, 12), torch.arange(4) % 3

    def step():
        h1 = torch.tanh(model[0](x))
        h2 = torch.tanh(model[2](h1))
        error = (F.softmax(model[4](h2), 1) - F.one_hot(y, 3)) / 4
        model[4].weight -= 0.1 * error.t() @ h2
        model[2].weight -= 0.1 * (error @ feedback[1] * (1 - h2**2)).t() @ h1
        model[0].weight -= 0.1 * (error @ feedback[0] * (1 - h1**2)).t() @ x

    return model, step
""",
    "an object with a step, in float32 until nowt converts it": """
class Trainer:
    def __init__(self):
        self.model = net(Layer).float()
        for layer in self.model[::2]:
            layer.feedback = layer.feedback.double()
        self.step = trained(self.model)[1]


def build():
    trainer = Trainer()
    return trainer.model, trainer.step
""",
    "convolutions with groups": """
def build():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(8, 6, 3, padding="same", groups=2, bias=False), nn.Flatten())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(1, 8, 4, 4)

    def step():
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()

    return model, step
""",
}

DISHONEST = {
    "backprop": "def build():\n    return trained(net(nn.Linear))",
    "backprop beside a huge gradient": """
def build():
    model = net(nn.Linear)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.register_parameter("huge", nn.Parameter(torch.zeros(1)))
    x, y = torch.randn(2, 12), torch.arange(2)

    def step():
        optimizer.zero_grad()
        (F.cross_entropy(nn.Sequential.forward(model, x), y) + 1e18 * model.huge.sum()).backward()
        optimizer.step()

    return model, step
""",
    "W copied through NumPy": """
def build():
    model = net(Layer)

    def copy():
        for layer in model[::2]:
            layer.feedback.copy_(torch.from_numpy(layer.weight.detach().numpy().copy()))

    return trained(model, copy)
""",
    "W written into a buffer of bytes, and read one step later": """
import io, pickle


def build():
    model, file = net(Layer), io.BytesIO()

    def exchange():
        file.seek(0)
        for layer, old in zip(model[::2], pickle.loads(file.read() or pickle.dumps([])), strict=False):
            layer.feedback = torch.tensor(old)
        file.seek(0)
        file.write(pickle.dumps([layer.weight.tolist() for layer in model[::2]]))

    return trained(model, exchange)
""",
    "only the norm of one W": """
def build():
    model = net(Layer)
    return trained(model, lambda: model[2].feedback.mul_(model[2].weight.detach().norm() / 3))
""",
    "only the signs of W": """
def build():
    model = net(Layer)
    return trained(model, lambda: model[4].feedback.copysign_(model[4].weight.detach()))
""",
    "a learning rate that depends on W": """
def build():
    model = net(Layer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, step = trained(model, make=lambda p: optimizer)

    def scaled():
        optimizer.param_groups[0]["lr"] = 0.1 * float(model[2].weight.detach().std())
        step()

    return model, scaled
""",
}


@pytest.fixture
def examine(tmp_path: Path) -> Callable[[str], StepCertificate]:
    def examine(code: str) -> StepCertificate:
        (tmp_path / "mine.py").write_text(START + code, encoding="utf-8")
        return certify_step(f"{tmp_path / 'mine.py'}:build")

    return examine


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_step_passes_to_rounding(name: str, examine: Callable[[str], StepCertificate]) -> None:
    found = examine(HONEST[name])
    assert found.passed and found.largest < 1e-12 and found.compared
    assert found.verdict == "no read of W beyond forward activity found in this step"


@pytest.mark.parametrize("name", DISHONEST)
def test_a_step_that_reads_w_is_found(name: str, examine: Callable[[str], StepCertificate]) -> None:
    found = examine(DISHONEST[name])
    assert not found.passed and found.largest > 1e-3
    assert found.verdict.startswith("reads W: ")
    assert not any(layer.not_examined for layer in found.layers)


def test_the_verdict_names_a_gradient_and_layers_that_only_follow_are_not_blamed(
    examine: Callable[[str], StepCertificate],
) -> None:
    found = examine(DISHONEST["backprop"])
    assert found.verdict.startswith("reads W: gradient of ")
    assert [layer.change > BOUND for layer in found.layers] == [True, True, False]  # the last layer's error is its own
    assert "shows a read of W" in found.table() and found.steps == 1


def test_what_cannot_be_examined_is_named_with_its_reason(examine: Callable[[str], StepCertificate]) -> None:
    found = examine("""
class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.unused = Layer(12, 40), Layer(40, 20), Layer(4, 4)
        self.attention, self.last = nn.Conv1d(4, 4, 1), Layer(20, 3)
        nn.utils.parametrizations.weight_norm(self.last)

    def forward(self, x):
        y = torch.tanh(self.second(torch.tanh(self.first(x))))
        return self.last(y)


def build():
    return trained(Both(), x=torch.randn(15, 12))
""")
    reasons = {layer.name: layer.not_examined for layer in found.layers}
    assert "use a smaller batch" in reasons["first"] and reasons["second"] == ""
    assert reasons["unused"] == "the step does not call it"
    assert "weight norm" in reasons["last"] and "Conv1d is no linear layer" in reasons["attention"]
    assert found.verdict.endswith("in the layers that were examined; not examined: first, unused, last, attention")


REFUSED = {
    "def other():\n    pass": "defines no 'build'",
    "build = 3": "is no function: it must return (model, step)",
    "def build():\n    return net(Layer)": "returned Sequential: it must return (model, step)",
    "def build():\n    return net(Layer), 3": "returned (Sequential, int): it must return (model, step)",
    "def build():\n    raise KeyError('data')": "raised KeyError: 'data'",
    "def build():\n    return trained(net(Layer), after=lambda: 1 / 0)": "raised ZeroDivisionError: division by zero",
    "def build():\n    return trained(net(Layer), x=torch.randn(4, 12).float())": "convert the data by .double()",
    "def build():\n    return net(Layer), lambda: None": "the step changes nothing",
    "def build():\n    return trained(net(Layer), x=torch.randn(50, 12))": "no linear layer or convolution can be",
    "def build():\n    return trained(Layer(12, 3), x=torch.randn(50, 12))": "can be examined (the model: ",
    """
def build():
    model = nn.Sequential(nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 12))
    model[2].weight = model[0].weight
    return trained(model)
""": "0 and 2 share one W",
    """
import random
source = random.Random()


def build():
    model = net(Layer)
    return trained(model, lambda: model[0].feedback.add_(source.random()))
""": "two runs of the same step differ (change of 0.feedback)",
    """
class Normed(Layer):
    def forward(self, x):
        return super().forward(x) / self.weight.detach().norm()


def build():
    return trained(net(Normed))
""": "the output of layer 0 shows the change of W",
}


@pytest.mark.parametrize("code", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_tested_is_refused_in_one_line(code: str, examine: Callable[[str], StepCertificate]) -> None:
    with pytest.raises(ConfigError) as error:
        examine(code)
    assert REFUSED[code] in str(error.value) and "\n" not in str(error.value)


def test_the_command_writes_json_and_leaves_torch_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(START + DISHONEST["backprop"], encoding="utf-8")
    state = torch.random.get_rng_state()
    assert certify_step_command(str(tmp_path / "mine.py"), "build", tmp_path / "out") == 1
    assert torch.get_default_dtype() == torch.float32 and torch.equal(torch.random.get_rng_state(), state)
    data = json.loads((tmp_path / "out" / "step-mine_build.json").read_text(encoding="utf-8"))
    assert data["passed"] is False and data["verdict"].startswith("reads W: gradient of ")
    assert {layer["name"] for layer in data["layers"]} == {"0", "2", "4"}
    assert "Reads W: gradient of " in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["--step", "build"], ["x.py", "--step", "f", "--all"], ["x.py", "--step", "f", "--rule.a", "1"]]
)
def test_a_step_needs_a_module_and_no_fields_of_a_rule(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", *words]) == 2
    assert "--step needs a module and no rule's fields" in capsys.readouterr().err
