"""Typical gaps: interquartile means over seeds and models."""

from dataclasses import replace
from pathlib import Path

from analysis.frames.study import Frames
from analysis.stats.typical import typical_gaps
from analysis.tables.comparison import typical_table
from analysis.text.comparison import typical_in_words
from searchspaces import depth
from tests.support.synthetic_frames import frames_with, one_epoch


def test_the_interquartile_mean_requires_eight_seeds_and_the_text_says_so(
    five_rules: Frames, last_layers: Frames
) -> None:
    gaps = typical_gaps(five_rules)
    assert list(gaps["cells"]) == ["fa", "ss", "wm", "kp"]
    assert ((gaps["gap_low_points"] <= gaps["gap_points"]) & (gaps["gap_points"] <= gaps["gap_high_points"])).all()
    assert typical_table(gaps) is not None
    assert typical_in_words(gaps) == ""
    few = typical_gaps(last_layers)
    assert typical_table(few) is None
    assert (
        typical_in_words(few)
        == "No interquartile mean: a bootstrap over 5 seeds is too narrow; at least 8 are required."
    )


def test_a_rule_in_several_networks_is_one_group_with_one_stratum_each(tmp_path: Path) -> None:
    study = one_epoch(depth.study(), 8)
    study = replace(study, cells=tuple(cell for cell in study.cells if cell.name.startswith(("bp", "kp"))))
    gaps = typical_gaps(frames_with(tmp_path, study))
    assert list(gaps["cells"]) == ["kp ResNet-18, kp ResNet-34, kp ResNet-50"]
