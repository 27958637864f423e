"""The reminder of the rule's steps does not disturb the optimizers of other models."""

import gc
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from nowt import KolenPollack, attach
from tests.support.nets import dense_net


def test_a_model_may_be_deleted_while_another_optimizer_makes_its_step() -> None:
    models = [dense_net()]
    attach(models[0], KolenPollack())
    other = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)

    def delete(*_: Any) -> None:
        models.clear()
        gc.collect()

    handle = register_optimizer_step_post_hook(delete)
    last = register_optimizer_step_post_hook(lambda *_: None)
    before = other.weight.detach().clone()
    other(torch.ones(1, 2)).sum().backward()
    try:
        optimizer.step()
        assert not models and not torch.equal(other.weight, before)
    finally:
        handle.remove()
        last.remove()
