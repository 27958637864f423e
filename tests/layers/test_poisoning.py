"""Poisoning changes nothing for whoever leaves W alone, and shows garbage to everyone else."""

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.layers.alignment import using_backprop
from nowt.layers.attach import attach
from nowt.layers.poisoning import poisoned
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.weight_mirror import WeightMirror
from tests.support.honest_rules import FromErrors, SendsBack
from tests.support.nets import batch, conv_net, normal, train_step

RULES: list[Rule] = [FeedbackAlignment(), KolenPollack(), WeightMirror(interval=1), FromErrors(), SendsBack()]

OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda m: torch.optim.SGD(m.parameters(), 0.1, momentum=0.9, weight_decay=0.01, fused=True),
    "nesterov": lambda m: torch.optim.SGD(m.parameters(), 0.1, momentum=0.9, nesterov=True, foreach=True),
    "adamw": lambda m: torch.optim.AdamW(m.parameters(), 0.01),
}


class Network:
    """A network with a rule and an optimizer, after one step."""

    def __init__(self, rule: Rule, optimizer: str = "sgd", dtype: torch.dtype = torch.float32) -> None:
        self.model = conv_net().to(dtype)
        self.dtype = dtype
        self.layers = attach(self.model, rule, example=batch(dtype=dtype)[0], quiet=True)
        self.optimizer = OPTIMIZERS[optimizer](self.model)
        self.step(1)

    def step(self, number: int) -> None:
        train_step(self.model, self.layers, self.optimizer, *batch(seed=number, dtype=self.dtype), step=number)

    def values(self) -> Iterator[Tensor]:
        yield from self.model.state_dict().values()
        yield from (p.grad for p in self.model.parameters() if p.grad is not None)
        yield from (v for s in self.optimizer.state.values() for v in s.values() if isinstance(v, Tensor))


def equal(one: Network, other: Network) -> bool:
    pairs = list(zip(one.values(), other.values(), strict=True))
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def network() -> Network:
    return Network(FeedbackAlignment())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_the_same_bit_for_bit(rule: Rule, optimizer: str) -> None:
    one, other = Network(rule, optimizer), Network(rule, optimizer)
    with poisoned(other.layers, other.optimizer):
        other.step(2)
        other.step(3)
    one.step(2)
    one.step(3)
    assert equal(one, other)
    one.step(4)
    other.step(4)
    assert equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_training_is_the_same_in_other_dtypes(dtype: torch.dtype) -> None:
    one, other = (Network(FeedbackAlignment(), dtype=dtype) for _ in range(2))
    with poisoned(other.layers, other.optimizer):
        other.step(2)
    one.step(2)
    assert equal(one, other)


def test_training_under_autocast_is_the_same() -> None:
    one, other = Network(SendsBack()), Network(SendsBack())
    for network, block in ((one, nullcontext()), (other, poisoned(other.layers, other.optimizer))):
        with block, torch.autocast("cpu", torch.bfloat16):
            network.step(2)
    assert equal(one, other)


def test_tokens_checkpoints_and_tied_layers_are_the_same() -> None:
    def gradients(poison: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
        model[2].weight = model[0].weight
        layers = attach(model, FeedbackAlignment(), quiet=True)
        x = normal(2, 3, 6).requires_grad_()
        with poisoned(layers) if poison else nullcontext():
            for reentrant in (True, False):
                y = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=reentrant)
                y.square().sum().backward()
        return [x.grad, *(p.grad for p in model.parameters() if p.grad is not None)]  # type: ignore[list-item]

    assert all(torch.equal(a, b) for a, b in zip(gradients(False), gradients(True), strict=True))


def test_layers_left_to_backprop_keep_their_w() -> None:
    one, other = (Network(KolenPollack(last_layer="backprop")) for _ in range(2))
    covered = {id(layer.weight) for layer in other.layers}
    with poisoned(other.layers, other.optimizer):
        for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
            assert torch.equal(a, b) == (id(b) not in covered)
        other.step(2)
    one.step(2)
    assert equal(one, other)


def seen_by_hooks(network: Network) -> list[Tensor]:
    """Register every kind of hook; return the list to which they append what they see of the second W."""
    layer, seen = network.layers[1], []

    def see(*_: object) -> None:
        seen.append(layer.weight.detach().clone())

    def see_state(*_: object) -> None:
        seen.append(network.optimizer.state[layer.weight]["momentum_buffer"].clone())

    layer.weight.register_hook(see)  # type: ignore[no-untyped-call]
    layer.weight.register_post_accumulate_grad_hook(see)
    layer.register_forward_pre_hook(see)
    layer.register_forward_hook(see)
    layer.register_full_backward_pre_hook(see)
    layer.register_full_backward_hook(see)
    for act in (see, see_state):
        network.optimizer.register_step_pre_hook(act)
        network.optimizer.register_step_post_hook(act)
    return seen


@pytest.mark.parametrize("when", ["before", "within"])
def test_every_hook_sees_garbage(network: Network, when: str) -> None:
    layer = network.layers[1]
    true = [layer.weight.detach().clone(), network.optimizer.state[layer.weight]["momentum_buffer"].clone()]
    seen = seen_by_hooks(network) if when == "before" else []
    with poisoned(network.layers, network.optimizer):
        seen = seen if when == "before" else seen_by_hooks(network)
        network.step(2)
    true += [layer.weight.detach(), network.optimizer.state[layer.weight]["momentum_buffer"]]
    assert len(seen) == 10
    for value in seen:
        assert value.isfinite().all()
        assert all(float((value == other).float().mean()) < 0.01 for other in true)
    seen.clear()
    network.step(3)  # hooks that were registered within the block remain
    assert len(seen) == 10


def test_hooks_of_saved_tensors_see_garbage(network: Network) -> None:
    layer, seen = network.layers[0], []
    true = layer.weight.detach().clone()

    def pack(value: Tensor) -> Tensor:
        seen.append(layer.weight.detach().clone())
        return value

    with poisoned(network.layers), torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        network.model(batch()[0])
    assert len(seen) > 5
    assert not any(torch.equal(value, true) for value in seen)


def test_garbage_is_as_large_as_w_and_drawn_anew(network: Network) -> None:
    weight = network.layers[0].weight
    true, drawn = weight.detach().clone(), []
    for _ in range(2):
        with poisoned(network.layers, network.optimizer):
            drawn.append(weight.detach().clone())
    assert not torch.equal(drawn[0], drawn[1])
    assert all(0.7 < float(one.std() / true.std()) < 1.4 for one in drawn)
    seeded = []
    for _ in range(2):
        with poisoned(network.layers, generator=torch.Generator().manual_seed(1)):
            seeded.append(weight.detach().clone())
    assert torch.equal(*seeded) and torch.equal(weight, true)


def test_neither_a_version_nor_the_global_random_state_changes(network: Network) -> None:
    x, y = batch()
    weights = [layer.weight for layer in network.layers]
    states = [network.optimizer.state[weight]["momentum_buffer"] for weight in weights]
    before, random = [t._version for t in (*weights, *states)], torch.get_rng_state()
    with poisoned(network.layers, network.optimizer):
        F.cross_entropy(network.model(x), y).backward()
        assert [t._version for t in (*weights, *states)] == before
    assert [t._version for t in (*weights, *states)] == before
    assert torch.equal(torch.get_rng_state(), random)


def test_w_is_true_again_after_an_error(network: Network) -> None:
    before = copy.deepcopy(list(network.values()))
    with pytest.raises(KeyError), poisoned(network.layers, network.optimizer):
        raise KeyError
    assert all(torch.equal(a, b) for a, b in zip(before, network.values(), strict=True))
    assert not {"forward", "apply_plain", "apply_weight"} & vars(network.layers[0]).keys()


def test_what_someone_writes_into_w_is_seen(network: Network) -> None:
    """The true W comes from elsewhere, so a W that was written to is not the one of the same step without poison."""
    before = network.layers[0].weight.detach().clone()
    with poisoned(network.layers, network.optimizer):
        network.layers[0].weight.data.zero_()
    assert torch.equal(network.layers[0].weight, before)


def test_measuring_the_alignment_is_refused(network: Network) -> None:
    layer: FeedbackLayer = network.layers[0]
    with poisoned(network.layers), using_backprop(network.layers), pytest.raises(RuntimeError, match="layer 0 uses"):
        layer(batch()[0])


def test_w_is_true_again_after_a_step_that_failed(network: Network) -> None:
    def fail(*_: object) -> None:
        raise KeyError

    before = network.layers[0].weight.detach().clone()
    network.optimizer.register_step_pre_hook(fail)
    with pytest.raises(KeyError), poisoned(network.layers, network.optimizer):
        network.optimizer.step()
    network.optimizer._optimizer_step_pre_hooks.clear()
    network.optimizer.param_groups[0]["lr"] = None  # on which the step itself fails
    with pytest.raises(TypeError), poisoned(network.layers, network.optimizer):
        network.optimizer.step()
    assert torch.equal(network.layers[0].weight, before)
