"""The final table: errors, gaps and what is missing."""

import json
import re
from dataclasses import replace
from io import StringIO
from math import nan
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from analysis.figures.curves import curves_chart
from analysis.figures.style.theme import apply_theme
from analysis.stats.chance import Chance
from analysis.stats.paired import compare_cells
from analysis.tables.errors import errors_table
from analysis.tables.final import final_table, to_markdown
from analysis.tables.writers import markdown
from analysis.text.notes import notes
from nowt.config.run_config import RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_in
from tests.support.synthetic_store import rules_study, write_store


def table_of(store: Path) -> pd.DataFrame:
    return final_table(frames_in(store)).set_index("cell")


def words_of(store: Path) -> str:
    frames = frames_in(store)
    return notes(frames, final_table(frames))


def curves_text(store: Path) -> str:
    """Every word that the comparison figure draws."""
    drawn = StringIO()
    apply_theme(curves_chart(frames_in(store))).save(drawn, format="svg")
    return " ".join(ElementTree.fromstring(drawn.getvalue()).itertext())


def test_gaps_are_paired_by_seed_and_equal_gaps_have_no_interval(tmp_path: Path) -> None:
    study = rules_study(names=["bp", "kp"], epochs=3)
    write_store(tmp_path, study, error=lambda cell, seed, epoch: 0.1 * seed + (0.02 if cell == "kp" else 0.0))
    kp = table_of(tmp_path).loc["kp"]
    assert tuple(kp[["gap_points", "gap_low_points", "gap_high_points"]]) == pytest.approx((2, nan, nan), nan_ok=True)
    assert kp["error_high_percent"] - kp["error_low_percent"] > 10


def test_two_seeds_have_no_interval_and_the_text_says_why(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(seeds=2, epochs=3))
    why = "no interval: at least 3 seeds are required"
    assert why in words_of(tmp_path)
    assert why in curves_text(tmp_path)
    table = table_of(tmp_path)
    assert table["error_low_percent"].isna().all()
    assert table["error_percent"].notna().all()


def test_a_gap_over_fewer_seeds_than_the_errors_beside_it_says_over_which(tmp_path: Path) -> None:
    study = rules_study(names=["bp", "fa", "kp"], epochs=1)
    errors = {("bp", 0): 0.75, ("kp", 0): 0.417, ("bp", 1): 0.2, ("bp", 2): 0.2}
    missing = [("kp", 1), ("kp", 2)]
    write_store(tmp_path, study, missing=missing, error=lambda cell, seed, epoch: errors.get((cell, seed), 0.3))
    lines = to_markdown(final_table(frames_in(tmp_path)), "bp", "test", Chance()).splitlines()
    fa, kp = (next(line for line in lines if line.startswith(f"| {cell} ")) for cell in ("fa", "kp"))
    assert "| 41.70 | – | −33.30 (1 of 3 seeds) |" in kp and "of 3 seeds" not in fa
    assert "fewer than those of an error beside them: kp (seed 0)." in words_of(tmp_path)
    frames = frames_in(tmp_path)
    errors_md = markdown(errors_table(frames, final_table(frames), compare_cells(frames, None), None, "test"))
    assert "−33.30 (1 of 3 seeds)" in errors_md and errors_md.count("seeds)") == 1


def test_a_cell_without_a_finished_run_keeps_its_row(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(epochs=3), missing=[("fa", seed) for seed in range(3)])
    frames = frames_in(tmp_path)
    table = final_table(frames)
    assert table.set_index("cell").loc["fa", "n"] == 0
    assert "| fa | fa | 0 | – | – | – | – | – | – |\n" in to_markdown(table, "bp", "test", Chance())
    assert "fa" not in re.findall(r"\w+", curves_text(tmp_path))


def test_without_the_reference_there_are_no_gaps_and_the_text_says_so(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["fa", "kp"], epochs=3))
    assert "no gaps, because bp is not a cell of this study" in words_of(tmp_path)
    assert table_of(tmp_path)["gap_points"].isna().all()


def test_a_run_repeated_with_other_data_replaces_the_earlier_one(tmp_path: Path) -> None:
    study = write_store(tmp_path, rules_study(epochs=3))
    path = tmp_path / "studies" / f"{study.key}.json"
    study_file = json.loads(path.read_text())
    study_file["runs"] = [
        {**run, "key": f"{'0' * 11}{i}"} for i, run in enumerate(study_file["runs"][:2])
    ] + study_file["runs"]
    path.write_text(json.dumps(study_file))
    assert list(table_of(tmp_path)["n"]) == [3] * 5
    assert "2 earlier runs with other data or code are not included" in words_of(tmp_path)


def test_cells_with_special_characters_in_their_names_are_drawn(tmp_path: Path) -> None:
    names = ['wm "quoted"', "wm | bar", "wm.dotted", "wm, through the nonlinearity, σ = 0.1"]
    config = RunConfig(rule=find_rule("wm")(), epochs=3)
    cells = tuple(Cell(name, replace(config, batch=10 + i)) for i, name in enumerate(names))
    write_store(tmp_path, Study("noise", "Which noise?", cells, (0, 1, 2), reference=names[0]))
    drawn = curves_text(tmp_path)
    assert all(name in drawn for name in names)
    table = to_markdown(final_table(frames_in(tmp_path)), names[0], "test", Chance())
    assert len({line.replace(r"\|", "").count("|") for line in table.splitlines()}) == 1
