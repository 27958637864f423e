"""Models with several inputs: a tuple of positional or a dictionary of keyword inputs, in ``attach`` and ``angles``."""

from collections import UserDict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt import FeedbackAlignment, attach
from nowt.layers.feedback import Angles
from tests.support.config_errors import config_error
from tests.support.nets import normal

A, B, Y = normal(4, 6), normal(4, 3, seed=1), torch.arange(4) % 2


class TwoInputs(nn.Module):
    """A network of two inputs whose output layer is defined first."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Linear(5, 2)
        self.norm = nn.BatchNorm1d(5)
        self.a, self.b = nn.Linear(6, 5), nn.Linear(3, 5)

    def forward(self, a: Tensor, b: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        y = self.a(a) if b is None else self.a(a) + self.b(b)
        found: Tensor = self.last(torch.relu(self.norm(y * scale)))
        return found


class OneBatch(TwoInputs):
    """Receives its inputs as one dictionary."""

    def forward(self, batch: Any) -> Tensor:  # type: ignore[override]
        return super().forward(batch["parts"][0], batch["parts"][1])


def measured(model: nn.Module, inputs: Any) -> dict[str, Angles]:
    feedback = attach(model, FeedbackAlignment(), seed=1, example=inputs)
    assert [(layer.name, layer.activation) for layer in feedback] == [("last", "linear"), ("a", "relu"), ("b", "relu")]
    return feedback.angles(inputs, Y)


FORMS = [(A, B), {"a": A, "b": B}, UserDict(b=B, a=A, scale=1.0)]


@pytest.mark.parametrize("inputs", FORMS, ids=lambda inputs: type(inputs).__name__)
def test_positional_and_keyword_inputs_give_the_same_angles(inputs: Any) -> None:
    found = measured(TwoInputs(), inputs)
    assert found == measured(OneBatch(), ({"parts": [A, B]},))
    assert found["last"].delta == 0.0 and found["a"].delta > 1 and found["b"].delta > 1
    assert not (A.requires_grad or B.requires_grad)


def test_the_rule_sees_the_gradients_of_a_step_with_several_inputs() -> None:
    model = TwoInputs()
    feedback = attach(model, FeedbackAlignment(), example=(A[:1], B[:1]))  # one sample, and batch norm needs two
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.b.weight.detach().clone()
    F.cross_entropy(model(A, b=B), Y).backward()
    feedback.step(optimizer)
    assert not torch.equal(model.b.weight, before)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([A, B], "{} is a list: it must be a tensor, a tuple of positional inputs or a dictionary of keyword inputs"),
        (
            A.numpy(),
            "{0} is a ndarray: it must be a tensor, a tuple of positional inputs or a dictionary of keyword inputs; "
            "convert it, as torch.as_tensor({0}, dtype=torch.float32)",
        ),
        ((), "{} (no inputs) does not fit TwoInputs.forward: missing a required argument: 'a'"),
        ((A, B, A), "{} (shapes (4, 6), (4, 3), (4, 6)) does not fit TwoInputs.forward: too many positional arguments"),
        ({"a": A, "c": B}, "{} (shapes a (4, 6), c (4, 3)) does not fit TwoInputs.forward: got an unexpected keyword"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_inputs_of_another_form_are_refused_in_one_line(inputs: Any, reason: str) -> None:
    model = TwoInputs()
    line = config_error(lambda: attach(model, FeedbackAlignment(), example=inputs))
    assert line.startswith(reason.format("example"))
    feedback = attach(model, FeedbackAlignment())
    assert config_error(lambda: feedback.angles(inputs, Y)).startswith(reason.format("x"))


def test_an_example_of_several_inputs_that_do_not_fit_is_named_by_its_shapes() -> None:
    with pytest.raises(ValueError, match=r"^an example of shapes a \(4, 6\), b \(4, 6\) does not fit the model: mat1"):
        attach(TwoInputs(), FeedbackAlignment(), example={"a": A, "b": A})


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        ((A.double(), B), "(4, 6), (4, 3)) does not fit the model: it is torch.float64 and the model torch.float32: "),
        ((A.byte(), B), "(4, 6), (4, 3)) does not fit the model: it is torch.uint8 and the model torch.float32: "),
        (
            (A.to("meta"), B),
            "(4, 6), (4, 3)) does not fit the model: it is on meta and the model on cpu: move both to ",
        ),
        ((A, B.numpy()), "(4, 6), ndarray) does not fit the model: it contains a ndarray: convert it by torch.as_tens"),
    ],
    ids=["double", "byte", "device", "array"],
)
def test_inputs_of_another_dtype_or_device_are_named_with_what_to_do(inputs: Any, line: str) -> None:
    with pytest.raises(ValueError) as caught:
        attach(TwoInputs(), FeedbackAlignment(), example=inputs)
    assert str(caught.value).replace(" does", ") does", 1).startswith(f"an example of shapes {line}")
    feedback = attach(TwoInputs(), FeedbackAlignment())
    assert config_error(lambda: feedback.angles(inputs, Y)).startswith(f"x (shapes {line}")


def test_an_error_that_has_another_cause_is_not_explained_by_the_inputs() -> None:
    model = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 2))
    feedback = attach(model, FeedbackAlignment(), example=torch.zeros(2, dtype=torch.long))
    with pytest.raises(RuntimeError, match="target"):
        feedback.angles(torch.zeros(4, dtype=torch.long), Y.float())
