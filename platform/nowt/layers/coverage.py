"""Which layers of a model a rule applies to, and which weights use backprop whatever the rule."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import nn

from nowt.core.fields import check_type, field_types
from nowt.layers.conv import Conv2d
from nowt.layers.forward_pass import ForwardPass, materialize, matrices_of_other_modules, observe
from nowt.layers.inputs import Inputs, check_inputs
from nowt.layers.layer_checks import check_layer
from nowt.layers.linear import Linear
from nowt.rules import rule_checks
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import NONLINEARITIES, FeedbackLayer
from nowt.rules.registry import require_rule

REPLACED: dict[type[nn.Module], type[FeedbackLayer]] = {nn.Conv2d: Conv2d, nn.Linear: Linear}


@dataclass(frozen=True)
class Candidates:
    """The layers of a model that rules can apply to.

    Attributes:
        found: Every torch.nn.Conv2d and torch.nn.Linear, by name, in the order in which the model defines them.
        observed: How the forward pass uses them; None without an example.
    """

    found: dict[str, nn.Module]
    observed: ForwardPass | None

    @property
    def last(self) -> str:
        """Name of the layer that the forward pass calls last; without an example, of the one defined last."""
        order = self.observed.map_sizes if self.observed else {}
        return next(reversed(order), next(reversed(self.found)))

    @property
    def uncalled(self) -> frozenset[str]:
        """Names of the layers whose own forward is never called; none are known without an example."""
        return self.observed.uncalled if self.observed else frozenset()

    def map_size(self, name: str) -> tuple[int, int] | None:
        """Return height and width of a convolution's input, if an example showed it."""
        return self.observed.map_sizes.get(name) if self.observed else None


def find_candidates(model: nn.Module, rule: Rule, example: Inputs | None) -> Candidates:
    """Return the layers that rules can apply to. Lazy layers receive their weights; nothing else changes.

    Raises ValueError if the model is wrapped, compiled, has a rule attached or has no such layer, or if ``example``
    does not fit.
    """
    _check_unwrapped(model)
    if example is not None:
        check_inputs(model, example, "example")
    materialize(model, example)
    found = {name: module for name, module in model.named_modules() if type(module) in REPLACED}
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no torch.nn.Conv2d or torch.nn.Linear layer, so there is nothing to attach "
            f"{rule.name} to: pass the model that contains them (subclasses of these layers are not replaced)"
        )
    return Candidates(found, None if example is None else observe(model, found, example))


def check_rule(rule: Rule, activation: str) -> None:
    """Raise ValueError unless ``rule`` is a Rule whose fields have the types it declares, and ``activation`` exists."""
    require_rule(rule)
    rule_checks.check_rule(rule)
    for field in fields(rule):
        check_type(field_types(type(rule))[field.name], getattr(rule, field.name), f"rule.{field.name}", strict=True)
    if activation not in NONLINEARITIES:
        raise ValueError(f"activation is {activation!r}: it must be one of {', '.join(NONLINEARITIES)}")


def covered_layers(model: nn.Module, rule: Rule, candidates: Candidates) -> list[list[str]]:
    """Return the names of the layers that ``rule`` covers, those with the same W together.

    Raises ValueError if there is none, or if the rule does not work on one of them.
    """
    groups: dict[int, list[str]] = {}
    for name, module in candidates.found.items():
        if name not in candidates.uncalled and rule.covers(name, name == candidates.last):
            groups.setdefault(id(module.weight), []).append(name)
    if not groups and rule.name != "bp":
        raise ValueError(
            f"rule {rule.name!r} with these settings applies to no layer of {type(model).__name__}, so every layer "
            "would use backprop"
        )
    for name, *_ in groups.values():
        check_layer(rule, name, name == candidates.last, candidates.found[name])
    return list(groups.values())


def feedback_layers(model: nn.Module) -> list[FeedbackLayer]:
    """Return the layers of ``model`` with a rule attached, in the order in which the model defines them.

    Of layers that share one W, and therefore one B, only the first is returned.
    """
    found = [module for module in model.modules() if isinstance(module, FeedbackLayer)]
    others = {id(other) for layer in found for other in layer.tied}
    return [layer for layer in found if id(layer) not in others]


def uncovered_weights(model: nn.Module, observed: ForwardPass | None = None) -> list[str]:
    """Return the names of weights through which an error passes back by backprop, whatever the rule.

    These are the weights of layers other than Conv2d and Linear, for example of attention, Conv1d and subclasses of the
    two, trained or not. If the model's forward pass was ``observed``, these are also the weights that a function uses
    in place of or in addition to their layer, and not the parameters that are only added to activity. Other weights of
    embeddings are not listed, since they pass no error on.
    """
    others = matrices_of_other_modules(model, (*REPLACED, *REPLACED.values()))
    if observed is None:
        return list(others)
    wanted = (others.keys() - observed.added) | observed.used_elsewhere
    named = model.named_parameters(remove_duplicate=False)
    matrices = [name for name, parameter in named if parameter.dim() > 1]
    return [name for name in matrices if name in wanted or name.rpartition(".")[0] in observed.uncalled]


def describe_uncovered(names: Sequence[str], limit: int | None = 3) -> str:
    """Return a sentence that lists the weights found by ``uncovered_weights``, at most ``limit`` by name."""
    shown = names[:limit]
    listed = ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
    return f"these weights use backprop, since rules apply only where a Conv2d or Linear layer is called: {listed}"


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
