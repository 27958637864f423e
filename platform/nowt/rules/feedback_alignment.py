"""Feedback alignment: the error goes back through fixed random weights."""

from dataclasses import dataclass
from typing import ClassVar

from nowt.rules.feedback import DrawnFeedback


@dataclass(frozen=True)
class FeedbackAlignment(DrawnFeedback):
    """δ_l = φ'(·) ∘ B_{l+1} δ_{l+1} with B drawn once and never changed.

    Lillicrap, Cownden, Tweed & Akerman (2016), "Random synaptic feedback weights support error backpropagation".
    """

    name: ClassVar[str] = "fa"
