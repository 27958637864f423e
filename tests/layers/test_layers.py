"""Layers with feedback weights: their outputs and their gradients."""

import copy
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.layers.attach import attach, feedback_layers, using_backprop
from nowt.layers.propagation import is_plain
from nowt.rules.base import Rule
from nowt.rules.registry import find_rule
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, dense_net, gradients, normal, rule_id

KERNELS = (1, 3, (3, 2), 4)

MODES = ("zeros", "reflect", "replicate", "circular")

LAYOUTS = (torch.contiguous_format, torch.channels_last)

STRIDE_AND_PADDING = [(1, 0), (1, 1), (2, 1), ((2, 1), (1, 2)), (1, "same"), (1, "valid"), (3, "valid")]

DILATION_AND_GROUPS = [(1, 1), (2, 1), ((1, 2), 2), (1, 4)]


def output_and_gradients(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the output and the gradients of input, W and bias, for an error signal with distinct entries."""
    x = x.detach().requires_grad_()
    y = layer(x)
    error = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    inputs = [x, *(p for p in layer.parameters() if p.requires_grad)]
    return [y.detach(), *torch.autograd.grad(y, inputs, error)]


def identical(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether the tensors are equal bit for bit."""
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=True))


def with_sham(layer: nn.Module) -> nn.Module:
    """Return a copy of the layer under the rule sham, which has B = W."""
    return attached(nn.Sequential(layer), find_rule("sham")())[0][0]  # type: ignore[index]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # a warning of torch.nn.Conv2d
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_with_b_equal_to_w_convolutions_have_the_gradients_of_autograd_bit_for_bit(
    kernel: int | tuple[int, int], mode: str
) -> None:
    for (stride, padding), (dilation, groups) in product(STRIDE_AND_PADDING, DILATION_AND_GROUPS):
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
            assert identical(output_and_gradients(with_sham(plain), x), output_and_gradients(plain, x)), plain


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 5, 7), (2, 3, 5, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_with_b_equal_to_w_linear_layers_have_the_gradients_of_autograd_for_any_input_shape(
    shape: tuple[int, ...], bias: bool
) -> None:
    for dtype in (torch.float32, torch.float64):
        plain, x = nn.Linear(7, 6, bias=bias, dtype=dtype), normal(*shape, dtype=dtype)
        assert identical(output_and_gradients(with_sham(plain), x), output_and_gradients(plain, x))


@pytest.mark.parametrize("mode", MODES)
def test_convolutions_accept_one_image_without_a_batch_dimension(mode: str) -> None:
    plain, x = nn.Conv2d(4, 6, 3, padding=1, padding_mode=mode), normal(4, 9, 8)
    assert identical(output_and_gradients(with_sham(plain), x), output_and_gradients(plain, x))
    following = nn.Sequential(with_sham(plain), nn.ReLU(inplace=True))
    assert following(x).shape == (6, 9, 8)


def test_the_error_goes_back_through_b_and_the_gradient_of_w_does_not_depend_on_b() -> None:
    for plain, x in [(nn.Linear(7, 6), normal(5, 7)), (nn.Conv2d(4, 6, 3, 2, padding=1), normal(2, 4, 9, 9))]:
        model, (layer,) = attached(nn.Sequential(plain), find_rule("fa")())
        through_b = copy.deepcopy(plain)
        through_b.weight.data.copy_(layer.feedback)
        ours = output_and_gradients(model[0], x)  # type: ignore[index]
        theirs, oracle = output_and_gradients(plain, x), output_and_gradients(through_b, x)
        assert torch.equal(ours[1], oracle[1]) and not torch.allclose(ours[1], theirs[1])
        assert identical([ours[0], *ours[2:]], [theirs[0], *theirs[2:]])


def test_a_network_under_sham_has_the_gradients_of_autograd() -> None:
    for layout in LAYOUTS:
        plain = conv_net().to(memory_format=layout)  # type: ignore[call-overload]
        model, _ = attached(plain, find_rule("sham")())
        x, y = batch()
        x = x.contiguous(memory_format=layout)
        ours, theirs = gradients(model, x, y), gradients(plain, x, y)
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_a_rule_does_not_change_the_forward_pass(rule: Rule) -> None:
    model, _ = attached(conv_net(), rule)
    plain, (x, _) = conv_net(), batch()
    assert torch.equal(model(x), plain(x))
    with torch.no_grad():
        assert torch.equal(model.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_b_is_a_parameter_that_moves_with_its_layer_and_never_requires_a_gradient(rule: Rule) -> None:
    model, layers = attached(conv_net(), rule)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in conv_net().named_parameters()}
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    assert all(layer.feedback.grad is None and not layer.feedback.requires_grad for layer in layers)
    assert all(layer.feedback.dtype == torch.float64 for layer in feedback_layers(model.double()))


def test_using_backprop_sends_the_error_through_w_and_restores_the_rule_afterwards() -> None:
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
def test_under_bfloat16_autocast_gradients_are_float32_and_close_to_those_without_autocast(name: str) -> None:
    # tanh and no batch norm: rounding would flip ReLU units, and small batch variances would amplify the difference
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


def test_under_bfloat16_autocast_sham_has_the_gradients_of_autograd_bit_for_bit() -> None:
    plain = conv_net()
    model, _ = attached(plain, find_rule("sham")())
    x, y = batch()
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = gradients(model, x, y), gradients(plain, x, y)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_channels_last_changes_the_layout_of_w_and_b_and_not_the_gradients(rule: Rule) -> None:
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


def test_the_initial_b_does_not_depend_on_the_memory_layout_of_w() -> None:
    for rule in EVERY_RULE:
        first, second = conv_net(), conv_net().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for a, b in zip(attach(first, rule), attach(second, rule), strict=True):
            assert torch.equal(a.feedback, b.feedback)


@pytest.mark.parametrize("rule", [rule for rule in EVERY_RULE if is_plain(rule)], ids=rule_id)
def test_compiling_has_no_graph_breaks_and_gives_the_same_gradients(rule: Rule) -> None:
    model, _ = attached(conv_net(norm=False), rule)
    x, y = batch()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(F.cross_entropy(compiled(x), y), [p for p in model.parameters() if p.requires_grad])
    for gradient, expected in zip(found, gradients(model, x, y).values(), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_compiling_under_autocast_has_no_graph_breaks() -> None:
    model, _ = attached(dense_net(), find_rule("kp")())
    torch._dynamo.reset()
    with torch.autocast("cpu", torch.bfloat16):
        output = torch.compile(model, fullgraph=True, backend="aot_eager")(normal(4, 12))
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)


def test_autocast_leaves_float64_as_it_is_and_meta_tensors_pass() -> None:
    model = dense_net().double()
    attach(model, find_rule("fa")())
    with torch.autocast("cpu", torch.bfloat16):
        assert model(normal(2, 12, dtype=torch.float64)).dtype == torch.float64
    assert model.to("meta")(torch.ones(2, 12, dtype=torch.float64, device="meta")).shape == (2, 5)
