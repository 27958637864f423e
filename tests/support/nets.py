"""Small networks, batches and one training step, for the tests of rules and layers."""

import copy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.layers.attach import attach
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.moment import Moment
from nowt.rules.registry import builtin_rules
from nowt.rules.sign_symmetry import SignSymmetry

DIRECT = ("dfa", "dkp")  # send the output error directly, through a B of another shape than W's

FEEDBACK_RULES = [rule for rule in builtin_rules() if rule.name not in ("bp", *DIRECT)]

MAGNITUDES = [
    SignSymmetry(magnitudes="constant"),
    SignSymmetry(magnitudes="fixed"),
    SignSymmetry(magnitudes="redrawn"),
]

# every built-in rule whose B has W's shape
EVERY_RULE: list[Rule] = [rule() for rule in FEEDBACK_RULES if rule.name != "ss"] + MAGNITUDES


def rule_id(rule: Rule) -> str:
    """Return the name of a rule in test ids."""
    return f"ss-{rule.magnitudes}" if isinstance(rule, SignSymmetry) else rule.name


def conv_net(seed: int = 0, norm: bool = True, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Three convolutions, one of them grouped, and a classifier, for images of (3, 8, 8) and five classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            activation(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2, bias=False),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            activation(),
            nn.Conv2d(8, 6, 1),
            activation(),
            nn.Flatten(),
            nn.Linear(96, 5),
        )


def dense_net(sizes: tuple[int, ...] = (12, 20, 16, 5), seed: int = 0) -> nn.Sequential:
    """Linear layers of ``sizes`` with tanh between them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.Tanh()]
        return nn.Sequential(*layers[:-1])


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal values, a function of seed and shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def batch(count: int = 8, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return images, (count, 3, 8, 8), and labels of five classes."""
    return normal(count, 3, 8, 8, seed=seed, dtype=dtype), torch.arange(count) % 5


def attached(model: nn.Module, rule: Rule, seed: int = 0) -> tuple[nn.Module, list[FeedbackLayer]]:
    """Attach ``rule`` to a copy of ``model``; return the copy and its layers."""
    model = copy.deepcopy(model)
    return model, attach(model, rule, seed)


def gradients(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return the gradients of the mean cross-entropy by parameter name."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(F.cross_entropy(model(x), y), list(trained.values()))
    return dict(zip(trained, found, strict=True))


def train_step(
    model: nn.Module,
    layers: list[FeedbackLayer],
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    step: int,
) -> float:
    """Do one step as the training loop does, and return the loss before it."""
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    if layers:
        RuleSteps(layers[0].rule, layers).before_step(optimizer, Moment(step - 1, seed=0))
    optimizer.step()
    if layers:
        RuleSteps(layers[0].rule, layers).after_step(Moment(step, seed=0))
    return loss.item()
