"""The names of a run's fields, for checks on the command line.

They are listed here, and compared with ``RunConfig`` by a test, because importing ``RunConfig`` imports torch, which
takes seconds. The fields of a rule are not listed: each rule has its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nowt.core.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Override:
    """A field's new value on the command line, as text."""

    path: str
    text: str


# the fields of a run, each with its own fields: none if it is no section, and none that all rules have
FIELDS: dict[str, tuple[str, ...]] = {
    "model": ("name", "weights", "zero_init_gamma", "norm_group", "hidden", "activation"),
    "data": (
        "name",
        "size",
        "augment",
        "decoded_side",
        "repeat",
        "train_limit",
        "score_limit",
        "shuffle",
        "hold_out",
        "split",
        "noise",
        "on_bad",
    ),
    "rule": (),
    "optim": (
        "name",
        "lr",
        "momentum",
        "nesterov",
        "beta2",
        "weight_decay",
        "decay_norms_and_biases",
        "lr_factor_norms_and_biases",
        "schedule",
        "milestones",
        "gamma",
        "warmup",
        "clip",
    ),
    "probe": ("interval", "samples"),
    "epochs": (),
    "batch": (),
    "loss": (),
    "label_smoothing": (),
    "precision": (),
    "channels_last": (),
    "compile": (),
    "test": (),
    "seed": (),
    "seeds": ("weights", "feedback", "order", "crops", "noise"),
}


def default_paths() -> list[str]:
    """Return the dotted path of every field of a run, without those of its rule."""
    paths = [f"{name}.{field}" if field else name for name, fields in FIELDS.items() for field in fields or ("",)]
    return [path for path in paths if path != "rule"]


def check_path(path: str) -> None:
    """Raise ConfigError for a path that is no field of any run."""
    name, _, field = path.replace("-", "_").partition(".")
    check_name(name, list(FIELDS), path)
    if field and FIELDS[name]:
        check_name(field.partition(".")[0], FIELDS[name], path)


def check_name(name: str, names: Sequence[str], path: str) -> None:
    """Raise ConfigError, with the nearest path, unless ``name``, which is a part of ``path``, is one of ``names``."""
    if name in names:
        return
    prefix = path.rpartition(".")[0]
    given = f"--{path}"
    siblings = [f"--{prefix}.{n}" if prefix else f"--{n}" for n in names]
    near = did_you_mean(given, siblings)
    if not near and siblings:
        near = did_you_mean(given, [f"--{known}" for known in default_paths()])
    allowed = ", ".join(names) or "no fields"
    raise ConfigError(f"there is no field {given}{near}; {prefix or 'a run'} has: {allowed}")
