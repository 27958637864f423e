"""The learning-rate schedule, and how much of the initial B is left under it."""

import math

from nowt.config.run_config import OptimConfig, RunConfig


def learning_rate(config: OptimConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """η of optimiser step ``step`` (0 is the first)."""
    epoch = step / steps_per_epoch
    warmup = min(1.0, (step + 1) / (config.warmup * steps_per_epoch)) if config.warmup > 0 else 1.0
    return config.lr * warmup * _decline(config, epoch, epochs)


def _decline(config: OptimConfig, epoch: float, epochs: int) -> float:
    if config.schedule == "step":
        return float(config.gamma ** sum(epoch >= m for m in config.milestones))
    if config.schedule == "cosine":
        done = max(0.0, epoch - config.warmup) / max(epochs - config.warmup, 1e-9)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return 1.0


def remaining_difference(config: RunConfig, steps_per_epoch: int) -> list[float]:
    """Share of |W − B| that is left under kp after each epoch, 0 to the last.

    W − B follows the optimiser without any gradient: D ← D − η v, v ← μ v + λ D (science: Kolen-Pollack's identity
    with momentum). Under AdamW the decay is decoupled: D ← (1 − ηλ) D.
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
