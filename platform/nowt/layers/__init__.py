"""Layers with feedback weights, and ``attach``, which gives them to a model."""

from nowt.layers.attach import attach, using_backprop
from nowt.layers.conv import Conv2d
from nowt.layers.coverage import describe_uncovered, feedback_layers, uncovered_weights
from nowt.layers.linear import Linear
from nowt.rules.feedback_layer import FeedbackLayer

__all__ = [
    "Conv2d",
    "FeedbackLayer",
    "Linear",
    "attach",
    "describe_uncovered",
    "feedback_layers",
    "uncovered_weights",
    "using_backprop",
]
