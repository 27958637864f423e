"""nowt ("no weight transport"): train, search and compare learning rules that need no weight transport.

The public names are

- training: `train`, `attach`, which returns `Feedback`, `RunConfig` with its parts `ModelConfig`, `DataConfig`,
  `OptimConfig`, `ProbeConfig` and `Seeds`, `Placement`, `recipes`, and what `train` yields and raises: `Epoch`,
  `TrainingDiverged`, `TrainingInterrupted`;
- rules: `Backprop`, `FeedbackAlignment`, `SignSymmetry`, `WeightMirror`, `KolenPollack`, `DirectFeedbackAlignment`,
  `DirectKolenPollack`, `InformationAlignment`, `Sham` and `find_rule`; `certify`, which returns a `Certificate`; to
  write your own, `Rule`, `DrawnFeedback`, `LayerView`, `Initialization`, `MirrorNoise` and `MirrorSamples`; `attach`
  returns `FeedbackLayer`s;
- ablation studies: `Study`, `Cell` and `Claim`;
- searches: `SearchSpace`, `SearchCell`, `Range`, `Choice`, `When`, `Budget`, `EarlyStopping` and `Confirm`;
- errors that name what is wrong and what is allowed: `ConfigError` and `DataError`.

Each is imported when it is first used: ``import nowt`` imports neither torch nor Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nowt.config import recipes
    from nowt.config.placement import Placement
    from nowt.config.run_config import DataConfig, ModelConfig, OptimConfig, ProbeConfig, RunConfig
    from nowt.core.errors import ConfigError, DataError
    from nowt.core.seeding import Seeds
    from nowt.core.version import VERSION as __version__
    from nowt.evaluation.certify.certificate import Certificate
    from nowt.evaluation.certify.run import certify
    from nowt.layers.attach import attach
    from nowt.layers.feedback import Feedback
    from nowt.rules.backprop import Backprop
    from nowt.rules.base import Rule
    from nowt.rules.direct_feedback_alignment import DirectFeedbackAlignment
    from nowt.rules.direct_kolen_pollack import DirectKolenPollack
    from nowt.rules.feedback import DrawnFeedback
    from nowt.rules.feedback_alignment import FeedbackAlignment
    from nowt.rules.feedback_layer import FeedbackLayer
    from nowt.rules.information_alignment import InformationAlignment
    from nowt.rules.initialization import Initialization
    from nowt.rules.kolen_pollack import KolenPollack
    from nowt.rules.layer_view import LayerView
    from nowt.rules.mirror_noise import MirrorNoise, MirrorSamples
    from nowt.rules.registry import find_rule
    from nowt.rules.sham import Sham
    from nowt.rules.sign_symmetry import SignSymmetry
    from nowt.rules.weight_mirror import WeightMirror
    from nowt.store.records import Epoch
    from nowt.studies.claim import Claim
    from nowt.studies.search.cells import SearchCell
    from nowt.studies.search.confirmation import Confirm
    from nowt.studies.search.params import Choice, Range, When
    from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace
    from nowt.studies.study import Cell, Study
    from nowt.training.loop import TrainingDiverged, TrainingInterrupted, train

_MODULES = {
    "nowt.config.placement": ("Placement",),
    "nowt.config.run_config": ("DataConfig", "ModelConfig", "OptimConfig", "ProbeConfig", "RunConfig"),
    "nowt.core.errors": ("ConfigError", "DataError"),
    "nowt.core.seeding": ("Seeds",),
    "nowt.evaluation.certify.certificate": ("Certificate",),
    "nowt.evaluation.certify.run": ("certify",),
    "nowt.layers.attach": ("attach",),
    "nowt.layers.feedback": ("Feedback",),
    "nowt.rules.backprop": ("Backprop",),
    "nowt.rules.base": ("Rule",),
    "nowt.rules.direct_feedback_alignment": ("DirectFeedbackAlignment",),
    "nowt.rules.direct_kolen_pollack": ("DirectKolenPollack",),
    "nowt.rules.feedback": ("DrawnFeedback",),
    "nowt.rules.feedback_alignment": ("FeedbackAlignment",),
    "nowt.rules.feedback_layer": ("FeedbackLayer",),
    "nowt.rules.information_alignment": ("InformationAlignment",),
    "nowt.rules.initialization": ("Initialization",),
    "nowt.rules.kolen_pollack": ("KolenPollack",),
    "nowt.rules.layer_view": ("LayerView",),
    "nowt.rules.mirror_noise": ("MirrorNoise", "MirrorSamples"),
    "nowt.rules.registry": ("find_rule",),
    "nowt.rules.sham": ("Sham",),
    "nowt.rules.sign_symmetry": ("SignSymmetry",),
    "nowt.rules.weight_mirror": ("WeightMirror",),
    "nowt.store.records": ("Epoch",),
    "nowt.studies.claim": ("Claim",),
    "nowt.studies.search.cells": ("SearchCell",),
    "nowt.studies.search.confirmation": ("Confirm",),
    "nowt.studies.search.params": ("Choice", "Range", "When"),
    "nowt.studies.search.space": ("Budget", "EarlyStopping", "SearchSpace"),
    "nowt.studies.study": ("Cell", "Study"),
    "nowt.training.loop": ("TrainingDiverged", "TrainingInterrupted", "train"),
}
MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Backprop",
    "Budget",
    "Cell",
    "Certificate",
    "Choice",
    "Claim",
    "ConfigError",
    "Confirm",
    "DataConfig",
    "DataError",
    "DirectFeedbackAlignment",
    "DirectKolenPollack",
    "DrawnFeedback",
    "EarlyStopping",
    "Epoch",
    "Feedback",
    "FeedbackAlignment",
    "FeedbackLayer",
    "InformationAlignment",
    "Initialization",
    "KolenPollack",
    "LayerView",
    "MirrorNoise",
    "MirrorSamples",
    "ModelConfig",
    "OptimConfig",
    "Placement",
    "ProbeConfig",
    "Range",
    "Rule",
    "RunConfig",
    "SearchCell",
    "SearchSpace",
    "Seeds",
    "Sham",
    "SignSymmetry",
    "Study",
    "TrainingDiverged",
    "TrainingInterrupted",
    "WeightMirror",
    "When",
    "__version__",
    "attach",
    "certify",
    "find_rule",
    "recipes",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "recipes":
        return import_module("nowt.config.recipes")
    if name == "__version__":
        return import_module("nowt.core.version").VERSION
    if name not in MODULE_OF:
        raise AttributeError(f"module 'nowt' has no attribute {name!r}")
    return getattr(import_module(MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
