"""Checks that a config can be trained: on this data, with this model, by this number of workers."""

import math

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nowt.config.placement import Placement, workers_to_text
from nowt.config.run_config import RunConfig
from nowt.core.errors import require
from nowt.data.datasets import DatasetSplits
from nowt.rules.base import Rule
from nowt.rules.feedback import FeedbackRule, is_shortcut


def check_feasible(config: RunConfig, placement: Placement, data: DatasetSplits, model: nn.Module) -> None:
    """Raise ConfigError unless the workers of ``placement`` can train ``model`` on ``data`` with this config."""
    most_workers = worker_counts(config, placement.workers)[-1]
    check_enough_images(config, len(data.train))
    check_batch_norm(config, model, most_workers)


def check_enough_images(config: RunConfig, images: int) -> None:
    """Raise ConfigError if a batch or the probe needs more images than there are training images."""
    shown = images * config.data.repeat
    times = f"{images} training images" + (f", {config.data.repeat} times each" if config.data.repeat > 1 else "")
    message = f"batch is {config.batch}: it must be at most {shown}, the number of images per epoch ({times})"
    require(config.batch <= shown, message)
    samples = config.probe.samples
    message = f"probe.samples is {samples}: it must be at most {images}, the number of training images"
    require(samples <= images, message)


def check_shortcuts(rule: Rule, model: nn.Module) -> None:
    """Raise ValueError if ``rule.shortcuts`` is backprop and the model has no projection shortcut."""
    unused = not any(is_shortcut(name) for name, _ in model.named_modules())
    if isinstance(rule, FeedbackRule) and rule.shortcuts == "backprop" and unused:
        raise ValueError(
            f"rule.shortcuts is backprop, but {type(model).__name__} has no projection shortcut (a layer in a module "
            "called downsample or shortcut): leave it at rule"
        )


def check_worker_count(config: RunConfig, workers: int) -> None:
    """Raise ConfigError unless ``workers`` can share each batch, its groups and the mirror's noise equally."""
    problem = _problem(config, workers)
    require(not problem, problem)


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
        f"--workers is {workers_to_text(workers)}: no such number of workers divides batch ({config.batch}), norm "
        f"groups and streams equally; use one of: {can}",
    )
    return found


def _problem(config: RunConfig, workers: int) -> str:
    """Return why this number of workers cannot share the run; an empty string if it can."""
    share, rest = divmod(config.batch, workers)
    if workers > 1 and (rest or not share):
        return (
            f"batch is {config.batch}: it must be a multiple of --workers, which is {workers}, such as "
            f"{workers * max(1, share)} or {workers * (share + 1)}"
        )
    group, streams = config.model.norm_group, config.rule.noise_streams()
    if group is not None and share % group:
        return (
            f"model.norm_group is {group}: it must divide each worker's share of the batch, {share} of {config.batch}"
        )
    if streams > 1 and streams % workers:
        return f"rule.streams is {streams}: it must be 1 or a multiple of --workers, which is {workers}"
    return ""


def check_batch_norm(config: RunConfig, model: nn.Module, workers: int) -> None:
    """Raise ConfigError if several workers would train with batch norm over the complete batch. Each worker has only a
    part of it, so the number of workers would change the results."""
    if workers == 1 or config.model.norm_group is not None:
        return
    share = config.batch // workers
    fits = math.gcd(share, config.probe.samples)
    advice = f"--model.norm_group {fits}" if fits > 1 else "--model.norm_group, which also divides probe.samples,"
    require(
        not any(isinstance(module, _BatchNorm) for module in model.modules()),
        f"model.norm_group is none, so batch norm uses all {config.batch} images of a batch, of which each of "
        f"{workers} workers has {share}: give {advice} (for one worker, too, to compare with)",
    )
