"""TPE's ranking of trials: one that diverged is never among the good ones while others are healthy."""

from collections.abc import Sequence

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from nowt.studies.search.samplers import make_sampler
from nowt.studies.search.space import SearchSpace
from tests.support.small_spaces import LR, small_space

SPACE: SearchSpace = small_space(LR, sampler="tpe")

RATES = optuna.distributions.FloatDistribution(LR.low, LR.high, log=True)


def trial(number: int, rate: float, errors: dict[int, float], state: TrialState, reason: str = "") -> FrozenTrial:
    return optuna.trial.create_trial(
        state=state,
        value=errors[max(errors)] if state == TrialState.COMPLETE else None,
        params={"optim.lr": rate},
        distributions={"optim.lr": RATES},
        intermediate_values=errors,
        user_attrs={"draw": number, **({"reason": reason} if reason else {})},
    )


def good_trials(trials: Sequence[FrozenTrial], monkeypatch: pytest.MonkeyPatch) -> set[float]:
    """The learning rates that TPE takes as good when it draws the next trial."""
    study = optuna.create_study(direction="minimize")
    study.add_trials(trials)
    good: list[FrozenTrial] = []
    from optuna.samplers._tpe import sampler as tpe

    split = tpe._split_trials

    def watched(*args: object) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        below, above = split(*args)
        good.extend(below)
        return below, above

    monkeypatch.setattr(tpe, "_split_trials", watched)
    asked = study.ask()
    frozen = next(t for t in study.get_trials(deepcopy=False) if t.number == asked.number)
    make_sampler(SPACE, SPACE.cells[0], asked.number).sample_independent(study, frozen, "optim.lr", RATES)
    return {one.params["optim.lr"] for one in good}


def test_a_trial_that_diverged_late_ranks_after_healthy_ones_that_were_stopped_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped = [trial(i, 0.02 + i / 1000, {1: 0.5, 2: 0.3 + i / 100}, TrialState.PRUNED) for i in range(10)]
    late = {epoch: 0.2 for epoch in range(1, 9)} | {9: 0.9}
    diverged = trial(10, 0.9, late, TrialState.PRUNED, "diverged")
    assert 0.9 not in good_trials([*stopped, diverged], monkeypatch)
    stopped_late = trial(10, 0.9, {**late, 9: 0.2}, TrialState.PRUNED, "stopped at the rung of epoch 9")
    assert 0.9 in good_trials([*stopped, stopped_late], monkeypatch)


def test_without_a_diverged_trial_the_draw_is_that_of_optuna() -> None:
    study = optuna.create_study(direction="minimize")
    rates = (0.02, 0.03, 0.3, 0.5, 0.06, 0.7, 0.08, 0.09, 0.1, 0.11, 0.12)
    study.add_trials([trial(i, rate, {1: rate}, TrialState.COMPLETE) for i, rate in enumerate(rates)])
    asked = study.ask()
    frozen = study.get_trials(deepcopy=False)[asked.number]
    sampler = make_sampler(SPACE, SPACE.cells[0], asked.number)
    from nowt.core.seeding import seed_of

    seed = seed_of(SPACE.seed, "tpe", SPACE.name, SPACE.cells[0].name, "optim.lr", asked.number) % 2**32
    expected = TPESampler(seed=seed).sample_independent(study, frozen, "optim.lr", RATES)
    assert sampler.sample_independent(study, frozen, "optim.lr", RATES) == expected
