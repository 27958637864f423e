"""The null-space test for training code that nowt did not write.

A function returns a model and a step: ``FUNCTION() -> (model, step)``. It is called three times with the same random
state. The first two runs show that the step is deterministic. In the third, every W gets a matrix before each step that
maps the inputs of its layer in this step to 0, so that all activity is the same to rounding. Gradients, updates and all
other tensors that the step can reach must then be the same, too, unless something read W.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nowt.core.errors import ConfigError, require
from nowt.core.plugins import load_object
from nowt.core.random_state import preserved_random_state, seed_all
from nowt.core.seeding import generator
from nowt.evaluation.certify.step_result import BOUND, WHOLE, ExaminedLayer, StepCertificate
from nowt.evaluation.certify.step_tensors import Named, StepResult, differences, reachable_tensors
from nowt.layers.null_space import Inputs, inputs_by_name, move_in_null_space, rank_of
from nowt.rules.own_weight import has_own_weight
from nowt.store.certificates import certifying_versions

STEPS = 3  # a copy of W that is made in one step may be used in the next

CONTRACT = (
    "it must return (model, step): a torch.nn.Module, and a function without arguments that does one training step"
)

SEED = 0


@dataclass
class Run:
    """One run of a few steps: what each did, the weights before it, and the activity of the layers in it."""

    model: nn.Module
    results: list[StepResult] = field(default_factory=list)
    weights: list[Named] = field(default_factory=list)
    inputs: list[Inputs] = field(default_factory=list)
    outputs: list[dict[str, list[Tensor]]] = field(default_factory=list)


def certify_step(spec: str) -> StepCertificate:
    """Examine the step that a function builds; ``spec`` is ``FILE.py:FUNCTION`` or ``module:FUNCTION``.

    Raises ConfigError if the function does not return a model and a step, if the step fails in float64, is not
    deterministic or shows W in the activity, or if no layer can be examined.
    """
    with preserved_random_state(torch.device("cpu")), _double_precision():
        first, second = _run(spec), _run(spec)
        _check_deterministic(spec, first, second)
        reasons = _reasons(first)
        names = [name for name, reason in reasons.items() if not reason]
        if not names:
            raise ConfigError(f"{spec}: no linear layer or convolution can be examined ({_listed(reasons)})")
        moved = _run(spec, first, names)
        _check_activity(spec, first, moved)
    return _certificate(spec, first, moved, reasons)


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name or WHOLE}: {reason}" for name, reason in reasons.items()) or "the model has no such layer"


def _certificate(spec: str, first: Run, moved: Run, reasons: Mapping[str, str]) -> StepCertificate:
    changes, steps = _changes(first, moved)
    ranked = dict(sorted(changes.items(), key=lambda item: -item[1]))
    return StepCertificate(
        function=spec,
        layers=tuple(_examined(first, name, reason, changes) for name, reason in reasons.items()),
        steps=steps,
        compared=len(changes),
        changes={name: change for name, change in ranked.items() if not change <= BOUND},
        largest=max(changes.values(), default=0.0),
        versions=certifying_versions(),
    )


def _changes(first: Run, moved: Run) -> tuple[dict[str, float], int]:
    """Return the relative change of each tensor, and the number of steps up to the first one with a change, since the
    weights of later steps differ as well."""
    changes: dict[str, float] = {}
    for number, (one, other) in enumerate(zip(first.results, moved.results, strict=True), 1):
        for name, change in differences(one, other).items():
            changes[name] = max(change, changes.get(name, 0.0))
        if any(not change <= BOUND for change in changes.values()):
            return changes, number
    return changes, STEPS


def _examined(run: Run, name: str, reason: str, changes: Mapping[str, float]) -> ExaminedLayer:
    inputs = [each[name] for each in run.inputs if name in each]
    fan_in, rank = (inputs[0].shape[2], max(map(rank_of, inputs))) if inputs else (0, 0)
    own = [change for key, change in changes.items() if key.partition(" of ")[2].rpartition(".")[0] == name]
    return ExaminedLayer(name, fan_in, rank, max(own, default=0.0), reason)


def _run(spec: str, first: Run | None = None, names: list[str] | None = None) -> Run:
    """Build model and step, and do a few steps. With ``names``, change the W of these layers before each step."""
    model, step = _build(spec)
    run, layers = Run(model), _layers(model)
    for number in range(STEPS):
        if first is not None:
            for name in names or ():
                weight = layers[name].weight
                weight.data.copy_(first.weights[number][name])
                move_in_null_space(weight, first.inputs[number][name], generator(SEED, "null space", name, number))
        run.weights.append(
            {name: layer.weight.detach().clone() for name, layer in layers.items() if has_own_weight(layer)}
        )
        seed_all(number)
        before = _copies(model, step)
        with inputs_by_name({layer: name for name, layer in layers.items()}) as inputs, _outputs(layers) as outputs:
            _call(spec, step)
        run.inputs.append(inputs)
        run.outputs.append(outputs)
        run.results.append(_result(model, before, _copies(model, step)))
    return run


def _build(spec: str) -> tuple[nn.Module, Callable[[], Any]]:
    function = load_object(spec)
    require(callable(function), f"{spec} is no function: {CONTRACT}")
    seed_all(SEED)
    try:
        built = function()
    except Exception as error:  # code of anyone
        raise ConfigError(f"{spec} raised {type(error).__name__}: {_line(error)}") from error
    fits = isinstance(built, tuple) and len(built) == 2 and isinstance(built[0], nn.Module) and callable(built[1])
    given = type(built).__name__ if not isinstance(built, tuple) else f"({', '.join(type(b).__name__ for b in built)})"
    require(fits, f"{spec} returned {given}: {CONTRACT}")
    model, step = built
    model.double()
    _check_shared(spec, model)
    return model, step


def _call(spec: str, step: Callable[[], Any]) -> None:
    try:
        step()
    except Exception as error:  # code of anyone
        advice = ""
        if "dtype" in str(error) or "scalar type" in str(error):
            advice = "; nowt runs the model in float64: convert the data by .double()"
        raise ConfigError(f"the step of {spec} raised {type(error).__name__}: {_line(error)}{advice}") from error


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def _double_precision() -> Iterator[None]:
    """Run the block with float64 as torch's default, on one thread."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


def _layers(model: nn.Module) -> dict[str, Any]:
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}


def _check_shared(spec: str, model: nn.Module) -> None:
    """Raise ConfigError if a layer's W belongs to another module as well."""
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            other = owners.setdefault(id(parameter), name)
            if other != name and key == "weight" and parameter.dim() > 1:
                raise ConfigError(
                    f"{spec}: {other or WHOLE} and {name} share one W: give each layer a W of its own for the test"
                )


@contextmanager
def _outputs(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """Record the outputs of all calls of each layer."""
    found: dict[str, list[Tensor]] = {}
    names = {layer: name for name, layer in layers.items()}

    def keep(layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            found.setdefault(names[layer], []).append(output.detach().clone())

    with ExitStack() as hooks:
        for layer in names:
            hooks.enter_context(layer.register_forward_hook(keep))
        yield found


def _copies(model: nn.Module, step: Callable[[], Any]) -> Named:
    found = reachable_tensors(model, step)
    return {name: value.detach().double().clone() for name, value in found.items() if not value.is_complex()}


def _result(model: nn.Module, before: Named, after: Named) -> StepResult:
    changes = {
        name: value - before[name] if name in before and before[name].shape == value.shape else value
        for name, value in after.items()
    }
    named = model.named_parameters()
    gradients = {name: p.grad.detach().double().clone() for name, p in named if p.grad is not None}
    return StepResult(gradients, changes, {name: float(value.norm()) for name, value in after.items()})


def _check_deterministic(spec: str, first: Run, second: Run) -> None:
    for one, other in zip(first.results, second.results, strict=True):
        for name, change in differences(one, other).items():
            if not change <= BOUND:
                raise ConfigError(
                    f"{spec}: two runs of the same step differ ({name}): nowt seeds torch, Python and NumPy before "
                    "each step; build all that a step changes in the function, and draw from these random states only"
                )
    if not any(bool(value.any()) for result in first.results for value in result.changes.values()):
        raise ConfigError(f"{spec}: the step changes nothing: it must do a complete training step of the model")


def _check_activity(spec: str, first: Run, moved: Run) -> None:
    """Raise ConfigError if the first step's activity shows the change of W, so that nothing follows from the rest."""
    for name, outputs in first.outputs[0].items():
        others = moved.outputs[0].get(name, [])
        require(
            len(outputs) == len(others) and _close(outputs[0], others[0]),  # later calls may follow an update
            f"{spec}: the output of layer {name} shows the change of W, which maps the layer's inputs to 0: a layer "
            "computes something else than W x + bias (weight normalization, constrained or binary weights), or W is "
            "used elsewhere in the model: take that out for the test",
        )


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and float((one - other).norm()) <= BOUND * float(one.norm()) + 1e-30


def _reasons(run: Run) -> dict[str, str]:
    """Return why each layer, or other module with a weight matrix, cannot be examined; empty for those that can."""
    layers = _layers(run.model)
    reasons = {name: _reason(run, name, layer) for name, layer in layers.items()}
    for name, module in run.model.named_modules():
        within = name.partition(".parametrizations.")[0]  # of a layer that is named already
        if within not in layers and any(p.dim() > 1 and p.requires_grad for p in module.parameters(recurse=False)):
            reasons[name or "the model"] = (
                f"{type(module).__name__} is no linear layer or convolution in two dimensions"
            )
    return reasons


def _reason(run: Run, name: str, layer: nn.Module) -> str:
    if not has_own_weight(layer):
        return "its W is computed from other parameters (weight norm, pruning): remove the parametrization"
    inputs = [each.get(name) for each in run.inputs]
    called = [each for each in inputs if each is not None]
    if len(called) < len(inputs):
        return "the step does not call it"
    full = [each for each in called if rank_of(each) >= each.shape[2]]
    if full:
        return f"its inputs span all {full[0].shape[2]} dimensions of its fan-in: use a smaller batch or smaller images"
    return ""
