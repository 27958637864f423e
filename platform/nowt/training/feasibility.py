"""Whether a config can be trained: on this data, with this model, by this many workers."""

import math

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nowt.config.placement import workers_to_text
from nowt.config.run_config import RunConfig
from nowt.core.errors import require
from nowt.rules.base import Rule
from nowt.rules.feedback import FeedbackRule, is_shortcut


def check_enough_images(config: RunConfig, pictures: int) -> None:
    """Raise ConfigError where a batch or the probe wants more pictures than there are to train on."""
    shown = pictures * config.data.repeat
    times = f"{pictures} training pictures" + (f", {config.data.repeat} times each" if config.data.repeat > 1 else "")
    require(
        config.batch <= shown, f"batch is {config.batch}: it must be at most {shown}, an epoch's pictures ({times})"
    )
    samples = config.probe.samples
    require(samples <= pictures, f"probe.samples is {samples}: it must be at most {pictures}, the training pictures")


def refuse_unused(rule: Rule, model: nn.Module) -> None:
    """Raise ValueError where ``rule.shortcuts`` is backprop and the model has no projection shortcut."""
    unused = not any(is_shortcut(name) for name, _ in model.named_modules())
    if isinstance(rule, FeedbackRule) and rule.shortcuts == "backprop" and unused:
        raise ValueError(
            f"rule.shortcuts is backprop, but {type(model).__name__} has no projection shortcut (a layer in a module "
            "called downsample or shortcut): leave it at rule"
        )


def refuse_undivided(config: RunConfig, workers: int) -> None:
    """Raise ConfigError unless ``workers`` can share each batch, its groups and the mirror's noise equally."""
    hindrance = _hindrance(config, workers)
    require(not hindrance, hindrance)


def sizes(config: RunConfig, workers: int | tuple[int, int]) -> tuple[int, ...]:
    """Of the numbers of workers that are allowed, those that can share the run, ascending. Raises ConfigError where
    there is none."""
    if isinstance(workers, int):
        refuse_undivided(config, workers)
        return (workers,)
    found = tuple(n for n in range(workers[0], workers[1] + 1) if not _hindrance(config, n))
    can = ", ".join(str(n) for n in range(1, config.batch + 1) if not _hindrance(config, n))
    require(
        bool(found),
        f"--workers is {workers_to_text(workers)}: of these none can share equally a batch of {config.batch}, its "
        f"groups of model.norm_group and rule.streams; these numbers can: {can}",
    )
    return found


def _hindrance(config: RunConfig, workers: int) -> str:
    """Why so many workers cannot share the run; nothing where they can."""
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


def refuse_whole_norm(config: RunConfig, model: nn.Module, workers: int) -> None:
    """Raise ConfigError where ``workers`` would each take batch norm over less than the whole batch, which the config
    asks for: the number of workers must not change the numbers."""
    if workers == 1 or config.model.norm_group is not None:
        return
    share = config.batch // workers
    fits = math.gcd(share, config.probe.samples)
    advice = f"--model.norm_group {fits}" if fits > 1 else "--model.norm_group, which also divides probe.samples,"
    require(
        not any(isinstance(module, _BatchNorm) for module in model.modules()),
        f"model.norm_group is none, so batch norm is over all {config.batch} pictures of a batch, of which each of "
        f"{workers} workers sees {share}: give {advice} (for one worker, too, to compare with)",
    )
