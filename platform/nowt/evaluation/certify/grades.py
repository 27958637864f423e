"""The locality grade of a rule with its optimizer: what a synapse needs to know for its change in a step.

Each unit's activity is nudged in what its layer's learning sees, and everything else is held. For a synapse-local rule,
an input unit then changes only its own column of W and B, and an output unit only its own row. What changes elsewhere,
stacked over units, is a matrix. Its rank is the number of scalars, computed over many units, that reach the synapses.
"""

from nowt.core.formatting import counted
from nowt.evaluation.certify.certificate import Check, CheckResults, Grade, SkippedCheck
from nowt.evaluation.certify.replayed_step import ReplayedStep
from nowt.evaluation.certify.testbed import MakeOptimizer
from nowt.evaluation.certify.unit_changes import Changes, measure_changes
from nowt.rules.base import Rule

FEW = 2  # synapses whose gradient is nudged first

TRANSPORT = {"weight": "transports", "sign": "transports the sign"}

PAIRED = (
    "assumes paired cells: W and B receive the same gradient, learning rate and decay (local for Akrout et al. 2019, "
    "not for Kunin et al. 2020)"
)

HANDED = "B's update is handed W's gradient, learning rate and decay: paired cells, where it uses them"

CONTROLLED = "rule.target_angle is held by a controller outside the rule, which knows shapes and the schedule"


def grade(rule: Rule, optimizer: MakeOptimizer | None = None) -> Grade:
    """Measure the locality grade of ``rule``, up to weight sharing, on the small network in float64, without clipping.

    Args:
        rule: The rule with its settings.
        optimizer: Makes the optimizer from the model and its covered layers. Default None: SGD with momentum and weight
            decay.

    Returns:
        The grade with its reasons. The global random state changes.
    """
    if rule.transports:
        return Grade(TRANSPORT[rule.transports], rule.scalars, None, ("the rule declares that it reads W",))
    step = ReplayedStep(rule, optimizer)
    measured = measure_changes(step, FEW)
    if any(changes.rank(changes.of("gradient")) == FEW for changes in measured):
        measured = measure_changes(step)
    found = [_graded_layer(changes, rule.scalars) for changes in measured]
    name = min((each.name for each in found), key=ORDER.index)
    worst = max((each for each in found if each.name == name), key=lambda each: each.rank or 0)
    rank = None if name == "not graded" else max(each.rank or 0 for each in found)
    return Grade(name, rule.scalars, rank, (*worst.reasons, *_notes(rule)))


ORDER = ("not graded", "transports B", "global", "layer-local", "synapse-local")


def check_grade(rule: Rule, measured: Grade) -> CheckResults:
    """Yield one check, for a rule that declares how many scalars it uses."""
    if not rule.scalars:
        yield SkippedCheck("scalars", "the rule declares no scalars")
        return
    promise = "What a step changes outside a nudged unit's row or column has at most the declared rank"
    found = f"rank {measured.rank}: {measured.name}"
    yield Check("scalars", promise, f"rank {rule.scalars}", found, measured.name == "synapse-local")


def _graded_layer(changes: Changes, scalars: int) -> Grade:
    where = changes.name or "parameters that the rule does not cover"
    if not bool(changes.values.isfinite().all()):
        return Grade("not graded", scalars, None, (f"{where}: the changes are not finite",))
    rank = changes.scalars()
    stated = f"{where}: outside the rows and columns of nudged units, changes have rank {rank}"
    stated += f"; the rule declares {counted(scalars, 'scalar')}"
    if rank <= scalars:
        return Grade("synapse-local", scalars, rank, (_held(scalars),))
    crossing, by_gradient = changes.rank(changes.elsewhere()), changes.rank(changes.of("gradient"))
    in_row, beyond = changes.row_ranks()
    if in_row > max(1, scalars) and beyond <= scalars:
        return Grade("transports B", scalars, rank, (stated, f"{where}: a vector passes forward through B"))
    if crossing > scalars:
        return Grade("global", scalars, rank, (stated, f"{where}: units of other layers change it"))
    if by_gradient > changes.units:
        reason = f"{where}: its gradient reaches synapses in more numbers (rank {by_gradient}) than it has units"
        return Grade("global", scalars, rank, (stated, f"{reason} ({changes.units})"))
    return Grade("layer-local", scalars, rank, (stated,))


def _held(scalars: int) -> str:
    elsewhere = f"the changes elsewhere have at most rank {scalars}, as declared" if scalars else "nothing else changes"
    return f"a nudged unit changes its own row or column; {elsewhere}"


def _notes(rule: Rule) -> list[str]:
    noise = rule.mirror_noise()
    controlled = noise is not None and noise.target_angle is not None
    paired = [PAIRED] if rule.update == "with_weight" else [HANDED] if "gradient" in rule.signals else []
    return [*paired, *([CONTROLLED] if controlled else [])]
