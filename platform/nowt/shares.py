"""Each worker's share of a run: whether it can be divided, and what each worker has of its own in mid-epoch.

That is the running statistics and the sums of the epoch. A checkpoint holds the whole's: the mean of the statistics and
the sums over all. It holds each worker's own besides, for a run that goes on with as many workers, so that it ends as
one that never stopped.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nowt.config import RunConfig, workers_text
from nowt.errors import require
from nowt.group import Group
from nowt.loss import Totals


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
        f"--workers is {workers_text(workers)}: of these none can share equally a batch of {config.batch}, its groups "
        f"of model.norm_group and rule.streams; these numbers can: {can}",
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


def statistics(model: nn.Module) -> dict[str, Tensor]:
    """The buffers that training advances by each worker's own pictures, by name (batch norm's means and variances)."""
    return {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}


def average_statistics(model: nn.Module, group: Group) -> None:
    """Make every worker's running statistics their mean: what one worker with all the groups of pictures has."""
    found = list(statistics(model).values())
    if group.size > 1 and found:
        group.sum(found)
        for buffer in found:
            buffer.div_(group.size)


def own_state(model: nn.Module, totals: Totals, group: Group) -> dict[str, Any]:
    """The parts of a checkpoint that differ from worker to worker, those of all workers."""
    if group.size == 1:
        return {"totals": (totals.loss, totals.wrong, totals.shown)}
    counts = torch.stack([totals.loss, totals.wrong, torch.full_like(totals.loss, totals.shown)])
    buffers = [buffer.double().reshape(-1) for buffer in statistics(model).values()]
    rows = torch.stack(group.gather(torch.cat([counts, *buffers])))
    loss, wrong, shown = rows[:, :3].sum(0).unbind()
    return {"totals": (loss, wrong, int(shown)), "workers": rows}


def whole_model(model: nn.Module, own: dict[str, Any]) -> dict[str, Tensor]:
    """The model's state, its statistics those of the whole."""
    state: dict[str, Tensor] = model.state_dict()
    if "workers" in own:
        state = {**state, **_buffers(model, own["workers"].mean(0))}
    return state


def restore_own(model: nn.Module, state: dict[str, Any], group: Group) -> Totals:
    """Take this worker's part of a checkpoint, the model's state being there already; the sums of its epoch."""
    rows = state.get("workers")
    if rows is not None and len(rows) == group.size:
        row = rows[group.rank]
        for name, value in _buffers(model, row).items():
            model.get_buffer(name).copy_(value)
        return Totals(row[0].clone(), row[1].clone(), int(row[2]))
    loss, wrong, shown = state["totals"]
    return Totals(loss, wrong, shown) if group.rank == 0 else Totals.zero(loss.device)


def _buffers(model: nn.Module, row: Tensor) -> dict[str, Tensor]:
    found = statistics(model)
    parts = torch.split(row[3:], [buffer.numel() for buffer in found.values()])
    return {n: part.view_as(buffer).to(buffer.dtype) for (n, buffer), part in zip(found.items(), parts, strict=True)}
