"""``attach`` puts a rule's layers into a model, in place: names, parameters and hooks stay."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields

import torch
from torch import Tensor, nn

from nowt.core.fields import check, field_types
from nowt.layers.conv import Conv2d
from nowt.layers.linear import Linear
from nowt.rules.base import NONLINEARITIES, FeedbackLayer, Rule

REPLACED: dict[type[nn.Module], type[FeedbackLayer]] = {nn.Conv2d: Conv2d, nn.Linear: Linear}


def attach(
    model: nn.Module,
    rule: Rule,
    seed: int = 0,
    activation: str = "relu",
    example: Tensor | None = None,
    quiet: bool = False,
) -> list[FeedbackLayer]:
    """Give every convolution and linear layer of ``model`` that ``rule`` covers a B, and return these layers.

    ``seed`` draws B, by the layer's name. ``activation`` is the nonlinearity above all layers but the last.
    ``example``, a batch of inputs, tells which layer comes last (without it: the one the model names last) and each
    convolution the size of its map (mirror mode with extent 0 needs it).
    A warning names the weights that no rule covers (see ``uncovered_weights``), unless ``quiet``.
    The way back cannot be differentiated itself (``create_graph``), nor by ``torch.func``.
    Under ``bp`` no layer is replaced and the list is empty. Layers come in the order in which the model names them.

    Raises ValueError, and leaves the model as it was, for a wrapped or compiled model, a second attach, a model with
    nothing to replace, an example that does not fit, and a rule whose fields cannot be.
    """
    found = _replaceable(model, rule, activation)
    if not quiet and rule.name != "bp" and (names := uncovered_weights(model)):
        warnings.warn(describe_uncovered(names), stacklevel=2)
    passed = _passed(model, found, example) if example is not None else {}
    last = next(reversed(passed), next(reversed(found)))
    covered = [name for name in found if rule.covers(name, name == last)]
    if not covered and rule.name != "bp":
        raise ValueError(f"{rule.name} as it is set covers no layer of {type(model).__name__}: all is left to backprop")
    layers = [_replace(found[name], name, rule, activation, name == last) for name in covered]
    for layer in layers:
        layer.map_size = passed.get(layer.name)
        # past torch's registration: as a submodule its weights would have two names
        layer.__dict__["output_layer"] = found[last]
        rule.prepare(layer, seed)
    return layers


def feedback_layers(model: nn.Module) -> list[FeedbackLayer]:
    """The layers of ``model`` that a rule was attached to, in the order in which the model names them."""
    return [module for module in model.modules() if isinstance(module, FeedbackLayer)]


def uncovered_weights(model: nn.Module) -> list[str]:
    """Names of the weights that no rule covers: those of other layers than Conv2d and Linear (attention, Conv1d,
    subclasses). Where an error passes back through them, it does so by backprop. Embeddings pass none on."""
    owners = [(n, m) for n, m in model.named_modules() if type(m) not in (*REPLACED, *REPLACED.values(), nn.Embedding)]
    found = [(f"{n}.{p}" if n else p, w) for n, m in owners for p, w in m.named_parameters(recurse=False)]
    return [name for name, weight in found if weight.dim() > 1 and weight.requires_grad]


def describe_uncovered(names: Sequence[str], limit: int = 3) -> str:
    """What ``uncovered_weights`` found, in a sentence."""
    some = ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
    return f"left to backprop, since rules replace Conv2d and Linear layers alone: {some}"


@contextmanager
def using_backprop(layers: Sequence[FeedbackLayer]) -> Iterator[None]:
    """Within it, forward passes send the error back through Wᵀ: the reference that δ is compared with."""
    for layer in layers:
        layer.use_backprop = True
    try:
        yield
    finally:
        for layer in layers:
            layer.use_backprop = False


def _replaceable(model: nn.Module, rule: Rule, activation: str) -> dict[str, nn.Module]:
    """The layers that a rule can replace, by name. Raises ValueError where ``attach`` cannot be."""
    _refuse_unfit(rule)
    _refuse_wrapped(model)
    found = {name: module for name, module in model.named_modules() if type(module) in REPLACED}
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no torch.nn.Conv2d or torch.nn.Linear layer, so there is nothing to attach "
            f"{rule.name} to: pass the model that holds them (subclasses of these layers are left alone)"
        )
    if activation not in NONLINEARITIES:
        raise ValueError(f"activation is {activation!r}: it must be one of {', '.join(NONLINEARITIES)}")
    return found


def _refuse_unfit(rule: object) -> None:
    """What is no rule, or has fields of other types than it declares."""
    if not isinstance(rule, Rule):
        raise ValueError(f"{rule!r} is no rule: pass one such as nowt.KolenPollack()")
    for field in fields(rule):
        check(field_types(type(rule))[field.name], getattr(rule, field.name), f"rule.{field.name}", strict=True)


def _refuse_wrapped(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.parallel.DistributedDataParallel | nn.DataParallel):
            wrapper = type(module).__name__
            raise ValueError(f"the model is wrapped in {wrapper}: attach the rule first, then wrap it")
        if isinstance(module, torch._dynamo.OptimizedModule) or module._compiled_call_impl is not None:
            raise ValueError("the model is compiled: attach the rule first, then call torch.compile")
    attached = feedback_layers(model)
    if attached:
        raise ValueError(f"the model has {attached[0].rule.name} attached already: attach to a fresh model")


def _replace(module: nn.Module, name: str, rule: Rule, activation: str, last: bool) -> FeedbackLayer:
    """The module itself, with its class changed: whoever holds it, hooks it or shares it keeps it."""
    module.__class__ = REPLACED[type(module)]
    assert isinstance(module, FeedbackLayer)
    module.rule = rule
    module.name = name
    module.activation = "linear" if last else activation
    return module


def _passed(model: nn.Module, found: dict[str, nn.Module], example: Tensor) -> dict[str, tuple[int, int] | None]:
    """The layers in the order in which a forward pass comes to them, each with the height and width of its input (None
    for a layer without). Raises ValueError where ``example`` does not fit."""
    passed: dict[str, tuple[int, int] | None] = {}

    def record(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        passed.pop(name, None)  # a layer used twice stands where it is used last
        height, width = inputs[0].shape[-2:] if isinstance(module, nn.Conv2d) and inputs else (0, 0)
        passed[name] = (int(height), int(width)) if height else None

    hooks = [m.register_forward_pre_hook(lambda m, inputs, n=n: record(n, m, inputs)) for n, m in found.items()]
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(example)
    except (RuntimeError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"an example of shape {tuple(example.shape)} does not fit the model: {reason}") from None
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    return passed
