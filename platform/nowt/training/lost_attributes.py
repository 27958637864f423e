"""Attributes of layers that no checkpoint contains: whoever reads one from an earlier step gets an error.

A rule may set an attribute in ``propagate`` and use it in ``after_step`` of the same step. When a step ends at which a
run may resume, such attributes are removed. If the rule then reads one before setting it again, it depends on state
that a resumed run would not have. ``hasattr`` and ``getattr`` with a default also raise the error.
"""

from collections.abc import Collection
from typing import Any

from nowt.core.errors import ConfigError
from nowt.rules.base import FeedbackLayer

LOST = "_lost_attributes"  # of a layer: the names of those that were removed

ADVICE = "register it with layer.register_state in prepare(), and update it in after_step()"


class LostAttribute:
    """Takes the place of a removed attribute in the class of a layer. A layer that sets the attribute again has it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, kind: type) -> Any:
        """Raise ConfigError for a layer that has lost the attribute, AttributeError for one that never had it."""
        if layer is not None and self.name in vars(layer).get(LOST, ()):
            raise ConfigError(
                f"rule {layer.rule.name}, in layer {layer.name}, reads its attribute {self.name!r} from an earlier "
                f"step, which no checkpoint contains: a resumed run would differ. {ADVICE[0].upper()}{ADVICE[1:]}"
            )
        raise AttributeError(f"{kind.__name__!r} object has no attribute {self.name!r}")


def remove_attributes(layer: FeedbackLayer, names: Collection[str]) -> None:
    """Remove these attributes from a layer."""
    for name in names:
        del layer.__dict__[name]
        if not hasattr(type(layer), name) and name not in vars(type(layer)):
            setattr(type(layer), name, LostAttribute(name))
    if names:
        layer.__dict__[LOST] = {*vars(layer).get(LOST, ()), *names}
