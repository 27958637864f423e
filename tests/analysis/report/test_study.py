"""The report of a study: its files, figures, tables, sentences and errors."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.report.content import Report
from analysis.report.study import report
from analysis.tables.final import TABLE
from nowt.store.run_log import LogWriter
from tests.support.earlier_reports import write_earlier_report
from tests.support.synthetic_frames import svg_text
from tests.support.synthetic_store import key_of, rules_study, write_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of five rules and three seeds, with one diverged run of fa."""
    store = tmp_path_factory.mktemp("store")
    write_store(store, diverged={("fa", 2): 4})
    return report(store, "rules", store / "figures", margin=1.5)


def test_the_report_writes_figures_tables_and_a_page(made: Report) -> None:
    names = [path.name for path in made.paths]
    stems = ["curves", "alignment", "angle_depth", "angle_map", "norm_ratio", "angle_error"]
    stems += ["gap_angle", "error_cost", "effects"]
    figures = [f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]
    tables = [
        f"{name}.{kind}" for name in ("comparison", "errors", "published", "settings") for kind in ("md", "csv", "tex")
    ]
    further = [*tables, "methods.md", "report.html", "manifest.json"]
    assert names == ["report.md", *figures, "table.md", "table.csv", *further]
    for path in made.paths:
        data = path.read_bytes()
        assert path.suffix != ".png" or (data.startswith(b"\x89PNG") and len(data) > 20_000)
        assert path.suffix != ".svg" or len(ElementTree.fromstring(data)) > 0


def test_the_page_embeds_both_figures_and_the_table(made: Report) -> None:
    page = made.paths[0].read_text()
    assert "](curves.png)" in page
    assert "](alignment.png)" in page
    assert all(line in page for line in made.text.splitlines())
    assert made.study in page


def test_the_curves_name_axes_units_and_every_cell_in_order(made: Report) -> None:
    text = svg_text(made.paths[2])
    assert "Test error (%, log scale)" in text
    assert "Epoch" in text
    assert "95 % t interval" in text
    assert "fa (1 of 3 diverged)" in text
    assert re.findall(r"\b(bp|fa|ss|wm|kp)\b", text)[:5] == ["bp", "fa", "ss", "wm", "kp"]


def test_the_alignment_figure_has_a_pair_of_panels_for_each_rule_with_feedback(made: Report) -> None:
    text = svg_text(made.paths[4])
    assert all(f" {rule} " in text for rule in ("fa", "ss", "wm", "kp"))
    assert " bp " not in text
    assert "matrix angle" in text
    assert "δ angle" in text
    assert "(°)" in text


def test_the_table_has_a_row_a_cell_in_the_studys_order(made: Report) -> None:
    assert list(made.table.columns) == list(TABLE)
    assert list(made.table["cell"]) == ["bp", "fa", "ss", "wm", "kp"]
    assert list(made.table["n"]) == [3] * 5
    assert list(made.table["diverged"]) == [0, 1, 0, 0, 0]
    kp = made.table.set_index("cell").loc["kp"]
    assert kp["error_low_percent"] < kp["error_percent"] < kp["error_high_percent"]
    assert kp["matrix_angle_degrees"] < 5


def test_the_csv_holds_the_same_numbers_as_the_table(made: Report) -> None:
    read = pd.read_csv(made.paths[0].with_name("table.csv"))
    pd.testing.assert_frame_equal(read, made.table, check_dtype=False, rtol=1e-5)


def test_the_markdown_table_shows_percent_points_and_diverged_runs(made: Report) -> None:
    lines = [line for line in made.text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "test error, %" in lines[0]
    assert "gap to bp, points" in lines[0]
    assert "reference" in lines[2]
    assert "1 of 3 diverged" in lines[3]


def test_the_notes_state_seeds_interval_split_epoch_divergence_and_smallest_p(made: Report) -> None:
    for words in (
        "Means over 3 seeds; intervals: 95 % t interval over seeds",
        "Errors are test errors after the last epoch, not the best one",
        "count with chance error (1 − 1/classes) from the epoch of divergence: fa with seed 2 (epoch 5)",
        "the smallest p value of a sign-flip permutation test is 0.25",
        "a claim requires at least 5 seeds",
        "The interval of fa extends beyond 0 or 100 %",
    ):
        assert words in made.text


def test_unfinished_runs_are_listed_and_not_included(tmp_path: Path) -> None:
    study = rules_study(epochs=3)
    write_store(tmp_path, study, stopped={("kp", 1): 2, ("wm", 0): 1}, missing=[("kp", 2)])
    kp1, kp2, wm0 = key_of(study, "kp", 1), key_of(study, "kp", 2), key_of(study, "wm", 0)
    failed = LogWriter.open(tmp_path, wm0)
    failed.end("failed", "Traceback (most recent call last):\n  ...\nOSError: the disk is full\n")
    made = report(tmp_path, None, tmp_path / "figures")
    page = made.paths[0].read_text()
    assert f"- kp with seed 1 ({kp1}): unfinished; epoch 2 of 3\n" in page
    assert f"- kp with seed 2 ({kp2}): not started\n" in page
    assert f"- wm with seed 0 ({wm0}): failed: OSError: the disk is full; epoch 1 of 3\n" in page
    assert "3 of 15 runs have not finished and are not included" in made.text
    assert made.table.set_index("cell").loc["kp", "n"] == 1


def test_without_feedback_no_alignment_figure_is_left_behind(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["bp"], epochs=3))
    out = tmp_path / "figures"
    write_earlier_report(out, "alignment.png")
    (out / "transfer.png").write_text("somebody's own")
    made = report(tmp_path, None, out)
    assert not (out / "alignment.png").exists()
    assert (out / "transfer.png").read_text() == "somebody's own"
    assert "alignment.png" not in made.paths[0].read_text()
    assert "No finished run measured the angle" in made.text


def only_studies_of_another_name(store: Path) -> None:
    write_store(store, rules_study("rules_on_digits", names=["bp"], epochs=1))


def no_finished_run(store: Path) -> None:
    study = rules_study(names=["bp"], epochs=3)
    write_store(store, study, stopped={("bp", 0): 2, ("bp", 1): 1}, missing=[("bp", 2)])


def a_study_that_is_not_json(store: Path) -> None:
    (store / "studies").mkdir()
    (store / "studies" / "rules-1.json").write_text("{")


def a_study_without_its_runs(store: Path) -> None:
    (store / "studies").mkdir()
    (store / "studies" / "rules-1.json").write_text('{"name": "rules", "key": "rules-1"}')


def nothing(store: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("fill", "wanted", "sentence"),
    [
        (nothing, "rules", "has no study 'rules': start one with `nowt ablate STUDY` or `nowt search SPACE`"),
        (
            only_studies_of_another_name,
            "rules_on_digts",
            "(did you mean rules_on_digits?); it has: rules_on_digits",
        ),
        (
            no_finished_run,
            None,
            "yet (2 running or interrupted, 1 not started): resume it with the command that started it",
        ),
        (a_study_that_is_not_json, None, "rules-1.json is not JSON ("),
        (a_study_without_its_runs, None, "rules-1.json is not a study file, it has no created, question, reference"),
    ],
)
def test_a_study_that_cannot_be_reported_is_a_one_line_error(
    tmp_path: Path, fill: Callable[[Path], None], wanted: str | None, sentence: str
) -> None:
    fill(tmp_path)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        report(tmp_path, wanted, tmp_path / "figures")


def test_an_output_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["bp"], epochs=1))
    with pytest.raises(ValueError, match=r"--out /proc/figures cannot be created \(.*\): give a folder"):
        report(tmp_path, None, Path("/proc/figures"))


def test_an_output_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["bp"], epochs=1))
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="out is a file: give a folder"):
        report(tmp_path, None, tmp_path / "out")


def test_the_command_prints_the_table_or_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path, rules_study(names=["bp", "kp"], epochs=2))
    arguments = ["--store", str(tmp_path), "--out", str(tmp_path / "figures")]
    assert main(["rules", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "| kp | kp | 3 |" in printed
    assert str(tmp_path / "figures" / "curves.png") in printed
    assert main(["ruls", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
