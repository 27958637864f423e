"""attach: which layers get a B, what stays unchanged, which models are rejected; copies of models with a rule."""

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
import torchvision
from torch import nn

from nowt.config.run_config import ModelConfig
from nowt.layers.attach import attach, feedback_layers
from nowt.models.registry import build_model
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.registry import find_rule
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, gradients, normal, rule_id


@pytest.fixture
def single_process_group(tmp_path: Path) -> Iterator[None]:
    """A process group that consists of this process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def attach_error(model: nn.Module, rule: str = "fa", **options: str) -> str:
    with pytest.raises(ValueError) as caught:
        attach(model, find_rule(rule)(), **options)  # type: ignore[arg-type]
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_model_wrapped_in_distributed_data_parallel_is_rejected(single_process_group: None) -> None:
    message = "the model is wrapped in DistributedDataParallel: attach the rule first, then wrap it"
    wrapped = nn.parallel.DistributedDataParallel(conv_net())
    assert attach_error(wrapped) == message
    assert attach_error(nn.Sequential(wrapped)) == message


def test_a_model_wrapped_in_data_parallel_is_rejected() -> None:
    assert attach_error(nn.DataParallel(conv_net())) == (
        "the model is wrapped in DataParallel: attach the rule first, then wrap it"
    )


def test_a_compiled_model_is_rejected() -> None:
    message = "the model is compiled: attach the rule first, then call torch.compile"
    in_place = conv_net()
    in_place.compile(backend="eager")
    for model in (
        torch.compile(conv_net(), backend="eager"),
        nn.Sequential(torch.compile(conv_net())),
        in_place,
    ):
        assert attach_error(model) == message


@pytest.mark.parametrize("rule", ["fa", "bp"])
def test_a_model_without_replaceable_layers_is_rejected(rule: str) -> None:
    class Custom(nn.Linear):
        pass

    assert attach_error(nn.Sequential(Custom(3, 3), nn.ReLU()), rule) == (
        "Sequential has no torch.nn.Conv2d or torch.nn.Linear layer, so there is nothing to attach "
        f"{rule} to: pass the model that contains them (subclasses of these layers are not replaced)"
    )


@pytest.mark.parametrize("second", ["fa", "kp", "bp"])
def test_attaching_a_second_rule_is_rejected(second: str) -> None:
    model, _ = attached(conv_net(), find_rule("fa")())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert attach_error(model, second) == "the model has fa attached already: attach to a fresh model"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_unknown_activation_is_rejected_and_the_model_is_unchanged() -> None:
    model = conv_net()
    assert attach_error(model, activation="gelu") == (
        "activation is 'gelu': it must be one of relu, tanh, sigmoid, linear"
    )
    assert feedback_layers(model) == []


def test_resnet18_keeps_torchvisions_names_modules_parameters_and_hooks() -> None:
    model = torchvision.models.resnet18(num_classes=7)
    names, parameters = list(model.state_dict()), dict(model.named_parameters())
    weights, conv1, seen = copy.deepcopy(model.state_dict()), model.conv1, []
    conv1.register_forward_hook(lambda *_: seen.append("called"))
    layers = attach(model, find_rule("kp")())
    assert [name for name in model.state_dict() if not name.endswith(".feedback")] == names
    assert model.conv1 is conv1 and isinstance(conv1, nn.Conv2d)
    assert all(model.get_parameter(name) is p for name, p in parameters.items())
    assert all(torch.equal(model.state_dict()[name], value) for name, value in weights.items())
    assert len(layers) == 21 and [layer.name for layer in layers] == [
        name for name, m in torchvision.models.resnet18().named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    ]
    model(normal(2, 3, 32, 32))
    assert seen == ["called"]


def test_under_bp_no_layer_is_replaced() -> None:
    model = conv_net()
    assert attach(model, find_rule("bp")()) == []
    assert [type(m) for m in model] == [type(m) for m in conv_net()]


@pytest.mark.parametrize("name", ["fa", "ss", "wm", "kp", "sham"])
def test_layers_left_to_backprop_are_not_replaced(name: str) -> None:
    for model_name in ("resnet18", "tiny_resnet"):
        fresh = build_model(ModelConfig(name=model_name), (3, 32, 32), 10, seed=0)
        everything = [layer.name for layer in attached(fresh, find_rule(name)())[1]]
        projections = [n for n in everything if "downsample" in n.split(".")]
        assert len(projections) == (3 if model_name == "resnet18" else 2)
        for fields, left in (
            ({"last_layer": "backprop"}, ["fc"]),
            ({"shortcuts": "backprop"}, projections),
            ({"last_layer": "backprop", "shortcuts": "backprop"}, [*projections, "fc"]),
        ):
            model, layers = attached(fresh, find_rule(name)(**fields))
            assert [layer.name for layer in layers] == [n for n in everything if n not in left]
            assert all(type(model.get_submodule(n)) in (nn.Conv2d, nn.Linear) for n in left)
            assert not any(n.startswith(f"{one}.feedback") for n in model.state_dict() for one in left)


def test_a_last_layer_left_to_backprop_sends_the_error_back_through_w() -> None:
    x, y = batch()
    full = gradients(attached(conv_net(norm=False), find_rule("fa")())[0], x, y)
    without_last = gradients(attached(conv_net(norm=False), find_rule("fa")(last_layer="backprop"))[0], x, y)
    plain = gradients(conv_net(norm=False), x, y)
    assert torch.equal(without_last["6.weight"], plain["6.weight"])  # the layer below the last
    assert not torch.allclose(full["6.weight"], plain["6.weight"])
    assert not torch.allclose(without_last["3.weight"], plain["3.weight"])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda: "fa", r"^rule is 'fa': .*pass nowt\.FeedbackAlignment\(\) or nowt\.find_rule\('fa'\)\(\)$"),
        (lambda: "weight_mirror", r"pass nowt\.WeightMirror\(\) or nowt\.find_rule\('weight_mirror'\)\(\)$"),
        (lambda: "./my.py", r"it must be a Rule, not a name: pass nowt\.find_rule\('\./my\.py'\)\(\)$"),
        (
            lambda: find_rule("fa"),
            r"rule is the class FeedbackAlignment: it must be a Rule, not its class: pass FeedbackAlignment\(\), with",
        ),
        (lambda: None, r"^rule is None: it must be a Rule, such as nowt\.KolenPollack\(\)$"),
        (lambda: find_rule("fa")(start="gauss"), "rule.start is 'gauss'"),
        (lambda: find_rule("fa")(last_layer="yes"), "rule.last_layer is 'yes'"),
        (lambda: find_rule("fa")(scale=True), "rule.scale is True"),
    ],
)
def test_an_invalid_rule_is_rejected_and_the_model_is_unchanged(rule: Callable[[], Rule], message: str) -> None:
    net = conv_net()
    with pytest.raises(ValueError, match=message):
        attach(net, rule())
    assert not feedback_layers(net)


def test_a_rule_that_covers_no_layer_is_rejected() -> None:
    with pytest.raises(ValueError, match="applies to no layer of Sequential"):
        attach(nn.Sequential(nn.Linear(3, 3)), find_rule("fa")(last_layer="backprop"))


def test_an_example_changes_no_modes_and_hooks_even_if_it_does_not_fit() -> None:
    def net() -> nn.Sequential:
        built = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)).train()
        built[1].eval()  # a frozen batch norm
        return built

    model = net()
    with pytest.raises(ValueError, match=r"an example of shape \(2, 1, 8, 8\) does not fit the model"):
        attach(model, find_rule("fa")(), example=torch.randn(2, 1, 8, 8))
    assert not feedback_layers(model) and not any(m._forward_pre_hooks for m in model.modules())
    attach(model, find_rule("fa")(), example=torch.randn(2, 3, 8, 8))
    assert [m.training for m in model.modules()] == [m.training for m in net().modules()]


def test_an_example_works_with_layers_that_are_called_with_keyword_arguments() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.last(input=self.first(input=x))
            return found

    layers = attach(Named(), find_rule("fa")(), example=torch.randn(2, 3))
    assert [layer.activation for layer in layers] == ["linear", "relu"]


def test_a_field_of_a_rule_may_have_any_type() -> None:
    @dataclass(frozen=True)
    class Typed(FeedbackAlignment):
        kind: torch.dtype = torch.float32

    assert len(attach(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), Typed())) == 2
    with pytest.raises(ValueError, match="kind is 'float32'"):
        attach(nn.Sequential(nn.Linear(3, 3)), Typed(kind="float32"))  # type: ignore[arg-type]


def test_a_warning_lists_the_weights_that_no_rule_covers() -> None:
    net = nn.Sequential(nn.Embedding(9, 8), nn.TransformerEncoderLayer(8, 2, 16), nn.Conv1d(4, 4, 1), nn.Linear(8, 2))
    with pytest.warns(UserWarning, match="1.self_attn.in_proj_weight, 1.self_attn.out_proj.weight, 2.weight"):
        attach(net, find_rule("fa")(), seed=0)
    # under bp there is no warning, because everything uses backprop
    assert attach(nn.Sequential(nn.Conv1d(4, 4, 1), nn.Linear(8, 2)), find_rule("bp")()) == []


def test_a_layer_that_is_used_twice_has_one_b() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(4, 2))
    assert [layer.name for layer in attach(model, find_rule("fa")())] == ["0", "3"]
    model(normal(3, 4)).sum().backward()
    assert shared.weight.grad is not None


def test_an_example_sets_the_map_size_of_every_convolution_and_changes_nothing_else() -> None:
    model, (x, _) = conv_net(), batch()
    before = copy.deepcopy(model.state_dict())
    layers = attach(model, find_rule("fa")(), example=x)
    assert [layer.map_size for layer in layers] == [(8, 8), (8, 8), (4, 4), None]
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert model.training and not any(m._forward_pre_hooks for m in model.modules())


def test_data_parallel_training_reduces_no_more_gradients_than_under_bp(single_process_group: None) -> None:
    reduced = []

    def count(_: object, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        reduced.append(sum(g.numel() for g in bucket.gradients()))
        done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    x, y = batch()
    for rule in EVERY_RULE:
        reduced.clear()
        model, _ = attached(conv_net(), rule)
        wrapped = nn.parallel.DistributedDataParallel(model)
        wrapped.register_comm_hook(None, count)
        F.cross_entropy(wrapped(x), y).backward()
        assert sum(reduced) == sum(p.numel() for p in conv_net().parameters())


def rule_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return B and all other state of the rule, by name."""
    return {name: p for name, p in model.named_parameters() if not p.requires_grad}


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
@pytest.mark.parametrize("method", ["deepcopy", "pickle", "torch.save", "state_dict"])
def test_copies_of_a_model_keep_its_rule_and_its_exact_b(rule: Rule, method: str) -> None:
    model, _ = attached(conv_net(), rule)
    file = io.BytesIO()
    if method == "deepcopy":
        other = copy.deepcopy(model)
    elif method == "pickle":
        other = pickle.loads(pickle.dumps(model))
    elif method == "torch.save":
        torch.save(model, file)
        other = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    else:
        torch.save(model.state_dict(), file)
        other, _ = attached(conv_net(seed=1), rule, seed=1)
        assert not torch.equal(rule_state(other)["0.feedback"], rule_state(model)["0.feedback"])
        other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert list(rule_state(other)) == list(rule_state(model)) != []
    for name, value in rule_state(model).items():
        assert torch.equal(rule_state(other)[name], value) and rule_state(other)[name].data_ptr() != value.data_ptr()
    assert [layer.rule for layer in feedback_layers(other)] == [rule] * 4
    x, y = batch()
    ours, theirs = gradients(model, x, y), gradients(other, x, y)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_with_an_example_the_last_layer_is_the_one_that_runs_last() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 3)
            self.body = nn.Linear(4, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.body(x)))  # type: ignore[no-any-return]

    rule = find_rule("fa")(last_layer="backprop")
    assert [layer.name for layer in attach(Backwards(), rule, example=torch.zeros(2, 4))] == ["body"]
