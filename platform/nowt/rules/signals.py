"""The signals that a rule may use of its layers. It declares them, and receives nothing else."""

from typing import Literal, get_args

Signal = Literal["input", "preactivation", "error", "output_error", "gradient", "mirror", "sign", "weight"]

SIGNALS: tuple[Signal, ...] = get_args(Signal)

# the methods that receive each signal; nowt itself applies ``sign``, and a rule may use ``weight`` at an angle
METHODS: dict[str, tuple[str, ...]] = {
    "input": ("observe", "send_back"),
    "preactivation": ("observe",),
    "error": ("observe_error", "send_back"),
    "output_error": ("observe_error", "send_back"),
    "gradient": ("observe_gradient",),
    "mirror": ("observe_mirror",),
    "weight": ("observe_weight",),
}
