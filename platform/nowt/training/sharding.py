"""Each worker's share of a run: whether it can be divided, and what each worker has of its own in mid-epoch.

That is the running statistics and the sums of the epoch. A checkpoint holds the whole's: the mean of the statistics and
the sums over all. It holds each worker's own besides, for a run that goes on with as many workers, so that it ends as
one that never stopped.
"""

from typing import Any

import torch
from torch import Tensor, nn

from nowt.core.distributed import Group
from nowt.training.loss import Totals


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """The buffers that training advances by each worker's own pictures, by name (batch norm's means and variances)."""
    return {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}


def average_running_statistics(model: nn.Module, group: Group) -> None:
    """Make every worker's running statistics their mean: what one worker with all the groups of pictures has."""
    found = list(running_statistics(model).values())
    if group.size > 1 and found:
        group.sum(found)
        for buffer in found:
            buffer.div_(group.size)


def worker_state(model: nn.Module, totals: Totals, group: Group) -> dict[str, Any]:
    """The parts of a checkpoint that differ from worker to worker, those of all workers."""
    if group.size == 1:
        return {"totals": (totals.loss, totals.wrong, totals.shown)}
    counts = torch.stack([totals.loss, totals.wrong, torch.full_like(totals.loss, totals.shown)])
    buffers = [buffer.double().reshape(-1) for buffer in running_statistics(model).values()]
    rows = torch.stack(group.gather(torch.cat([counts, *buffers])))
    loss, wrong, shown = rows[:, :3].sum(0).unbind()
    return {"totals": (loss, wrong, int(shown)), "workers": rows}


def aggregated_model_state(model: nn.Module, own: dict[str, Any]) -> dict[str, Tensor]:
    """The model's state, its statistics those of the whole."""
    state: dict[str, Tensor] = model.state_dict()
    if "workers" in own:
        state = {**state, **_buffers(model, own["workers"].mean(0))}
    return state


def restore_worker_state(model: nn.Module, state: dict[str, Any], group: Group) -> Totals:
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
    found = running_statistics(model)
    parts = torch.split(row[3:], [buffer.numel() for buffer in found.values()])
    return {n: part.view_as(buffer).to(buffer.dtype) for (n, buffer), part in zip(found.items(), parts, strict=True)}
