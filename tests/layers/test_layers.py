"""Layers with feedback weights: what they compute, and what goes back through them."""

import copy
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.layers.attach import attach, feedback_layers, using_backprop
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, dense_net, gradients, normal, rule_id

KERNELS = (1, 3, (3, 2), 4)

MODES = ("zeros", "reflect", "replicate", "circular")

LAYOUTS = (torch.contiguous_format, torch.channels_last)

STEPS_AND_PADDING = [(1, 0), (1, 1), (2, 1), ((2, 1), (1, 2)), (1, "same"), (1, "valid"), (3, "valid")]

DILATION_AND_GROUPS = [(1, 1), (2, 1), ((1, 2), 2), (1, 4)]


def sent_back(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of input, W and bias for an error that differs at every place."""
    x = x.detach().requires_grad_()
    y = layer(x)
    error = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    inputs = [x, *(p for p in layer.parameters() if p.requires_grad)]
    return [y.detach(), *torch.autograd.grad(y, inputs, error)]


def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=True))


def with_sham(layer: nn.Module) -> nn.Module:
    return attached(nn.Sequential(layer), find_rule("sham")())[0][0]  # type: ignore[index]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # torch's own, of its own layer
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_with_b_equal_to_w_every_convolution_sends_back_autograds_gradients_bit_for_bit(
    kernel: int | tuple[int, int], mode: str
) -> None:
    for (stride, padding), (dilation, groups) in product(STEPS_AND_PADDING, DILATION_AND_GROUPS):
        for dtype, layout in product((torch.float32, torch.float64), LAYOUTS):
            plain = nn.Conv2d(
                4,
                8,
                kernel,
                stride,
                padding,
                dilation,
                groups,
                groups != 2,
                mode,
                dtype=dtype,  # type: ignore[arg-type]
            ).to(memory_format=layout)  # type: ignore[call-overload]
            x = normal(3, 4, 11, 12, dtype=dtype).contiguous(memory_format=layout)
            assert same(sent_back(with_sham(plain), x), sent_back(plain, x)), plain


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 5, 7), (2, 3, 5, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_with_b_equal_to_w_linear_layers_of_any_leading_shape_send_back_autograds_gradients(
    shape: tuple[int, ...], bias: bool
) -> None:
    for dtype in (torch.float32, torch.float64):
        plain, x = nn.Linear(7, 6, bias=bias, dtype=dtype), normal(*shape, dtype=dtype)
        assert same(sent_back(with_sham(plain), x), sent_back(plain, x))


@pytest.mark.parametrize("mode", MODES)
def test_one_picture_without_a_batch_dimension_is_a_batch_of_one(mode: str) -> None:
    plain, x = nn.Conv2d(4, 6, 3, padding=1, padding_mode=mode), normal(4, 9, 8)
    assert same(sent_back(with_sham(plain), x), sent_back(plain, x))
    following = nn.Sequential(with_sham(plain), nn.ReLU(inplace=True))
    assert following(x).shape == (6, 9, 8)


def test_the_error_goes_back_through_b_and_ws_gradient_does_not_depend_on_b() -> None:
    for plain, x in [(nn.Linear(7, 6), normal(5, 7)), (nn.Conv2d(4, 6, 3, 2, padding=1), normal(2, 4, 9, 9))]:
        model, (layer,) = attached(nn.Sequential(plain), find_rule("fa")())
        through_b = copy.deepcopy(plain)
        through_b.weight.data.copy_(layer.feedback)
        ours, theirs, oracle = sent_back(model[0], x), sent_back(plain, x), sent_back(through_b, x)  # type: ignore[index]
        assert torch.equal(ours[1], oracle[1]) and not torch.allclose(ours[1], theirs[1])
        assert same([ours[0], *ours[2:]], [theirs[0], *theirs[2:]])


def test_a_whole_network_under_sham_has_autograds_gradients() -> None:
    for layout in LAYOUTS:
        plain = conv_net().to(memory_format=layout)  # type: ignore[call-overload]
        model, _ = attached(plain, find_rule("sham")())
        x, y = batch()
        x = x.contiguous(memory_format=layout)
        ours, theirs = gradients(model, x, y), gradients(plain, x, y)
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_the_forward_pass_is_torchs_own(rule: Rule) -> None:
    model, _ = attached(conv_net(), rule)
    plain, (x, _) = conv_net(), batch()
    assert torch.equal(model(x), plain(x))
    with torch.no_grad():
        assert torch.equal(model.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_b_is_saved_and_moved_with_its_layer_but_is_never_a_leaf_of_the_gradient(rule: Rule) -> None:
    model, layers = attached(conv_net(), rule)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in conv_net().named_parameters()}
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    assert all(layer.feedback.grad is None and not layer.feedback.requires_grad for layer in layers)
    assert all(layer.feedback.dtype == torch.float64 for layer in feedback_layers(model.double()))


def test_within_backprop_the_error_goes_through_w_and_afterwards_through_b_again() -> None:
    model, layers = attached(conv_net(), find_rule("fa")())
    x, y = batch()
    ours, theirs = gradients(model, x, y), gradients(conv_net(), x, y)
    with pytest.raises(KeyboardInterrupt), using_backprop(layers):
        measured = gradients(model, x, y)
        raise KeyboardInterrupt
    assert all(torch.equal(measured[name], theirs[name]) for name in theirs)
    again = gradients(model, x, y)
    assert all(torch.equal(again[name], ours[name]) for name in ours)
    assert not torch.equal(ours["0.weight"], theirs["0.weight"])


@pytest.mark.parametrize("name", ["fa", "kp", "sham"])
def test_under_bf16_autocast_weights_and_gradients_stay_float32_and_close_to_those_without(name: str) -> None:
    # smooth, since rounding flips units of a ReLU net and a batch norm's small variance magnifies it
    model, layers = attached(conv_net(norm=False, activation=nn.Tanh), find_rule(name)())
    x, y = batch()
    exact = gradients(model, x, y)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(x)
        loss = F.cross_entropy(output, y)
    loss.backward()
    assert output.dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 for layer in layers for p in layer.parameters())
    for key, gradient in exact.items():
        found = model.get_parameter(key).grad
        assert found is not None and found.dtype == torch.float32
        assert (found - gradient).norm() < 0.03 * gradient.norm(), key


def test_under_bf16_autocast_sham_is_autograds_bit_for_bit() -> None:
    plain = conv_net()
    model, _ = attached(plain, find_rule("sham")())
    x, y = batch()
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = gradients(model, x, y), gradients(plain, x, y)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_channels_last_changes_the_layout_of_w_and_b_and_no_number(rule: Rule) -> None:
    model, _ = attached(conv_net(), rule)
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in feedback_layers(other)[:-1]:
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)
        assert layer.feedback.is_contiguous(memory_format=torch.channels_last)
    x, y = batch()
    expected = gradients(model, x, y)
    found = gradients(other, x.contiguous(memory_format=torch.channels_last), y)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_b_is_drawn_the_same_whether_w_is_in_channels_last_or_not() -> None:
    for rule in EVERY_RULE:
        first, second = conv_net(), conv_net().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for a, b in zip(attach(first, rule), attach(second, rule), strict=True):
            assert torch.equal(a.feedback, b.feedback)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_compiling_traces_the_whole_graph_and_gives_the_same_gradients(rule: Rule) -> None:
    model, _ = attached(conv_net(norm=False), rule)
    x, y = batch()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(F.cross_entropy(compiled(x), y), [p for p in model.parameters() if p.requires_grad])
    for gradient, expected in zip(found, gradients(model, x, y).values(), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_compiling_under_autocast_traces_the_whole_graph() -> None:
    model, _ = attached(dense_net(), find_rule("kp")())
    torch._dynamo.reset()
    with torch.autocast("cpu", torch.bfloat16):
        output = torch.compile(model, fullgraph=True, backend="aot_eager")(normal(4, 12))
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)
