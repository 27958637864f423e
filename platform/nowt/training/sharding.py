"""Per-worker state of a shared run: batch-norm running statistics and the totals of the current epoch.

A checkpoint stores their aggregate over all workers (the mean of the statistics, the sum of the totals). It also stores
each worker's own, so that a run that resumes with the same number of workers ends with the same result.
"""

from typing import Any

import torch
from torch import Tensor, nn

from nowt.core.distributed import Group
from nowt.training.loss import Totals


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Return the buffers that depend on a worker's own images, by name: batch norm's means and variances."""
    return {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}


def average_running_statistics(model: nn.Module, group: Group) -> None:
    """Replace every worker's running statistics by their mean, which is what a single worker would have."""
    found = list(running_statistics(model).values())
    if group.size > 1 and found:
        group.sum(found)
        for buffer in found:
            buffer.div_(group.size)


def worker_state(model: nn.Module, totals: Totals, group: Group) -> dict[str, Any]:
    """Return the per-worker parts of a checkpoint, gathered from all workers."""
    if group.size == 1:
        return {"totals": (totals.loss, totals.wrong, totals.images)}
    counts = torch.stack([totals.loss, totals.wrong, torch.full_like(totals.loss, totals.images)])
    buffers = [buffer.double().reshape(-1) for buffer in running_statistics(model).values()]
    rows = torch.stack(group.gather(torch.cat([counts, *buffers])))
    loss, wrong, images = rows[:, :3].sum(0).unbind()
    return {"totals": (loss, wrong, int(images)), "workers": rows}


def aggregated_model_state(model: nn.Module, per_worker: dict[str, Any]) -> dict[str, Tensor]:
    """Return the model's state with running statistics averaged over the workers."""
    state: dict[str, Tensor] = model.state_dict()
    if "workers" in per_worker:
        state = {**state, **_buffers(model, per_worker["workers"].mean(0))}
    return state


def restore_worker_state(model: nn.Module, state: dict[str, Any], group: Group) -> Totals:
    """Restore this worker's running statistics, once the model's state is loaded; return its totals."""
    device = next(model.parameters()).device
    rows = state.get("workers")
    if rows is not None and len(rows) == group.size:
        row = rows[group.rank].to(device)
        for name, value in _buffers(model, row).items():
            model.get_buffer(name).copy_(value)
        return Totals(row[0].clone(), row[1].clone(), int(row[2]))
    loss, wrong, images = state["totals"]
    return Totals(loss.to(device), wrong.to(device), images) if group.rank == 0 else Totals.zero(device)


def _buffers(model: nn.Module, row: Tensor) -> dict[str, Tensor]:
    found = running_statistics(model)
    parts = torch.split(row[3:], [buffer.numel() for buffer in found.values()])
    return {n: part.view_as(buffer).to(buffer.dtype) for (n, buffer), part in zip(found.items(), parts, strict=True)}
