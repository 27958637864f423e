"""A rule whose class does not fit the interface is refused in one line, before anything is trained."""

from dataclasses import dataclass, make_dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn

from nowt import ConfigError, DrawnFeedback, FeedbackAlignment, LayerView, Rule, attach
from nowt.config.recipes import digits, shrink_config
from tests.support.nets import dense_net, normal, train_step


def rule_with(base: type[Rule] = DrawnFeedback, **members: Any) -> Rule:
    """Return a rule whose class has these members."""
    kind = make_dataclass("Own", [], bases=(base,), frozen=True, namespace={"name": "own", **members})
    return kind()  # type: ignore[no-any-return]


def refusal(rule: Rule) -> str:
    with pytest.raises(ConfigError) as caught:
        attach(nn.Sequential(nn.Linear(4, 3)), rule)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({"signals": ("weights",)}, "rule own declares the signal 'weights': signals are input, preactivation, error,"),
        ({"signals": ("input",)}, "rule own declares the signal 'input' and does not use it: add observe()"),
        ({"observe": lambda self, layer, x, y: None}, "rule own has observe(): add 'input' or 'preactivation' to its"),
        (
            {"observe_gradient": lambda self, layer, gradient, lr, weight_decay: None},
            "rule own has observe_gradient(): add 'gradient' to its signals",
        ),
        ({"update": "with_weight"}, "rule own updates B with W: add 'gradient' to its signals"),
        ({"signals": ("mirror",)}, "rule own must have both the signal 'mirror' and a mirror_noise()"),
        ({"propagate": lambda self, layer, x: x}, "rule own has propagate() of an earlier interface"),
        ({"scalars": -1}, "rule own has scalars = -1: it must be a whole number from 0 to 3"),
        ({"scalars": 7}, "rule own has scalars = 7: it must be a whole number from 0 to 3"),
        ({"update": "with_weights"}, "rule own has update = 'with_weights': it must be '' or 'with_weight'"),
        ({"after_steps": lambda self, layer, step: None}, "rule own has after_steps, which nowt does not use. Did you"),
        ({"sendback": lambda self: None}, "rule own has sendback, which nowt does not use. Did you mean send_back?"),
        ({"rte": 0.5}, "rule own has rte, which nowt does not use. Did you mean rate? Otherwise rename it, such as to"),
        ({"forward": lambda self, layer, x: x}, "rule own has forward, which nowt does not call: W's forward pass and"),
        ({"signals": "error"}, "rule own declares signals 'error': they must be a tuple of words, such as ('error',)"),
        ({"rate": 0.5}, "rule own sets rate = 0.5: rate is a method, rate(self); see docs/adding-a-rule.md"),
        ({"learns_from": "mirror"}, "rule own sets learns_from, which follows from its signals"),
        (
            {"prepare": lambda self, layer, seed: None},
            "rule own defines prepare(self, layer, seed): nowt calls it as prepare(self, layer); see docs/adding-a",
        ),
        (
            {"after_step": lambda self, layers: 0},
            "rule own defines after_step(self, layers): nowt calls it as after_step(self, layer, step)",
        ),
    ],
)
def test_a_class_that_nowt_would_not_use_as_it_is_meant_is_refused(members: dict[str, Any], line: str) -> None:
    assert refusal(rule_with(**members)).startswith(line)


NO_B = "rule own has no B in layer 0: derive it from nowt.DrawnFeedback, which draws B, or"


def returns(shape: tuple[int, ...]) -> Any:
    return lambda self, layer, *signals: torch.zeros(shape)


@pytest.mark.parametrize(
    ("base", "members", "line"),
    [
        (Rule, {}, f"{NO_B} override send_back(); see docs/adding-a-rule.md"),
        (Rule, {"signals": ("sign",)}, f"{NO_B} register one in prepare() as feedback"),
        (
            Rule,
            {"signals": ("error", "gradient"), "update": "with_weight", "send_back": returns((2, 4))},
            f"{NO_B} register one in prepare() as feedback",
        ),
        (
            Rule,
            {"prepare": lambda self, layer: layer.register_state("feedback", layer.new_zeros(2, 2))},
            "rule own, layer 0: prepare() registered as feedback a tensor of shape (2, 2): it must be a tensor of the "
            "shape of W, (3, 4)",
        ),
        (
            DrawnFeedback,
            {"feedback": returns((3,))},
            "rule own, layer 0: feedback() returned a tensor of shape (3,): it must be a tensor of the shape of W",
        ),
        (
            DrawnFeedback,
            {"feedback": lambda self, layer: None},
            "rule own, layer 0: feedback() returned NoneType: it must be a tensor",
        ),
        (
            Rule,
            {"signals": ("error",), "send_back": lambda *arguments: None},
            "rule own, layer 0: send_back() returned NoneType: it must be a tensor of the shape of the layer's input",
        ),
    ],
)
def test_an_error_that_cannot_pass_back_is_refused(base: type[Rule], members: dict[str, Any], line: str) -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(ConfigError) as caught:
        attach(model, rule_with(base, **members))
        model(torch.ones(2, 4, requires_grad=True)).sum().backward()
    assert str(caught.value).startswith(line)


def test_what_a_rule_receives_has_no_way_to_w() -> None:
    seen: list[Any] = []

    @dataclass(frozen=True)
    class Looking(DrawnFeedback):
        name = "looking"

        def prepare(self, layer: LayerView) -> None:
            seen.append(layer)

        def after_step(self, layer: LayerView, step: int) -> None:
            seen.append(layer)

    model = dense_net()
    layers = attach(model, Looking())
    train_step(model, layers, torch.optim.SGD(model.parameters(), lr=0.1), normal(4, 12), torch.arange(4), 1)
    forbidden = (nn.Module, torch.optim.Optimizer, torch.Generator)
    weights = {layer.weight.data_ptr() for layer in layers}
    assert len(seen) == 6
    for value in reachable(seen):
        assert not isinstance(value, forbidden), value
        assert not (isinstance(value, torch.Tensor) and value.data_ptr() in weights)


def reachable(roots: list[Any]) -> list[Any]:
    """Return what the attributes, items, slots and closures of objects lead to."""
    found: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        value = waiting.pop()
        if id(value) in found or isinstance(value, type):
            continue
        found[id(value)] = value
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value
        waiting += getattr(value, "__dict__", {}).values()
        waiting += [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
        slots = [slot for kind in type(value).__mro__ for slot in getattr(kind, "__slots__", ())]
        waiting += [object.__getattribute__(value, slot) for slot in slots if slot != "__weakref__"]
    return list(found.values())


def test_a_field_with_the_name_of_a_method_is_refused() -> None:
    kind = make_dataclass("Own", [("rate", float, 0.5)], bases=(DrawnFeedback,), frozen=True, namespace={"name": "own"})
    assert refusal(kind()).startswith(
        "rule own has a field rate, which is a method of nowt.Rule: give the field another"
    )
    other = make_dataclass("Own", [("source", str, "")], bases=(DrawnFeedback,), frozen=True, namespace={"name": "own"})
    assert refusal(other()).startswith("rule own has a field source, which nowt.Rule uses for something else: rename")


def test_names_of_its_own_and_private_ones_are_left_to_a_rule() -> None:
    own = {"_after_steps": 1, "helper": lambda self: 2, "noise_of": 3}
    attach(nn.Sequential(nn.Linear(4, 3)), rule_with(**own))


@pytest.mark.parametrize(
    ("members", "line"),
    [
        (
            {"signals": ("input",), "observe": lambda self, layer, x, y: y.sum()},
            "rule own, layer 0: observe() received y = None, since the rule does not declare the",
        ),
        (
            {"signals": ("error",), "observe_error": lambda self, layer, error, output_error: output_error + error},
            "rule own, layer 0: observe_error() received output_error = None, since the rule does not declare the",
        ),
    ],
)
def test_a_rule_that_uses_a_signal_without_declaring_it_learns_which_one(members: dict[str, Any], line: str) -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    attach(model, rule_with(**members))
    with pytest.raises(ConfigError) as caught:
        model(torch.ones(2, 4)).sum().backward()
    assert str(caught.value).startswith(line) and "add it, or do without" in str(caught.value)


@pytest.mark.parametrize(
    ("prepare", "error", "line"),
    [
        (lambda self, layer: layer.weight.sum(), AttributeError, "a rule receives no weight of layer 0: to read W on"),
        (
            lambda self, layer: setattr(layer, "feedback", 2 * layer.feedback),
            ConfigError,
            "the rule replaces 'feedback' of layer 0: change it in place, such as by layer.feedback.copy_(...)",
        ),
    ],
)
def test_a_wrong_use_of_a_layer_says_what_to_do(prepare: Any, error: type[Exception], line: str) -> None:
    with pytest.raises(error) as caught:
        attach(nn.Sequential(nn.Linear(4, 3)), rule_with(prepare=prepare))
    assert str(caught.value).startswith(line)


def test_centering_in_the_forward_pass_is_refused_by_its_name() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    attach(model, rule_with(signals=("input",), observe=lambda self, layer, x, y: layer.center(x)))
    with pytest.raises(ConfigError, match=r"calls sum_over_workers\(\) or center\(\) in the forward or backward pass"):
        model(torch.ones(2, 4))


def test_a_config_with_a_rule_that_does_not_fit_is_refused_before_a_run_is_made() -> None:
    with pytest.raises(ConfigError, match="rule own declares the signal 'inputs': signals are input,"):
        replace(digits(), rule=rule_with(signals=("inputs",)))


def test_other_errors_of_a_rule_stay_as_they_are() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    attach(model, rule_with(signals=("input",), observe=lambda self, layer, x, y: x.nonsense))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        model(torch.ones(2, 4))


class Everything(tuple[str, ...]):
    """Contains any word."""

    def __contains__(self, word: object) -> bool:
        return True


def test_signals_are_a_plain_tuple() -> None:
    assert refusal(rule_with(signals=Everything())).startswith("rule own declares signals ()")


def test_a_rule_that_replaces_itself_when_shortened_is_refused() -> None:
    config = replace(digits(), rule=rule_with(shortened=lambda self, pace: FeedbackAlignment()))
    with pytest.raises(ConfigError, match=r"^rule own: shortened\(\) changes the rule to FeedbackAlignment"):
        shrink_config(config)
    changes_scale = rule_with(shortened=lambda self, pace: replace(self, scale=2.0))
    with pytest.raises(ConfigError, match=r"^rule own: shortened\(\) changes the field scale: it may change fields"):
        shrink_config(replace(config, rule=changes_scale))
