"""A measurement between two training steps changes nothing of the later ones."""

import torch
import torch.nn.functional as F

from nowt.core.formatting import first_few
from nowt.core.random_state import preserved_random_state
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.interruption import build_twice, state_of, train
from nowt.evaluation.certify.small_network import batch
from nowt.evaluation.certify.testbed import Testbed, changed, sample_steps
from nowt.layers.alignment import measure_alignment
from nowt.layers.model_state import in_mode
from nowt.rules.base import Rule

OTHER = 1000  # number of the batch that is measured


def check_measuring(rule: Rule) -> CheckResults:
    """Yield one check: two runs do the same steps, and one of them is measured before each."""
    alone, measured = build_twice(rule)
    if not alone.layers:
        yield SkippedCheck("measuring", "the rule covers no layer: torch's own layers use backprop")
        return
    for number in sample_steps(rule)[1:3]:
        train(alone, [number])
        _measure(measured)
        train(measured, [number])
    wrong = changed(state_of(alone), state_of(measured))
    found = f"differs: {first_few(wrong)}" if wrong else f"{len(state_of(alone))} tensors equal"
    promise = "Measuring alignment or an error in eval mode between two steps changes nothing of later steps"
    yield Check("measuring", promise, "bit for bit", found, not wrong)


def _measure(testbed: Testbed) -> None:
    """Measure alignment as nowt's probes do, score images, and pass an error back in eval mode."""
    x, y = batch(OTHER, testbed.dtype)
    with preserved_random_state(torch.device("cpu"), seed=OTHER):
        measure_alignment(testbed.model, testbed.layers, x, y, F.cross_entropy)
        with in_mode(testbed.model, training=False):
            with torch.inference_mode():  # as nowt scores images
                testbed.model(x)
            F.cross_entropy(testbed.model(x), y).backward()  # type: ignore[no-untyped-call]
