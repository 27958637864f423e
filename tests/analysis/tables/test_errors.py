"""The main table, the published errors and the table of settings."""

from dataclasses import replace
from pathlib import Path

from analysis.frames.study import Frames
from analysis.report.findings import study_findings
from analysis.stats.paired import compare_cells
from analysis.tables.errors import errors_table, published_table
from analysis.tables.final import final_table
from analysis.tables.published import published_finals
from analysis.tables.settings import settings_table
from analysis.tables.writers import latex
from nowt.config.recipes import resnet18_imagenet
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_with
from tests.support.synthetic_store import CHANCE, rules_study


def test_published_errors_are_a_column_only_for_studies_on_imagenet(five_rules: Frames, tmp_path: Path) -> None:
    tests = compare_cells(five_rules, None)
    table = errors_table(five_rules, final_table(five_rules), tests, None, "test")
    assert "published, %" not in table.head
    apart = published_table(five_rules)
    assert apart is not None
    assert "not comparable" in apart.caption
    assert apart.lines[0] == ["bp", "30.26 ± 0.34", "23.20 ± 0.13"]
    cells = tuple(
        Cell(rule.name, replace(resnet18_imagenet(rule), epochs=90)) for rule in (find_rule("bp")(), find_rule("kp")())
    )
    imagenet = frames_with(tmp_path, Study("imagenet", "How do they compare?", cells, (0, 1, 2)))
    beside = errors_table(imagenet, final_table(imagenet), compare_cells(imagenet, None), None, "test")
    assert beside.head[-1] == "published, %"
    assert [line[-1] for line in beside.lines] == ["30.26 ± 0.34", "29.17 ± 0.35"]
    assert "of one run" in beside.caption
    assert published_table(imagenet) is None


def test_published_final_errors_match_the_paper() -> None:
    found = published_finals().set_index(["net", "rule"])["error_percent"]
    assert len(found) == 10
    assert found["resnet50", "bp"] == 23.20
    assert found["resnet18", "ss"] == 39.22


def test_the_main_table_has_every_cell_with_its_seeds_interval_and_verdict(five_rules: Frames) -> None:
    tests = compare_cells(five_rules, 1.5)
    table = errors_table(five_rules, final_table(five_rules), tests, 1.5, "test")
    assert [line[1] for line in table.lines] == ["bp", "fa", "ss", "wm", "kp"]
    assert table.lines[0][6:8] == ["–", "reference"]
    assert all("p " in line[10] for line in table.lines[1:])
    assert table.numbers["n"].tolist() == [8] * 5
    assert len({len(line) for line in (table.head, *table.lines)}) == 1


def test_the_settings_table_has_every_field_of_every_cell(five_rules: Frames) -> None:
    table = settings_table(five_rules.study)
    lines = {(line[0], line[1]): line[2] for line in table.lines}
    assert lines["optim.lr", "0.05"] == "all"
    assert lines["rule.name", "wm"] == "wm"
    assert lines["rule.samples", "16"] == "wm"
    assert lines["rule.angle", "none"] == "fa, wm, kp"
    assert not any(line[0] in ("seed", "seeds.weights") for line in table.lines)


def test_a_cell_with_the_rule_of_the_reference_and_another_batch_is_compared_with_it(tmp_path: Path) -> None:
    bp, kp = (cell.config for cell in rules_study(names=["bp", "kp"], epochs=1).cells)
    cells = (Cell("small batch", bp), Cell("large batch", replace(bp, batch=48)), Cell("kp", kp))
    study = Study("batches", "Which is better?", cells, (0, 1, 2), reference="small batch")
    frames = frames_with(tmp_path, study)
    tests = compare_cells(frames, None)
    assert list(zip(tests["cell"], tests["against"], strict=True)) == [
        (n, "small batch") for n in ("large batch", "kp")
    ]
    assert max(tests["p_holm"]) >= min(2 * tests["p"].min(), 1)  # Holm's correction is over both
    lines = {line[1]: line for line in errors_table(frames, final_table(frames), tests, None, "test").lines}
    assert [name for name, line in lines.items() if "reference" in line] == ["small batch"]
    assert lines["large batch"][6] == "small batch"


def test_cells_that_are_not_compared_say_why(tmp_path: Path) -> None:
    bp, kp = (cell.config for cell in rules_study(names=["bp", "kp"], epochs=1).cells)
    large = [replace(config, batch=48) for config in (bp, kp)]
    pinned = replace(bp, seeds=replace(bp.seeds, weights=0))
    configs = {"bp": bp, "large bp": large[0], "large kp": large[1], "pinned": pinned, "kp": kp}
    cells = tuple(Cell(name, config) for name, config in configs.items())
    missing = [("kp", seed) for seed in range(3)]
    frames = frames_with(tmp_path, Study("reasons", "Why?", cells, (0, 1, 2)), missing=missing)
    tests = compare_cells(frames, None)
    lines = {line[1]: line[6:8] for line in errors_table(frames, final_table(frames), tests, None, "test").lines}
    assert lines["bp"] == ["–", "reference"]
    assert lines["large bp"] == ["–", "not compared: reference of 1 cell"]
    assert lines["large kp"][0] == "large bp"
    assert lines["pinned"] == ["–", "not compared: pinned seed"]
    assert lines["kp"] == ["–", "not compared: no seed shared with bp"]
    text = study_findings(frames, final_table(frames), tmp_path, None, None).text
    assert "Not compared: large bp (reference of 1 cell); pinned (pinned seed); kp (no seed shared with bp)." in text


def test_without_a_reference_no_cell_is_called_one(tmp_path: Path) -> None:
    frames = frames_with(tmp_path, rules_study(names=["fa", "kp"], epochs=1), lambda *run: 0.2)
    table = errors_table(frames, final_table(frames), compare_cells(frames, None), None, "test")
    assert [line[7] for line in table.lines] == ["not compared: no reference"] * 2
    assert table.head[-1] == "p, Holm"  # without a column for runs that diverged or ended at chance


def test_the_main_table_marks_runs_that_diverged_or_ended_at_chance(tmp_path: Path) -> None:
    study = rules_study(names=["bp", "fa", "kp"], epochs=2)
    frames = frames_with(
        tmp_path, study, lambda cell, seed, epoch: CHANCE if cell == "fa" else 0.2, diverged={("kp", 1): 1}
    )
    table = errors_table(frames, final_table(frames), compare_cells(frames, None), None, "test")
    assert table.head[-1] == "diverged or at chance"
    assert [line[-1] for line in table.lines] == ["–", "3 of 3 at chance", "1 of 3 diverged"]
    assert "3 of 3 at chance" in latex(table)
    assert table.numbers["at_chance"].tolist() == [0, 3, 0]
