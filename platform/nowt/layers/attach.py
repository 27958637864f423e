"""``attach`` gives a model's layers a rule's backward path, in place."""

import warnings
from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from nowt.core.fields import check_type, field_types
from nowt.layers.alignment import using_backprop
from nowt.layers.conv import Conv2d
from nowt.layers.feedback import Feedback, remind_of_steps
from nowt.layers.linear import Linear
from nowt.rules.base import NONLINEARITIES, FeedbackLayer, Rule

__all__ = ["attach", "feedback_layers", "uncovered_weights", "using_backprop"]

REPLACED: dict[type[nn.Module], type[FeedbackLayer]] = {nn.Conv2d: Conv2d, nn.Linear: Linear}


def attach(
    model: nn.Module,
    rule: Rule,
    seed: int = 0,
    activation: str = "relu",
    example: Tensor | None = None,
    quiet: bool = False,
) -> Feedback:
    """Attach a learning rule to a model: the error passes back through each covered layer by the rule.

    Every torch.nn.Conv2d and torch.nn.Linear that ``rule`` covers becomes a ``FeedbackLayer`` in place: names,
    parameters, hooks and references stay. A warning names the weights that no rule can cover, such as those of
    attention and Conv1d (see ``uncovered_weights``); they use backprop.

    The rule's backward path cannot be differentiated again (``create_graph``), nor by ``torch.func``.

    Args:
        model: The network. It must not be wrapped in DataParallel or compiled yet, nor have a rule attached.
        rule: The learning rule. ``Backprop()`` replaces no layer.
        seed: Seed of B, which is drawn by layer name. Default 0.
        activation: The nonlinearity above all layers except the last: ``"relu"`` (default), ``"tanh"``, ``"sigmoid"``
            or ``"linear"``. Used by mirror mode with ``through="nonlinearity"``.
        example: A batch of inputs. One forward pass in eval mode shows which layer is the last one and how large each
            convolution's map is (needed by mirror mode with ``extent=0``). Default None: the last layer is the last one
            that the model defines.
        quiet: Do not warn of uncovered weights, nor of training without the rule's steps. Default False.

    Returns:
        The feedback layers, in the order in which the model defines them: a list that also has ``step``, to be called
        in place of ``optimizer.step()``, and ``angles`` (see ``Feedback``).

    Raises:
        ValueError: If the model is wrapped, compiled, has a rule attached or has no layer to replace; if ``example``
            does not fit; or if a field of the rule has the wrong type. The model is then unchanged.

    Example:
        >>> import torch
        >>> from nowt import FeedbackAlignment, attach
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
        >>> [layer.name for layer in attach(model, FeedbackAlignment(), seed=1)]
        ['0', '2']
        >>> model(torch.ones(1, 8)).sum().backward()
        >>> model[0].weight.grad.shape
        torch.Size([6, 8])
    """
    found = _replaceable(model, rule, activation)
    if not quiet and rule.name != "bp" and (names := uncovered_weights(model)):
        warnings.warn(describe_uncovered(names), stacklevel=2)
    passed = _forward_order(model, found, example) if example is not None else {}
    last = next(reversed(passed), next(reversed(found)))
    covered = [name for name in found if rule.covers(name, name == last)]
    if not covered and rule.name != "bp":
        raise ValueError(
            f"rule {rule.name!r} with these settings applies to no layer of {type(model).__name__}, so every layer "
            "would use backprop"
        )
    layers = [_replace(found[name], name, rule, activation, name == last) for name in covered]
    for layer in layers:
        layer.map_size = passed.get(layer.name)
        # not as a submodule, which would give its weights a second name
        layer.__dict__["output_layer"] = found[last]
        rule.prepare(layer, seed)
    feedback = Feedback(layers, model, rule, seed)
    if not quiet:
        remind_of_steps(feedback)
    return feedback


def feedback_layers(model: nn.Module) -> list[FeedbackLayer]:
    """Return the layers of ``model`` with a rule attached, in the order in which the model defines them."""
    return [module for module in model.modules() if isinstance(module, FeedbackLayer)]


def uncovered_weights(model: nn.Module) -> list[str]:
    """Return the names of weights that no rule can cover: those of layers other than Conv2d and Linear.

    These are, for example, attention, Conv1d and subclasses of the two. An error passes back through them by backprop.
    Embeddings are not listed, since they pass no error on.
    """
    owners = [(n, m) for n, m in model.named_modules() if type(m) not in (*REPLACED, *REPLACED.values(), nn.Embedding)]
    found = [(f"{n}.{p}" if n else p, w) for n, m in owners for p, w in m.named_parameters(recurse=False)]
    return [name for name, weight in found if weight.dim() > 1 and weight.requires_grad]


def describe_uncovered(names: Sequence[str], limit: int = 3) -> str:
    """Return a sentence that lists the weights found by ``uncovered_weights``, at most ``limit`` by name."""
    listed = ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
    return f"these weights use backprop, since rules apply to Conv2d and Linear layers only: {listed}"


def _replaceable(model: nn.Module, rule: Rule, activation: str) -> dict[str, nn.Module]:
    """Return the layers that a rule can replace, by name. Raises ValueError if ``attach`` is not possible."""
    _check_rule(rule)
    _check_unwrapped(model)
    found = {name: module for name, module in model.named_modules() if type(module) in REPLACED}
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no torch.nn.Conv2d or torch.nn.Linear layer, so there is nothing to attach "
            f"{rule.name} to: pass the model that contains them (subclasses of these layers are not replaced)"
        )
    if activation not in NONLINEARITIES:
        raise ValueError(f"activation is {activation!r}: it must be one of {', '.join(NONLINEARITIES)}")
    return found


def _check_rule(rule: object) -> None:
    """Raise ValueError unless ``rule`` is a Rule whose fields have the types it declares."""
    if not isinstance(rule, Rule):
        raise ValueError(f"{rule!r} is not a Rule: pass one such as nowt.KolenPollack()")
    for field in fields(rule):
        check_type(field_types(type(rule))[field.name], getattr(rule, field.name), f"rule.{field.name}", strict=True)


def _check_unwrapped(model: nn.Module) -> None:
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
    """Change the module's class, so that references to it, hooks on it and shared weights stay valid."""
    module.__class__ = REPLACED[type(module)]
    assert isinstance(module, FeedbackLayer)
    module.rule = rule
    module.name = name
    module.activation = "linear" if last else activation
    return module


def _forward_order(model: nn.Module, found: dict[str, nn.Module], example: Tensor) -> dict[str, tuple[int, int] | None]:
    """Return the layers in forward order, each with the height and width of its input (None for linear layers).

    Raises ValueError if ``example`` does not fit the model.
    """
    passed: dict[str, tuple[int, int] | None] = {}

    def record(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        passed.pop(name, None)  # a layer that is used twice counts where it is used last
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
