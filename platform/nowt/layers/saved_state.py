"""What a saved ``Feedback`` state belongs to: a rule with its settings, a seed, and layers with their shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from nowt.core.errors import ConfigError
from nowt.core.fields import plain
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer

UNSET = "not a setting"


def attachment(rule: Rule, seed: int, layers: Sequence[FeedbackLayer]) -> dict[str, Any]:
    """Return the rule's name and settings, the seed, and the shape of each layer's W, as plain data.

    ``torch.load`` reads plain data with its default, ``weights_only=True``.
    """
    return {
        "rule": {"name": rule.name, **_settings(rule)},
        "seed": seed,
        "layers": {layer.name: list(layer.weight.shape) for layer in layers},
    }


def check_saved(state: Any, now: Mapping[str, Any]) -> None:
    """Raise ConfigError unless ``state`` is one of ``Feedback.state_dict`` that was saved with the attachment ``now``.

    Earlier versions of nowt saved no attachment, so that only the form of their states is checked.
    """
    if not (isinstance(state, Mapping) and isinstance(state.get("steps"), int) and "begun" in state):
        raise ConfigError(
            "this is not a state of a Feedback object: give load_state_dict what feedback.state_dict() returned"
        )
    saved = state.get("attached")
    if saved is None:
        return
    _check_rule(saved["rule"], now["rule"])
    if saved["seed"] != now["seed"]:
        raise ConfigError(
            f"the state was saved with seed {saved['seed']} and the rule is attached with seed {now['seed']}: "
            f"call nowt.attach with seed={saved['seed']}"
        )
    _check_layers(saved["layers"], now["layers"])


def _check_rule(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if saved["name"] != now["name"]:
        raise ConfigError(
            f"the state was saved with rule {saved['name']} and the model has {now['name']}: attach {saved['name']}"
        )
    for name in {**saved, **now}:
        then, today = saved.get(name, UNSET), now.get(name, UNSET)
        if then != today:
            raise ConfigError(
                f"the state was saved with rule.{name} {then} and the attached rule {now['name']} has {today}: attach "
                "it with the settings that it was saved with"
            )


def _check_layers(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in {**saved, **now}:
        then, today = (tuple(each[name]) if name in each else "none" for each in (saved, now))
        if then != today:
            raise ConfigError(
                f"the state was saved with weights of shape {then} in layer {name}, and the model has {today}: load "
                "it for the model that it was saved with"
            )


def _settings(config: Any) -> dict[str, Any]:
    return {item.name: _as_plain_data(getattr(config, item.name)) for item in fields(config)}


def _as_plain_data(value: Any) -> Any:
    """Return numbers and text as they are, and anything else as text; no address, which differs after a restart."""
    value = plain(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_as_plain_data(each) for each in value]
    if is_dataclass(value):
        return _settings(value)
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text
