"""The learning-rate schedule, and the share of the initial difference W − B that remains under it."""

import math
from array import array

from nowt.config.run_config import OptimConfig, RunConfig
from nowt.rules.schedule import Schedule


def learning_rate(config: OptimConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Return η of optimizer step ``step``, counted from 0.

    η rises linearly over ``config.warmup`` epochs. Under ``cosine`` it then falls to 0 at the last epoch; under
    ``step`` it is multiplied by ``config.gamma`` at every milestone.
    """
    epoch = step / steps_per_epoch
    warmup = min(1.0, (step + 1) / (config.warmup * steps_per_epoch)) if config.warmup > 0 else 1.0
    return config.lr * warmup * _decay_factor(config, epoch, epochs)


def _decay_factor(config: OptimConfig, epoch: float, epochs: int) -> float:
    if config.schedule == "step":
        return float(config.gamma ** sum(epoch >= m for m in config.milestones))
    if config.schedule == "cosine":
        done = max(0.0, epoch - config.warmup) / max(epochs - config.warmup, 1e-9)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return 1.0


def turnover_schedule(config: RunConfig, steps_per_epoch: int) -> Schedule:
    """Return the sum of κ (see ``OptimConfig.turnover``) after each step of the run."""
    total, sums = 0.0, array("d", [0.0])
    for step in range(steps_per_epoch * config.epochs):
        total += config.optim.turnover(learning_rate(config.optim, step, steps_per_epoch, config.epochs))
        sums.append(total)
    return Schedule(steps_per_epoch, sums)


def remaining_difference(config: RunConfig, steps_per_epoch: int) -> list[float]:
    """Return the share of |W − B| that remains under ``kp`` after each epoch, from epoch 0 to the last.

    W and B receive the same gradient, so their difference D = W − B follows the optimizer as if the gradient were 0.
    With η_t the learning rate of step t, λ the weight decay, μ the momentum and v_0 = 0:

        SGD:            v_{t+1} = μ v_t + λ D_t,    D_{t+1} = D_t − η_t v_{t+1}
        SGD, Nesterov:  v_{t+1} = μ v_t + λ D_t,    D_{t+1} = D_t − η_t (λ D_t + μ v_{t+1})
        AdamW:          D_{t+1} = (1 − η_t λ) D_t

    Without momentum this is the (1 − ηλ)^t of Kolen & Pollack (1994); with momentum and a slowly changing η it is about
    exp(−λ Σ η_t / (1 − μ)).
    """
    optim = config.optim
    difference, velocity, left = 1.0, 0.0, [1.0]
    for step in range(steps_per_epoch * config.epochs):
        lr = learning_rate(optim, step, steps_per_epoch, config.epochs)
        pull = optim.weight_decay * difference
        if optim.name == "adamw":
            difference -= lr * pull
        else:
            velocity = optim.momentum * velocity + pull
            difference -= lr * (pull + optim.momentum * velocity if optim.nesterov else velocity)
        if (step + 1) % steps_per_epoch == 0:
            left.append(abs(difference))
    return left
