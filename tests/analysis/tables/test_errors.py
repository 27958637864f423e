"""The main table, the published errors and the table of settings."""

from dataclasses import replace
from pathlib import Path

from analysis.frames.study import Frames
from analysis.stats.paired import compare_cells
from analysis.tables.errors import errors_table, published_table
from analysis.tables.final import final_table
from analysis.tables.published import published_finals
from analysis.tables.settings import settings_table
from nowt.config.recipes import resnet18_imagenet
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_with


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
    assert all("p " in line[-1] for line in table.lines[1:])
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
