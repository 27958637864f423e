"""The methods paragraph, in plain words, filled in from the configs: it claims nothing that they do not say.

A setting is told where all cells share it. One that differs among them is named as such, with its values; every other
is left to the settings table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.frames.study import Frames, counted_runs
from analysis.stats.contrasts import Fields, flat, pinned, spoken
from analysis.stats.seeds import diverged_counts, scored_split
from analysis.text.comparison import comparison_notes
from analysis.text.study import SPLITS, interval_in_words

RULES = {
    "bp": "backprop, whose error goes back through the transpose of the forward weights W",
    "fa": "feedback alignment, through fixed random weights B",
    "ss": "sign-symmetry, through the signs of W",
    "wm": "the weight mirror, through weights B that learn from noise which W carries",
    "kp": "Kolen-Pollack, through weights B that receive W's own updates and decay",
    "sham": "a copy of W, the positive control",
}

AUGMENTATIONS = {
    "flip": "random flips",
    "shift": "random shifts",
    "shift_flip": "random shifts and flips",
    "resized_crop": "random resized crops and flips",
}

LOSSES = {"cross_entropy": "cross-entropy", "binary": "sigmoid cross-entropy summed over classes"}

STARTS = {
    "torchvision": "W drawn as torchvision draws it",
    "paper": "W drawn from truncated normals, the last layer's from N(0, 0.01²)",
}

FEW = 4  # values of a setting that are listed


@dataclass(frozen=True)
class Shared:
    """What all cells have in common."""

    cells: dict[str, Fields]

    def __getitem__(self, name: str) -> Any:
        """The value of field ``name``; None where cells differ in it or lack it."""
        values = [fields.get(name) for fields in self.cells.values()]
        return values[0] if all(value == values[0] for value in values) else None

    def say(self, text: str, *names: str) -> str:
        """``text`` with the values of fields ``names`` in its braces; nothing where one is not shared, none or 0."""
        values = [self[name] for name in names]
        return text.format(*map(spoken, values)) if all(values) else ""


def methods(frames: Frames, tests: pd.DataFrame, margin: float | None) -> str:
    """One paragraph. ``tests`` are those of analysis.tables.comparison."""
    shared = Shared({name: flat(config) for name, config in frames.study.cells.items()})
    parts = [
        surrounding(shared),
        *(_varied(shared), _seeds(frames, shared), _runs(frames), _scoring(frames), comparison_notes(tests, margin)),
    ]
    return " ".join(part for part in parts if part)


def surrounding(shared: Shared) -> str:
    """Networks, data, rules, training and optimiser, as far as all cells share them."""
    parts = (_network(shared), _data(shared), _rules(shared), _training(shared), _optimiser(shared))
    return " ".join(part for part in parts if part)


def _sentence(head: str, parts: Sequence[str]) -> str:
    said = [part for part in parts if part]
    return f"{head}{', '.join(said)}." if said else ""


def _network(shared: Shared) -> str:
    names = dict.fromkeys(fields["model.name"] for fields in shared.cells.values())
    start = "" if any(name == "mlp" or ".py" in name for name in names) else STARTS.get(shared["model.weights"], "")
    last = "last batch-norm γ of each residual block started at 0" if shared["model.zero_init_gamma"] else ""
    hidden = shared.say("hidden layers of {} units", "model.hidden")
    return _sentence("Networks: ", [", ".join(names), hidden, start, last])


def _data(shared: Shared) -> str:
    names = dict.fromkeys(fields["data.name"] for fields in shared.cells.values())
    return _sentence(
        "Data: ",
        [
            ", ".join(names),
            shared.say("{} pixels a side", "data.size"),
            AUGMENTATIONS.get(shared["data.augment"], ""),
            shared.say("each training picture shown {} times an epoch", "data.repeat")
            if shared["data.repeat"] != 1
            else "",
            shared.say("Gaussian pixel noise of deviation {} fixed in every picture", "data.noise"),
            shared.say("at most {} training pictures", "data.train_limit"),
            shared.say("scored on at most {} pictures of each part", "data.score_limit"),
        ],
    )


def _rules(shared: Shared) -> str:
    names = dict.fromkeys(fields["rule.name"] for fields in shared.cells.values())
    said = [f"{name} ({RULES[name]})" if name in RULES else name for name in names]
    return f"Rules: {'; '.join(said)}." if said else ""


def _training(shared: Shared) -> str:
    return _sentence(
        "Training: ",
        [
            "1 epoch" if shared["epochs"] == 1 else shared.say("{} epochs", "epochs"),
            shared.say("batches of {}", "batch"),
            LOSSES.get(shared["loss"], ""),
            shared.say("label smoothing {}", "label_smoothing"),
            shared.say("{}", "precision"),
        ],
    )


def _optimiser(shared: Shared) -> str:
    nesterov = "Nesterov's momentum {}" if shared["optim.nesterov"] else "momentum {}"
    decay = shared["optim.weight_decay"]
    spared = ", none on norms and biases" if decay and shared["optim.decay_norms_and_biases"] is False else ""
    return _sentence(
        "Optimiser: ",
        [
            {"sgd": "SGD", "adamw": "AdamW"}.get(shared["optim.name"], ""),
            shared.say(nesterov, "optim.momentum") if shared["optim.name"] == "sgd" else "",
            shared.say("β₁ {}, β₂ {}", "optim.momentum", "optim.beta2") if shared["optim.name"] == "adamw" else "",
            shared.say("weight decay {}", "optim.weight_decay") + spared if decay else "",
            shared.say("learning rate {}", "optim.lr"),
            shared.say("warm-up until epoch {}", "optim.warmup"),
            _schedule(shared),
            shared.say("gradients clipped at norm {}", "optim.clip"),
        ],
    )


def _schedule(shared: Shared) -> str:
    if shared["optim.schedule"] == "step":
        return shared.say("times {} at epochs {}", "optim.gamma", "optim.milestones")
    return {"cosine": "then a cosine to 0", "constant": "then constant"}.get(shared["optim.schedule"], "")


def _varied(shared: Shared) -> str:
    """What differs among the cells outside the rules' names, with its values where they are few."""
    rules = {fields["rule.name"] for fields in shared.cells.values()}
    names = dict.fromkeys(name for fields in shared.cells.values() for name in fields)
    said = []
    for name in names:
        having = [fields for fields in shared.cells.values() if name in fields]
        values = list(dict.fromkeys(spoken(fields[name]) for fields in having))
        alone = len(rules) > 1 and name == "rule.name"
        if len(values) > 1 and not alone and not name.startswith(("seeds.", "model.name", "data.name")):
            said.append(f"{name} ({'; '.join(values)})" if len(values) <= FEW else f"{name} ({len(values)} values)")
    table = "All settings are in the settings table."
    return f"Cells differ in {', '.join(said)}. {table}" if said else table


def _seeds(frames: Frames, shared: Shared) -> str:
    seeds = sorted(set(counted_runs(frames.runs)["seed"]))
    listed = ", ".join(map(str, seeds))
    held = {cell: pinned(fields) for cell, fields in shared.cells.items() if pinned(fields)}
    which = f"{len(held)} of {len(shared.cells)} cells"
    apart = f" In {which} seeds of single purposes were pinned, as the settings table tells." if held else ""
    if len(held) == len(shared.cells):
        return f"Seeds {listed}.{apart}"
    return f"Seeds {listed}: each decides {_seeded(shared)}, in all cells alike.{apart}"


def _seeded(shared: Shared) -> str:
    """What a run's seed decides, as far as the study has it."""
    rules = {fields["rule.name"] for fields in shared.cells.values()}
    augmented = any(fields.get("data.augment") != "none" for fields in shared.cells.values())
    start = "the start of W" if rules == {"bp"} else "the start of W and of B"
    parts = [start, *["the augmentation"] * augmented, *["the mirror noise"] * ("wm" in rules)]
    return f"{', '.join(parts)} and the order of the pictures"


def _runs(frames: Frames) -> str:
    counts = diverged_counts(frames.runs)
    n, planned, diverged = int(counts["n"].sum()), len(frames.runs), int(counts["diverged"].sum())
    counted = f"; {diverged} of them diverged and count{'s' * (diverged == 1)} at chance" if diverged else ""
    return f"{n} of {planned} runs ended{counted}."


def _scoring(frames: Frames) -> str:
    n = diverged_counts(frames.runs)["n"]
    split = SPLITS[scored_split(frames)]
    return f"Errors are on the {split} pictures after the last epoch; {interval_in_words(n, 'intervals')}."
