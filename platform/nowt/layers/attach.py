"""``attach`` gives a model's layers a rule's backward path, in place."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from nowt.layers.alignment import using_backprop
from nowt.layers.coverage import (
    REPLACED,
    Candidates,
    check_rule,
    covered_layers,
    describe_uncovered,
    feedback_layers,
    find_candidates,
    uncovered_weights,
)
from nowt.layers.feedback import Feedback, remind_of_steps
from nowt.layers.inputs import Inputs
from nowt.layers.propagation import OutputError, is_plain
from nowt.layers.views import Between, prepare
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer

__all__ = ["attach", "feedback_layers", "using_backprop"]


def attach(
    model: nn.Module,
    rule: Rule,
    seed: int = 0,
    activation: str = "relu",
    example: Inputs | None = None,
    quiet: bool = False,
) -> Feedback:
    """Attach a learning rule to a model: the error passes back through each covered layer by the rule.

    Every torch.nn.Conv2d and torch.nn.Linear that ``rule`` covers becomes a ``FeedbackLayer`` in place: names,
    parameters, hooks and references stay. A warning names the weights that no rule can cover, such as those of
    attention and Conv1d (see ``uncovered_weights``); they use backprop. With ``example``, so do layers whose own
    forward is never called, because a function uses their weights; and parameters that are only added to activity, such
    as position embeddings, are not named. Layers that share one W share one B; the
    first of them is in the returned list.

    ``torch.func`` works on the model: ``functional_call``, ``grad``, ``vjp``, and ``vmap`` for the gradients of each
    sample; rules that receive activity or errors refuse it. ``torch.compile`` does, too, with ``fullgraph=True`` unless
    the rule overrides ``feedback`` or ``send_back`` or observes activity or errors. The rule's backward path cannot be
    differentiated again (``create_graph``, ``hessian``).

    Args:
        model: The network. It must not be wrapped in DataParallel or compiled yet, nor have a rule attached.
        rule: The learning rule. ``Backprop()`` replaces no layer.
        seed: Seed of B, which is drawn by layer name. Default 0.
        activation: The nonlinearity above all layers except the last: ``"relu"`` (default), ``"tanh"``, ``"sigmoid"``
            or ``"linear"``. Used by mirror mode with ``through="nonlinearity"``.
        example: A batch of inputs: a tensor, a tuple of positional inputs (``model(*example)``) or a dictionary of
            keyword inputs (``model(**example)``). A forward pass shows which layers are called, which layer is the last
            one and how large each convolution's map is (needed by mirror mode with ``extent=0``). Recommended, and
            needed if the model has lazy layers. Default None: every layer counts as called, and the last layer is the
            last one that the model defines.
        quiet: Do not warn of uncovered weights, nor of training without the rule's steps. Default False.

    Returns:
        The feedback layers, in the order in which the model defines them: a list that also has ``step``, to be called
        in place of ``optimizer.step()``, and ``angles`` (see ``Feedback``).

    Raises:
        ValueError: If the model is wrapped, compiled, has a rule attached or has no layer to replace; if ``example``
            does not fit; if a field of the rule has the wrong type; or if the rule does not work on a layer (all its
            weights start at 0, or B learns and W is computed from other parameters, as by pruning). The model is then
            unchanged, except that lazy layers have their weights.

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
    check_rule(rule, activation)
    candidates = find_candidates(model, rule, example)
    groups = covered_layers(model, rule, candidates)
    if not quiet and rule.name != "bp" and (names := uncovered_weights(model, candidates.observed)):
        advice = "; pass example to leave out parameters that are only added, and to find layers that are never called"
        advice = advice if example is None else ""
        warnings.warn(describe_uncovered(names, limit=None) + advice, stacklevel=2)
    feedback = Feedback(_attach_groups(groups, candidates, rule, seed, activation), model, rule, seed)
    if not quiet:
        remind_of_steps(feedback)
    return feedback


def attach_to_candidates(
    model: nn.Module, rule: Rule, seed: int, candidates: Candidates, between: Between | None = None
) -> list[FeedbackLayer]:
    """Attach the rule as ``attach`` does, but quietly, and to layers of ``model`` that were found before.

    ``between`` is called with each layer, when nowt has drawn its B and before the rule prepares it.
    """
    check_rule(rule, "relu")
    return _attach_groups(covered_layers(model, rule, candidates), candidates, rule, seed, "relu", between)


def _attach_groups(
    groups: list[list[str]],
    candidates: Candidates,
    rule: Rule,
    seed: int,
    activation: str,
    between: Between | None = None,
) -> list[FeedbackLayer]:
    """Attach the rule to groups of layers, each of which shares one W."""
    layers = []
    with _restored_on_error([candidates.found[name] for names in groups for name in names]):
        for names in groups:
            layer, *tied = (_replace(candidates, name, rule, activation) for name in names)
            layer.tied = tuple(tied)
            prepare(layer, seed, between)
            layers.append(layer)
    if "output_error" in rule.signals and layers:
        _watch_output(layers)
    return layers


@contextmanager
def _restored_on_error(modules: list[nn.Module]) -> Iterator[None]:
    """Context manager that makes the modules what they were if the block raises, as a rule's ``prepare`` may."""
    before = [(module, type(module), dict(vars(module)), dict(module._parameters)) for module in modules]
    try:
        yield
    except BaseException:
        for module, kind, attributes, parameters in before:
            module.__class__ = kind
            vars(module).clear()
            vars(module).update(attributes)
            module._parameters.clear()
            module._parameters.update(parameters)
        raise


def _watch_output(layers: list[FeedbackLayer]) -> None:
    """Keep the loss's gradient at the network's output, for layers whose rule uses it."""
    watch = OutputError()
    layers[0].output_layer.register_forward_hook(watch)
    for layer in layers:
        for one in (layer, *layer.tied):
            one.__dict__["output_error"] = watch


def _replace(candidates: Candidates, name: str, rule: Rule, activation: str) -> FeedbackLayer:
    """Change the module's class, so that references to it, hooks on it and shared weights stay valid."""
    module, last = candidates.found[name], candidates.last
    module.__class__ = REPLACED[type(module)]
    assert isinstance(module, FeedbackLayer)
    module.rule = rule
    module.name = name
    module.activation = "linear" if name == last else activation
    module.plain = is_plain(rule)
    module.map_size = candidates.map_size(name)
    if name != last:  # not as a submodule, which would give its weights a second name
        module.__dict__["output_layer"] = candidates.found[last]
    # torch.fx keeps a module whole, as it does torch's own layers, if the module says that it comes from torch.nn
    module.__dict__["__module__"] = "torch.nn"
    return module
