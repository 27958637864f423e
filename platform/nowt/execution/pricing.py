"""The hourly price of the machines: of all machines, or of each node type of a cluster."""

from dataclasses import dataclass
from typing import Any

from nowt.core.errors import ConfigError, require
from nowt.store.records import Machines


@dataclass(frozen=True)
class Price:
    """A price per hour: either one ``total`` for all machines, or one per node type. A type without a price costs as
    much as the most expensive one."""

    total: float | None = None
    by_type: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Price":
        """Parse ``0.53``, or ``gpu=0.53,head=0.1``. Raises ConfigError."""
        if "=" not in text:
            return cls(_amount(text, text))
        named = [part.partition("=") for part in text.split(",")]
        types = [name.strip() for name, _, _ in named]
        require(all(types) and len(set(types)) == len(types), f"--price is {text}: each node type has one price")
        return cls(
            by_type=tuple((name, _amount(amount, text)) for name, (_, _, amount) in zip(types, named, strict=True))
        )

    def hourly(self, machines: Machines) -> float:
        """Return the hourly price of these machines. Without machines, return the price of one machine of the most
        expensive type."""
        if self.total is not None:
            return self.total
        prices = dict(self.by_type)
        highest = max(prices.values())
        return sum(n * prices.get(name, highest) for name, n in machines.items()) if machines else highest

    def __str__(self) -> str:
        if self.total is not None:
            return f"{self.total:g} per hour"
        return (
            ", ".join(f"{name} {amount:g}" for name, amount in self.by_type)
            + " per hour, other types at the highest price"
        )


def _amount(text: str, whole: str) -> float:
    """Return one price. Raises ConfigError."""
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise ConfigError(
            f"--price is {whole}: it must be a price per hour above 0, or TYPE=PRICE,TYPE=PRICE by node type"
        )
    return amount


def count_machines() -> dict[str, int]:
    """Return the machines of the connected Ray by node type; empty if Ray is not connected or its nodes have no
    types."""
    import sys

    ray: Any = sys.modules.get("ray")  # no import: what works without Ray must not wait for it
    if ray is None or not ray.is_initialized():
        return {}
    types = [node["Labels"].get("ray.io/node-group") for node in ray.nodes() if node["Alive"]]
    return {name: types.count(name) for name in sorted(filter(None, types))}
