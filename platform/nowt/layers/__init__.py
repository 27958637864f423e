"""Layers whose error goes back through weights of their own, and ``attach``, which puts them into a model."""

from nowt.layers.attach import attach, backprop, feedback_layers, left_to_backprop, not_replaced
from nowt.layers.conv import Conv2d
from nowt.layers.linear import Linear
from nowt.rules.base import FeedbackLayer

__all__ = [
    "Conv2d",
    "FeedbackLayer",
    "Linear",
    "attach",
    "backprop",
    "feedback_layers",
    "left_to_backprop",
    "not_replaced",
]
