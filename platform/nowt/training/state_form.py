"""The form of a training state in a checkpoint: which parts it has, and their types.

A file that torch can load may still be that of another program, or damaged. It must not end a run that has an older
checkpoint beside it.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from nowt.core.errors import UserError
from nowt.store.log_lines import check_line

# the counters of a training state, by their names there
COUNTERS = (
    "step",
    "epoch",
    "position",
    "presentations",
    "mirror_presentations",
    "flops",
    "flops_a_mirror_step",
    "seconds",
    "probe_seconds",
)

WHOLE = ("step", "epoch", "position")


def check_state(state: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the part, if ``state`` is not what ``TrainingState.state_dict`` returns."""
    if missing := sorted({*PARTS, *COUNTERS} - state.keys()):
        raise UserError(f"it has no {', '.join(missing)}")
    wrong = [name for name, is_valid in PARTS.items() if not is_valid(state[name])]
    wrong += [name for name in COUNTERS if not _is_counter(state[name], name in WHOLE)]
    wrong += ["run"] * (not _is_json_object(state.get("run", "{}")))  # earlier versions did not record the run
    if wrong:
        raise UserError(f"its {', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not as nowt writes it")
    for epoch in state["epochs"]:
        check_line({"kind": "epoch", "time": 0, **epoch}, "")


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_optimizer(value: Any) -> bool:
    if not _is_mapping(value) or not isinstance(value.get("state"), Mapping):
        return False
    groups = value.get("param_groups")
    return isinstance(groups, list) and all(
        _is_mapping(each) and isinstance(each.get("params"), list) for each in groups
    )


def _are_epochs(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_mapping, value))


def _are_totals(value: Any) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 3:
        return False
    return all(isinstance(total, Tensor) for total in value[:2]) and _is_counter(value[2], whole=True)


def _is_counter(value: Any, whole: bool) -> bool:
    kinds = (int,) if whole else (int, float)
    return type(value) in kinds and value >= 0 and math.isfinite(value)


def _is_json_object(value: Any) -> bool:
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False


PARTS: dict[str, Callable[[Any], bool]] = {
    "model": _is_mapping,
    "optimizer": _is_optimizer,
    "epochs": _are_epochs,
    "totals": _are_totals,
}
