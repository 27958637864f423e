"""A claim is checked when it is built, and recorded with its study."""

from dataclasses import replace
from pathlib import Path

import pytest

from nowt.config.recipes import digits
from nowt.config.run_config import RunConfig
from nowt.config.sections import ProbeConfig
from nowt.core.errors import ConfigError
from nowt.rules.kolen_pollack import KolenPollack
from nowt.store.study_file import StudyFile, read_study_file, write_study_file
from nowt.studies.claim import Claim
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Range
from nowt.studies.search.space import Budget, SearchSpace
from nowt.studies.study import Cell, Study, study_to_json

STUDY = Study("s", "?", (Cell("bp", digits()), Cell("kp", digits(KolenPollack()))), (0,))

CLAIM = Claim(("kp",), margin=1.5, max_delta_angle=20.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cells": "kp"}, "claim.cells is 'kp'"),
        ({"cells": ()}, "claim.cells is empty: name at least one cell"),
        ({"cells": ("kp", "kp")}, "claim.cells names a cell twice: kp, kp"),
        ({"margin": 0.0}, "claim.margin is 0.0: it must be above 0 and at most 100 points"),
        ({"margin": "1"}, "claim.margin is '1': it must be a number"),
        ({"max_delta_angle": 200.0}, "claim.max_delta_angle is 200.0: it must be above 0 and at most 180"),
    ],
)
def test_an_invalid_claim_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(CLAIM, **fields)  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"claim": Claim(("kpp",), 1.5)},
            "study s: its claim names 'kpp', which is not one of its cells (did you mean",
        ),
        ({"claim": Claim(("bp",), 1.5)}, "study s: its claim names 'bp', which is the reference"),
        ({"claim": 1.5}, "study s: claim is 1.5: it must be like Claim("),
        ({"claim": CLAIM, "cells": STUDY.cells[1:]}, "study s has a claim, but no reference"),
    ],
)
def test_a_claim_that_is_not_about_the_study_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(STUDY, **fields)  # type: ignore[arg-type]
    assert message in str(caught.value)


def unmeasured(config: RunConfig) -> RunConfig:
    return replace(config, probe=ProbeConfig(interval=0))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (Cell("wide", digits()), "whose rule is bp: it has no feedback weights, and so no δ angle"),
        (Cell("wide", unmeasured(digits(KolenPollack()))), "whose probe.interval is 0, so that no δ angle is measured"),
    ],
)
def test_a_claim_about_the_angle_of_a_cell_that_has_none_is_refused(cell: Cell, reason: str) -> None:
    study = replace(STUDY, cells=(*STUDY.cells, cell), claim=Claim(("kp", "wide"), 1.5))
    with pytest.raises(ConfigError) as caught:
        replace(study, claim=Claim(("kp", "wide"), 1.5, max_delta_angle=20.0))
    assert str(caught.value).startswith(f"study s: its claim has max_delta_angle=20.0 and names 'wide', {reason}: ")


def test_a_search_refuses_a_claim_about_the_angle_of_a_setting_that_has_none() -> None:
    config = replace(digits(KolenPollack()), test=False)
    often = SearchCell("kp", config, (Choice("probe.interval", (1, 2)),))
    base = SearchCell("bp", replace(digits(), test=False), (Range("optim.lr", 0.1, 0.2),))
    space = SearchSpace("s", "?", (base, often), Budget(2), claim=CLAIM)
    never = SearchCell("kp", config, (Choice("probe.interval", (1, 0)),))
    with pytest.raises(ConfigError, match=r"search s: its claim has .* 'kp', whose probe.interval is 0"):
        replace(space, cells=(base, never))


def test_a_study_file_contains_the_claim_which_does_not_change_the_key(tmp_path: Path) -> None:
    claimed = replace(STUDY, claim=CLAIM)
    assert claimed.key == STUDY.key and "claim" not in study_to_json(STUDY)
    study_file, _ = write_study_file(tmp_path, claimed.key, study_to_json(claimed))
    assert study_file.claim is not None and Claim.from_json(study_file.claim) == CLAIM
    again, _ = write_study_file(tmp_path, claimed.key, study_to_json(claimed))
    other, _ = write_study_file(tmp_path, claimed.key, study_to_json(replace(claimed, claim=Claim(("kp",), 2.0))))
    assert study_file.claimed == again.claimed and again.claimed is not None and other.claimed is not None
    assert other.claimed >= again.claimed
    assert study_file.claimed_seeds == again.claimed_seeds == other.claimed_seeds == [0]
    write_study_file(tmp_path, claimed.key, study_to_json(claimed))
    path = tmp_path / "studies" / f"{claimed.key}.json"
    path.write_text(path.read_text().replace('"margin": 1.5', '"margin": "wide"'))
    with pytest.raises(ValueError, match=r"claim.margin is \"wide\": it must be a number"):
        read_study_file(path)


def test_a_study_file_keeps_the_seeds_that_were_planned_with_the_claim(tmp_path: Path) -> None:
    def started(seeds: tuple[int, ...], claim: Claim = CLAIM) -> StudyFile:
        study = replace(STUDY, seeds=seeds, claim=claim)
        return write_study_file(tmp_path, study.key, study_to_json(study))[0]

    assert started((0, 1, 2)).claimed_seeds == [0, 1, 2]
    longer = started((0, 1, 2, 3))
    assert (longer.seeds, longer.claimed_seeds) == ([0, 1, 2, 3], [0, 1, 2])
    assert started((0, 1, 2, 3), replace(CLAIM, margin=2.0)).claimed_seeds == [0, 1, 2, 3]
