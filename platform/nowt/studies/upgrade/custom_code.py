"""Why the code of a custom rule or model may give other numbers today than in an earlier version of nowt.

Everything here is a reason not to give a run of an earlier version today's key.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from nowt.config.run_config import RunConfig
from nowt.core.plugins import file_label, is_file_spec, module_source, source_of, split_spec
from nowt.core.source_hash import Source
from nowt.data.earlier import DataIdentity
from nowt.layers.coverage import Candidates, covered_layers, find_candidates, uncovered_weights
from nowt.models.registry import MODELS, build_model
from nowt.rules.base import Rule
from nowt.rules.registry import builtin_rules
from nowt.store.records import RunLog
from nowt.training.device import PARAMETER_DTYPES

COUNTED = ("observe_gradient", "after_step")  # methods whose FLOPs earlier versions did not count

NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


def rule_reasons(rule: Rule) -> Iterator[str]:
    """Yield why the numbers of a rule may have changed; nothing for a built-in rule."""
    kind = type(rule)
    if kind in builtin_rules():
        return
    module = sys.modules[kind.__module__]
    source, label = module_source(module), _file_name(rule.source or rule.name)
    if source is None:
        return  # of an installed package: numerics and version identify it, then as now
    if not rule.source:
        yield f"earlier keys do not contain the code of rule {rule.name}, which is in no file of its own"
    yield from _imports(label, source)
    names = [found.name for found in vars(module).values() if _is_rule_of(found, kind.__module__)]
    if names.count(kind.name) > 1:
        yield f"{label} defines several rules of the name {kind.name}, which earlier versions did not tell apart"
    own = [name for name in COUNTED if not getattr(kind, name).__module__.startswith("nowt.rules.")]
    if own or "mirror" in kind.signals:
        yield f"FLOPs now include what {kind.__name__}.{(own or ['after_step'])[0]} of {label} computes"


def _file_name(spec: str) -> str:
    return split_spec(file_label(spec))[0] or spec


def _is_rule_of(value: Any, module: str) -> bool:
    return isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module


def _imports(label: str, source: Source) -> Iterator[str]:
    if others := [file.name for file in source.files[1:]]:
        yield f"{label} imports {', '.join(others)}, whose code earlier keys do not contain"


def model_reasons(config: RunConfig, run: RunLog, data: DataIdentity) -> Iterator[str]:
    """Yield why the numbers of a model may have changed; nothing for a built-in model.

    Raises ConfigError or ValueError for a model that cannot be built and run on the CPU.
    """
    name = config.model.name
    if name in MODELS:
        return
    source, label = source_of(name), _file_name(name)
    if source is not None:
        if not is_file_spec(name):
            yield f"earlier keys do not contain the code of {name}, only its name"
        yield from _imports(label, source)
    for problem in _changes(config, run, data):
        yield f"{label} {problem}"


def _changes(config: RunConfig, run: RunLog, data: DataIdentity) -> Iterator[str]:
    """Yield what the model does that earlier versions treated in another way."""
    model = build_model(config.model, data.shape, data.classes, seed=0).to(PARAMETER_DTYPES[config.precision])
    example = torch.zeros(config.model.norm_group or 2, *data.shape, dtype=PARAMETER_DTYPES[config.precision])
    candidates = find_candidates(model, config.rule, example)
    uncovered = uncovered_weights(model, candidates.observed)
    # earlier versions also named parameters that are only added to activity
    added = candidates.observed.added if candidates.observed else frozenset()
    if uncovered != [name for name in run.start.get("not_replaced", []) if name not in added]:
        yield "has layers that the forward pass does not call, or weights that a function uses"
    if len({id(module.weight) for module in candidates.found.values()}) < len(candidates.found):
        yield "has layers that share one weight"
    if config.rule.name != "bp" and not _has_depths(model, config.rule, candidates, run):
        yield "has layers in another order than in the log, or others"
    sequences, again = _observed(model, candidates.found.values(), example)
    if sequences and config.rule.name != "bp":
        yield "applies linear layers to sequences, whose rounding has changed"
    if again:
        yield "updates running statistics in the backward pass (checkpointing)"


def _has_depths(model: nn.Module, rule: Rule, candidates: Candidates, run: RunLog) -> bool:
    """Return whether the log has the layers that the rule covers, in today's order."""
    names = [name for name, *_ in covered_layers(model, rule, candidates)]
    ordered = sorted(names, key=lambda name: name == candidates.last)
    logged = next((epoch.layers for epoch in run.epochs if epoch.layers), None)
    return logged is None or {layer.name: layer.depth for layer in logged} == {n: i for i, n in enumerate(ordered)}


def _observed(model: nn.Module, layers: Iterable[nn.Module], example: Tensor) -> tuple[bool, bool]:
    """Return whether a linear layer receives sequences, and whether a norm layer runs in the backward pass."""
    shapes: list[int] = []
    runs: list[nn.Module] = []
    with ExitStack() as stack:
        for layer in (layer for layer in layers if isinstance(layer, nn.Linear)):
            hook = layer.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].dim()))
            stack.callback(hook.remove)
        for module in (module for module in model.modules() if isinstance(module, NORMS)):
            stack.callback(module.register_forward_pre_hook(lambda m, _: runs.append(m)).remove)
        model.train()
        output = model(example.requires_grad_())
        forward = len(runs)
        output.float().sum().backward()
    return any(dim > 2 for dim in shapes), len(runs) > forward
