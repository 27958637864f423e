"""The methods paragraph of a paper, generated from the configs of a study.

It states each setting that all cells share, and names those in which cells differ, with their values. Everything else
is in the settings table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.frames.study import Frames, counted_runs
from analysis.stats.claim import ClaimTest
from analysis.stats.contrasts import Fields, flat_config, pinned_seeds, value_text
from analysis.stats.seeds import curve_split, diverged_counts, scored_split
from analysis.text.claim import claim_method
from analysis.text.comparison import comparison_notes
from analysis.text.irregularities import warned_cells_in_words
from analysis.text.study import SPLITS, interval_in_words
from nowt.core.formatting import counted
from nowt.store.outcome import ended_in_words

RULES = {
    "bp": "backpropagation through the transpose of the forward weights W",
    "fa": "feedback alignment, with fixed random feedback weights B",
    "ss": "sign-symmetry, with the signs of W as feedback weights",
    "wm": "weight mirror, with feedback weights B learned from noise transmitted through W",
    "kp": "Kolen-Pollack, with feedback weights B that receive the same updates and weight decay as W",
    "dfa": "direct feedback alignment, with fixed random weights B that send the output error to each layer",
    "dkp": "direct Kolen-Pollack, with direct feedback weights B learned from each layer's input and the output error",
    "ia": "information alignment, with feedback weights B learned from each layer's activity",
    "sham": "a copy of W as feedback weights, the positive control",
}

AUGMENTATIONS = {
    "flip": "random flips",
    "shift": "random shifts",
    "shift_flip": "random shifts and flips",
    "resized_crop": "random resized crops and flips",
}

LOSSES = {"cross_entropy": "cross-entropy", "binary": "sigmoid cross-entropy summed over classes"}

INITIALIZATIONS = {
    "torchvision": "W initialized as in torchvision",
    "paper": "W initialized from truncated normal distributions, in the last layer from N(0, 0.01²)",
}

MAX_LISTED = 4  # largest number of values of a setting that are listed


@dataclass(frozen=True)
class Shared:
    """The settings that all cells share."""

    cells: dict[str, Fields]

    def __getitem__(self, name: str) -> Any:
        """Return the value of field ``name``; None if cells differ in it or lack it."""
        values = [fields.get(name) for fields in self.cells.values()]
        return values[0] if all(value == values[0] for value in values) else None

    def phrase(self, text: str, *names: str) -> str:
        """Insert the values of fields ``names`` into ``text``; empty if one is not shared, None or 0."""
        values = [self[name] for name in names]
        return text.format(*map(value_text, values)) if all(values) else ""


def methods(frames: Frames, tests: pd.DataFrame, margin: float | None, claim: ClaimTest | None = None) -> str:
    """Return the methods paragraph of a study. ``tests`` are those of ``compare_cells``; ``margin`` is in points;
    ``claim`` is the test of the study's claim."""
    shared = Shared({name: flat_config(config) for name, config in frames.study.cells.items()})
    parts = [
        setup(shared),
        copies_in_words(frames.copies),
        uncovered_in_words(frames.uncovered),
        *(_varied(shared), _seeds(frames, shared), _runs(frames), _scoring(frames), comparison_notes(tests, margin)),
        claim_method(claim),
    ]
    return " ".join(part for part in parts if part)


def setup(shared: Shared) -> str:
    """Return sentences on networks, data, rules, training and optimizer, as far as all cells share them."""
    parts = (_network(shared), _data(shared), _rules(shared), _training(shared), _optimizer(shared))
    return " ".join(part for part in parts if part)


def _sentence(head: str, parts: Sequence[str]) -> str:
    stated = [part for part in parts if part]
    return f"{head}{', '.join(stated)}." if stated else ""


def _network(shared: Shared) -> str:
    names = dict.fromkeys(fields["model.name"] for fields in shared.cells.values())
    weights = (
        ""
        if any(name == "mlp" or ".py" in name for name in names)
        else INITIALIZATIONS.get(shared["model.weights"], "")
    )
    last = "last batch-norm γ of each residual block initialized to 0" if shared["model.zero_init_gamma"] else ""
    hidden = shared.phrase("hidden layers of {} units", "model.hidden")
    return _sentence("Networks: ", [", ".join(names), hidden, weights, last])


def _data(shared: Shared) -> str:
    names = dict.fromkeys(fields["data.name"] for fields in shared.cells.values())
    return _sentence(
        "Data: ",
        [
            ", ".join(names),
            shared.phrase("{0} × {0} pixels", "data.size"),
            AUGMENTATIONS.get(shared["data.augment"], ""),
            shared.phrase("each training image shown {} times per epoch", "data.repeat")
            if shared["data.repeat"] != 1
            else "",
            shared.phrase("Gaussian pixel noise of standard deviation {}, fixed per image", "data.noise"),
            shared.phrase("at most {} training images", "data.train_limit"),
            "always in the same order" if shared["data.shuffle"] is False else "",
            "validation images not held out of training" if shared["data.hold_out"] is False else "",
            shared.phrase("evaluated on at most {} images per split", "data.score_limit"),
        ],
    )


def _rules(shared: Shared) -> str:
    names = dict.fromkeys(fields["rule.name"] for fields in shared.cells.values())
    described = [f"{name} ({RULES[name]})" if name in RULES else name for name in names]
    return f"Rules: {'; '.join(described)}." if described else ""


def copies_in_words(copies: dict[str, str]) -> str:
    """Return a sentence on the images of equal content in each data set; empty if there are none."""
    return " ".join(f"In the data set {name}, {text}." for name, text in copies.items())


def uncovered_in_words(uncovered: dict[str, tuple[str, ...]]) -> str:
    """Return sentences on the weights that use backprop under every rule; empty if there are none."""
    sentences = []
    for model, names in uncovered.items():
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        listed = ", ".join(names[:MAX_LISTED])
        sentences.append(f"In {model}, these weights use backprop under every rule: {listed}{more}.")
    return " ".join(sentences)


def _training(shared: Shared) -> str:
    return _sentence(
        "Training: ",
        [
            "1 epoch" if shared["epochs"] == 1 else shared.phrase("{} epochs", "epochs"),
            shared.phrase("batches of {}", "batch"),
            LOSSES.get(shared["loss"], ""),
            shared.phrase("label smoothing {}", "label_smoothing"),
            shared.phrase("{}", "precision"),
        ],
    )


def _optimizer(shared: Shared) -> str:
    nesterov = "Nesterov's momentum {}" if shared["optim.nesterov"] else "momentum {}"
    decay = shared["optim.weight_decay"]
    spared = (
        " (not applied to normalization parameters and biases)"
        if decay and shared["optim.decay_norms_and_biases"] is False
        else ""
    )
    return _sentence(
        "Optimizer: ",
        [
            {"sgd": "SGD", "adamw": "AdamW"}.get(shared["optim.name"], ""),
            shared.phrase(nesterov, "optim.momentum") if shared["optim.name"] == "sgd" else "",
            shared.phrase("β₁ {}, β₂ {}", "optim.momentum", "optim.beta2") if shared["optim.name"] == "adamw" else "",
            shared.phrase("weight decay {}", "optim.weight_decay") + spared if decay else "",
            shared.phrase("learning rate {}", "optim.lr"),
            shared.phrase("times {} for normalization parameters and biases", "optim.lr_factor_norms_and_biases")
            if shared["optim.lr_factor_norms_and_biases"] != 1
            else "",
            shared.phrase("warm-up until epoch {}", "optim.warmup"),
            _schedule(shared),
            shared.phrase("gradient norm clipped to {}", "optim.clip"),
        ],
    )


def _schedule(shared: Shared) -> str:
    if shared["optim.schedule"] == "step":
        return shared.phrase("multiplied by {} at epochs {}", "optim.gamma", "optim.milestones")
    return {"cosine": "cosine decay to 0", "constant": "constant"}.get(shared["optim.schedule"], "")


def _varied(shared: Shared) -> str:
    """Return sentences stating in which settings cells differ, except the rule's name, with their values if they are
    few."""
    rules = {fields["rule.name"] for fields in shared.cells.values()}
    names = dict.fromkeys(name for fields in shared.cells.values() for name in fields)
    varied = []
    for name in names:
        having = [fields for fields in shared.cells.values() if name in fields]
        values = list(dict.fromkeys(value_text(fields[name]) for fields in having))
        alone = len(rules) > 1 and name == "rule.name"
        if len(values) > 1 and not alone and not name.startswith(("seeds.", "model.name", "data.name")):
            varied.append(
                f"{name} ({'; '.join(values)})" if len(values) <= MAX_LISTED else f"{name} ({len(values)} values)"
            )
    table = "All settings are listed in the settings table."
    return f"Cells differ in {', '.join(varied)}. {table}" if varied else table


def _seeds(frames: Frames, shared: Shared) -> str:
    seeds = sorted(set(counted_runs(frames.runs)["seed"]))
    listed = ", ".join(map(str, seeds))
    held = {cell: pinned_seeds(fields) for cell, fields in shared.cells.items() if pinned_seeds(fields)}
    which = f"{len(held)} of {counted(len(shared.cells), 'cell')}"
    apart = f" In {which}, some of these seeds were pinned (see the settings table)." if held else ""
    if len(held) == len(shared.cells):
        return f"Seeds {listed}.{apart}"
    return f"Seeds {listed}: a seed determines {_seeded(shared)}, identically in all cells.{apart}"


def _seeded(shared: Shared) -> str:
    """Return a phrase listing what a run's seed determines in this study."""
    rules = {fields["rule.name"] for fields in shared.cells.values()}
    augmented = any(fields.get("data.augment") != "none" for fields in shared.cells.values())
    weights = "the initialization of W" if rules == {"bp"} else "the initialization of W and B"
    split = any(fields.get("data.split") == "by_seed" for fields in shared.cells.values())
    parts = [weights, *["the augmentation"] * augmented, *["the mirror noise"] * ("wm" in rules)]
    parts += ["the choice of training and validation images"] * split
    return f"{', '.join(parts)} and the data order"


def _runs(frames: Frames) -> str:
    states = list(frames.runs["state"])
    ended = ended_in_words(len(states), states.count("finished"), states.count("diverged"), "counted with chance error")
    return " ".join([f"{ended}.", *warned_cells_in_words(frames)])


def _scoring(frames: Frames) -> str:
    n = diverged_counts(frames.runs)["n"]
    split, curves = SPLITS[scored_split(frames)], SPLITS[curve_split(frames)]
    once = f", and errors by epoch are {curves} errors" if curves != split else ""
    return f"Errors are {split} errors after the last epoch{once}; {interval_in_words(n, 'intervals')}."
