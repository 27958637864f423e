"""Checks that a config can be trained: on this data, with this model, by this number of workers."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nowt.config.placement import Placement, workers_to_text
from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError, require
from nowt.core.formatting import counted
from nowt.data.datasets import DatasetSplits, RunData
from nowt.layers.coverage import Candidates, covered_layers, find_candidates, uncovered_weights
from nowt.layers.forward_pass import run
from nowt.models.registry import build_model
from nowt.rules.base import Rule, noise_streams
from nowt.rules.feedback import FeedbackRule, is_shortcut
from nowt.training.device import PARAMETER_DTYPES


def check_feasible(config: RunConfig, placement: Placement, data: DatasetSplits, model: nn.Module) -> None:
    """Raise ConfigError unless the workers of ``placement`` can train ``model`` on ``data`` with this config."""
    most_workers = worker_counts(config, placement.workers)[-1]
    check_enough_images(config, len(data.train))
    check_batch_norm(config, model, most_workers)


def check_network(config: RunConfig, data: DatasetSplits, rules: Iterable[Rule], needs_gpu: bool = False) -> list[str]:
    """Check on two images that the model returns a score per class and that the rules work on its layers.

    The check runs on the CPU. If the model fails there and ``needs_gpu`` is true, the check is left to the run.

    Returns the names of the weights that use backprop under each of the rules (see ``uncovered_weights``). Raises
    ConfigError if the model does not fit the images or a rule does not work on it.
    """
    # two images are no complete group of norm_group, which changes no shape
    model = build_model(replace(config.model, norm_group=None), data.shape, data.classes, seed=0)
    model = model.to(dtype=PARAMETER_DTYPES[config.precision])
    example = torch.zeros(2, *data.shape, dtype=PARAMETER_DTYPES[config.precision])
    try:
        check_outputs(config, model, example, data.classes)
        candidates = find_candidates(model, config.rule, example)
    except ConfigError:
        raise
    except ValueError as error:
        if needs_gpu:
            return uncovered_weights(model)
        raise ConfigError(f"model {config.model.name}: {error}") from error
    for rule in rules:
        _check_rule(rule, model, candidates, config.model.name)
    return uncovered_weights(model, candidates.observed)


def _check_rule(rule: Rule, model: nn.Module, candidates: Candidates, name: str) -> None:
    try:
        check_shortcuts(rule, model)
        covered_layers(model, rule, candidates)
    except ValueError as error:
        raise ConfigError(f"model {name}: {error}") from error


def check_outputs(config: RunConfig, model: nn.Module, example: Tensor, classes: int) -> None:
    """Raise ConfigError unless ``model`` returns one tensor (n, classes), in eval and in train mode; ValueError if
    ``example`` does not fit."""
    for training in (False, True):
        check_output(config.model.name, run(model, example, training), len(example), classes)


def check_output(model: str, output: object, images: int, classes: int) -> None:
    """Raise ConfigError, naming the model, unless ``output`` is one tensor of shape (images, classes)."""
    if isinstance(output, Tensor) and output.shape == (images, classes):
        return
    raise ConfigError(
        f"model {model} returns {_describe(output)} for {counted(images, 'image')} of "
        f"{counted(classes, 'class', 'classes')}: it must return one tensor of shape ({images}, {classes}), with a "
        "score for each class, in train mode and in eval mode"
    )


def _describe(output: object) -> str:
    """Return the kind of a model's output and the shapes of its tensors, as text."""
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    parts: dict[Any, Any] = {}
    if isinstance(output, Mapping):
        parts = dict(output)
    elif isinstance(output, tuple | list):
        parts = dict(zip(getattr(output, "_fields", range(len(output))), output, strict=True))
    listed = [f"{k} {tuple(v.shape) if isinstance(v, Tensor) else type(v).__name__}" for k, v in parts.items()]
    return f"a {type(output).__name__}" + (f" ({', '.join(listed)})" if listed else "")


def check_enough_images(config: RunConfig, images: int) -> None:
    """Raise ConfigError if a batch or the probe needs more images than there are training images."""
    shown = images * config.data.repeat
    times = counted(str(images), "training image") + (
        f", {config.data.repeat} times each" if config.data.repeat > 1 else ""
    )
    message = f"batch is {config.batch}: it must be at most {shown}, the number of images per epoch ({times})"
    require(config.batch <= shown, message)
    samples = config.probe.samples
    message = f"probe.samples is {samples}: it must be at most {images}, the number of training images"
    require(samples <= images, message)


def check_shortcuts(rule: Rule, model: nn.Module) -> None:
    """Raise ValueError if ``rule.shortcuts`` is backprop and the model has no projection shortcut."""
    unused = not any(is_shortcut(name) for name, _ in model.named_modules())
    if isinstance(rule, FeedbackRule) and rule.shortcuts == "backprop" and unused:
        raise ConfigError(
            f"rule.shortcuts is backprop, but {type(model).__name__} has no projection shortcut (a layer in a module "
            "called downsample or shortcut): leave it at rule"
        )


def check_worker_count(config: RunConfig, workers: int) -> None:
    """Raise ConfigError unless ``workers`` can share each batch, its groups and the mirror's noise equally."""
    problem = _problem(config, workers)
    require(not problem, problem)


def check_split(config: RunConfig, data: DatasetSplits) -> None:
    """Raise ConfigError unless ``data`` is split as in the run; with ``data.split="by_seed"``, by the run's seed."""
    wanted = RunData.of(config).split_seed
    given, needed = ("the fixed split" if s is None else f"that of seed {s}" for s in (data.split_seed, wanted))
    require(data.split_seed == wanted, f"the split of the data is {given}, and this run needs {needed}")


def worker_counts(config: RunConfig, workers: int | tuple[int, int]) -> tuple[int, ...]:
    """Return the allowed numbers of workers that can share the run, in ascending order. Raises ConfigError if there is
    none."""
    if isinstance(workers, int):
        check_worker_count(config, workers)
        return (workers,)
    found = tuple(n for n in range(workers[0], workers[1] + 1) if not _problem(config, n))
    can = ", ".join(str(n) for n in range(1, config.batch + 1) if not _problem(config, n))
    require(
        bool(found),
        f"workers is {workers_to_text(workers)}: no such number of workers divides batch ({config.batch}), norm "
        f"groups and streams equally; use one of: {can}",
    )
    return found


def _problem(config: RunConfig, workers: int) -> str:
    """Return why this number of workers cannot share the run; an empty string if it can."""
    share, rest = divmod(config.batch, workers)
    if workers > 1 and (rest or not share):
        return (
            f"batch is {config.batch}: it must be a multiple of the number of workers, which is {workers}, such as "
            f"{workers * max(1, share)} or {workers * (share + 1)}"
        )
    group, streams = config.model.norm_group, noise_streams(config.rule)
    if group is not None and share % group:
        return (
            f"model.norm_group is {group}: it must divide each worker's share of the batch, {share} of {config.batch}"
        )
    if streams > 1 and streams % workers:
        return f"rule.streams is {streams}: it must be 1 or a multiple of the number of workers, which is {workers}"
    return ""


def check_batch_norm(config: RunConfig, model: nn.Module, workers: int) -> None:
    """Raise ConfigError if several workers would train with batch norm over the complete batch. Each worker has only a
    part of it, so the number of workers would change the results."""
    if workers == 1 or config.model.norm_group is not None:
        return
    share = config.batch // workers
    fits = math.gcd(share, config.probe.samples)
    advice = f"{fits}" if fits > 1 else "a number that also divides probe.samples"
    require(
        not any(isinstance(module, _BatchNorm) for module in model.modules()),
        f"model.norm_group is none, so batch norm uses all {config.batch} images of a batch, of which each of "
        f"{workers} workers has {share}: set model.norm_group to {advice} (for one worker, too, to compare with)",
    )
