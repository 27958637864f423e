"""What a report says is real: who is compared with whom, effects, variance by source, tables, the methods paragraph."""

import math
import random
import shutil
import subprocess
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.figures.forest import forest_chart
from analysis.figures.style.theme import styled
from analysis.figures.variance import variance_chart
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, read_frames
from analysis.report.study import report
from analysis.stats.contrasts import Contrast, contrasts, references
from analysis.stats.effects import effects
from analysis.stats.paired import compare_cells
from analysis.stats.seeds import error_curves, final_errors
from analysis.stats.typical import typical_gaps
from analysis.stats.variance import DRAWS, REST, WHOLE, _Measured, variance_split
from analysis.tables.comparison import comparison_table, typical_table
from analysis.tables.errors import errors_table, published_table
from analysis.tables.final import final_table
from analysis.tables.published import published_finals
from analysis.tables.settings import settings_table
from analysis.tables.writers import Tabular, latex, markdown
from analysis.text.comparison import comparison_notes, sentences, typical_in_words
from analysis.text.methods import methods
from analysis.text.variance import variance_in_words
from nowt.cli.main import main
from nowt.config.recipes import digits, resnet18_imagenet
from nowt.config.run_config import RunConfig
from nowt.core.seeding import Seeds
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study, study_to_json
from searchspaces import decay, depth, last_layer, mirror_mode, rules_on_digits, seed_sources
from tests.support.earlier_reports import leave
from tests.support.synthetic_store import rules_study, write_store

BP, FA, KP, WM = (find_rule(name)() for name in ("bp", "fa", "kp", "wm"))


def plan_of(study: Study) -> StudyPlan:
    study_file = study_to_json(study)
    cells = {cell["name"]: cell["config"] for cell in study_file["cells"]}
    return StudyPlan(study.name, study.key, study.question, study.reference, 1, cells, (), 0)


def frames_of(store: Path) -> Frames:
    return read_frames(store, find_study(store))


def frames_with(store: Path, study: Study, error: Any = None, **made: Any) -> Frames:
    write_store(store, study, error=error, layers=1, **made)
    return frames_of(store)


def short(study: Study, seeds: int) -> Study:
    cells = tuple(Cell(cell.name, replace(cell.config, epochs=1)) for cell in study.cells)
    return replace(study, cells=cells, seeds=tuple(range(seeds)))


def drawn_text(chart: Any) -> str:
    drawn = StringIO()
    styled(chart).save(drawn, format="svg")
    return " ".join(ElementTree.fromstring(drawn.getvalue()).itertext())


def factors(study: Study) -> dict[str, tuple[str, str]]:
    return {one.cell: (one.against, one.factor) for one in contrasts(plan_of(study))}


def test_a_study_of_rules_compares_each_with_backprop() -> None:
    assert factors(rules_on_digits.study()) == {rule: ("bp", "rule") for rule in ("fa", "ss", "wm", "kp")}


def test_a_setting_is_compared_with_the_rules_own_plain_cell() -> None:
    found = factors(last_layer.study())
    assert found["fa"] == ("bp", "rule")
    assert found["fa, last layer bp"] == ("fa", "rule.last_layer")
    assert factors(mirror_mode.study())["only before"] == ("default", "rule.interval")
    assert factors(decay.study())["kp λ=0"] == ("kp λ=0.01", "optim.weight_decay")


def test_with_several_nets_each_rule_is_compared_with_backprop_on_the_same_net() -> None:
    study = plan_of(depth.study())
    assert references(study)["kp ResNet-50"] == "bp ResNet-50"
    rule = [one for one in contrasts(study) if one.factor == "rule"]
    assert Contrast("fa ResNet-34", "bp ResNet-34", "rule", "fa") in rule
    assert Contrast("bp ResNet-50", "bp ResNet-18", "model.name", "resnet18 → resnet50") in contrasts(study)


def test_cells_that_pin_seeds_are_compared_with_nothing() -> None:
    study = plan_of(seed_sources.study())
    assert set(references(study)) == {"bp", "fa", "wm", "kp"}
    assert {one.cell for one in contrasts(study)} == {"fa", "wm", "kp"}


def test_rules_tuned_apart_are_compared_with_their_settings() -> None:
    base = digits(BP)
    tuned = replace(base, rule=KP, optim=replace(base.optim, lr=0.2))
    study = Study("tuned", "Which is best?", (Cell("bp", base), Cell("kp", tuned)), (0, 1, 2))
    assert factors(study) == {"kp": ("bp", "rule, with settings of its own")}


@pytest.fixture(scope="module")
def last_layers(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """fa and kp with and without an exact last layer, bp beside them, five seeds; made-up errors."""
    study = short(last_layer.study(), 5)
    kept = tuple(cell for cell in study.cells if cell.name.startswith(("bp", "fa", "kp")))
    return frames_with(tmp_path_factory.mktemp("last"), replace(study, cells=kept))


def test_effects_are_what_plain_pandas_gives_and_their_mean_is_taken_seed_by_seed(last_layers: Frames) -> None:
    final = final_errors(error_curves(last_layers, "test")).pivot(index="seed", columns="cell", values="error") * 100
    changes = {rule: final[f"{rule}, last layer bp"] - final[rule] for rule in ("fa", "kp")}
    table = effects(last_layers).table.set_index("cell")
    for rule, change in changes.items():
        interval = stats.t.interval(0.95, 4, change.mean(), stats.sem(change))
        row = table.loc[f"{rule}, last layer bp"]
        assert (row["mean"], row["low"], row["high"]) == pytest.approx((change.mean(), *interval))
    mean = (changes["fa"] + changes["kp"]) / 2
    assert table.loc["mean of 2", "mean"] == pytest.approx(mean.mean())
    assert table.loc["mean of 2", "high"] == pytest.approx(stats.t.interval(0.95, 4, mean.mean(), stats.sem(mean))[1])


def test_the_forest_plot_names_factors_cells_unit_and_margin(last_layers: Frames) -> None:
    text = drawn_text(forest_chart(effects(last_layers), "test", 1.0))
    for words in ("rule, against bp", "rule.last_layer: rule → backprop", "fa, last layer bp", "mean of 2"):
        assert words in text
    for words in ("Change in error (points)", "5 seeds", "95 % t interval", "within 1 point;"):
        assert words in text


def test_a_study_of_one_cell_has_no_forest_plot_and_says_nothing_of_differences(tmp_path: Path) -> None:
    frames = frames_with(tmp_path, rules_study(names=["bp"], epochs=1))
    assert forest_chart(effects(frames), "test", None) is None
    tests = compare_cells(frames, 1.5)
    assert sentences(tests, 1.5) == []
    assert comparison_notes(tests, 1.5).startswith("Nothing is compared")


SPREAD = {"weights": 0.012, "feedback": 0.0, "order": 0.004, "crops": 0.0, "noise": 0.0}  # deviations of the error


def seeded(study: Study) -> Any:
    """The error that a run's seeds make: a normal draw for each purpose, all added up."""
    configs = {cell.name: cell.config for cell in study.cells}

    def error(cell: str, seed: int, epoch: int) -> float:
        drawn = vars(configs[cell].seeds.resolve(seed))
        return 0.2 + sum(random.Random(f"{name} {value}").gauss(0, SPREAD[name]) for name, value in drawn.items())

    return error


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Where the made-up scatter of kp's error comes from, on 20 seeds."""
    study = short(seed_sources.study(), 20)
    study = replace(study, cells=tuple(cell for cell in study.cells if cell.name.startswith("kp")), reference="kp")
    return variance_split(frames_with(tmp_path_factory.mktemp("sources"), study, seeded(study)))


def test_variance_is_split_by_its_source_with_the_chi_square_interval(split: pd.DataFrame) -> None:
    by_source = split.set_index("source")
    assert list(by_source.index) == ["start of W", "start of B", "order of pictures", "augmentation", REST, WHOLE]
    start = by_source.loc["start of W"]
    assert start["deviation"] == pytest.approx(1.2, rel=0.4)
    assert start["low"] < 1.2 < start["high"]
    expected = start["deviation"] * np.sqrt(19 / stats.chi2.ppf([0.975, 0.025], 19))
    assert (start["low"], start["high"]) == pytest.approx(tuple(expected), rel=0.02)
    assert by_source.loc["start of B", "deviation"] == pytest.approx(0, abs=1e-9)
    assert start["share"] > 0.5
    assert "kp: the start of W makes the error scatter most" in variance_in_words(split)[0]


def test_the_variance_figure_names_sources_rule_and_unit(split: pd.DataFrame) -> None:
    text = drawn_text(variance_chart(split, "test"))
    assert all(words in text for words in ("order of pictures", "all together", "kp", "(points)", "20 seeds"))


def test_a_purpose_that_was_only_pinned_is_what_the_whole_loses(tmp_path: Path) -> None:
    config = replace(digits(KP), epochs=1)
    cells = (Cell("all", config), Cell("W pinned", replace(config, seeds=Seeds(weights=1000))))
    study = Study("pinned", "What does the start of W do?", cells, tuple(range(20)), reference="all")
    frames = frames_with(tmp_path, study, seeded(study))
    final = final_errors(error_curves(frames, "test")).assign(error=lambda rows: 100 * rows["error"])
    variances = final.groupby("cell")["error"].var()
    found = variance_split(frames).set_index("source")
    assert found.loc["start of W", "deviation"] == pytest.approx((variances["all"] - variances["W pinned"]) ** 0.5)
    assert found.loc["start of W", "low"] < 1.2 < found.loc["start of W", "high"]
    assert list(found.index) == ["start of W", WHOLE]


def test_the_interval_of_a_difference_of_variances_covers_19_times_in_20() -> None:
    chance = np.random.default_rng(0)
    hits, studies, n = 0, 400, 6
    for _ in range(studies):
        whole, part = (
            _Measured("", n, s2, s2 * (n - 1) / chance.chisquare(n - 1, DRAWS // 10))
            for s2 in (variance * chance.chisquare(n - 1) / (n - 1) for variance in (3.0, 1.0))
        )
        low, high = np.quantile(whole.draws - part.draws, [0.025, 0.975])
        hits += low <= 2.0 <= high
    assert hits / studies == pytest.approx(0.95, abs=0.02)


def test_verdict_sentences_claim_from_five_seeds_on_and_describe_below(tmp_path: Path) -> None:
    def error(cell: str, seed: int, epoch: int) -> float:
        return 0.1 + 0.01 * seed + {"bp": 0.0, "kp": 0.001, "fa": 0.3}[cell] + 0.0005 * (seed % 2) * (cell != "bp")

    frames = frames_with(tmp_path / "five", rules_study(names=["bp", "kp", "fa"], seeds=5, epochs=1), error)
    kp, fa = sentences(compare_cells(frames, 1.5), 1.5)
    assert kp.startswith("kp: +0.12 points to bp (")
    assert "within 1.5 points of bp is shown (p < 0.001)" in kp
    assert "more than 1.5 points from bp is shown (p < 0.001)" in fa
    few = frames_with(tmp_path / "three", rules_study(names=["bp", "kp"], seeds=3, epochs=1), error)
    assert "within 1.5 points of bp is seen on 3 seeds" in sentences(compare_cells(few, 1.5), 1.5)[0]
    assert "a claim takes more" in comparison_notes(compare_cells(few, 1.5), 1.5)
    two = frames_with(tmp_path / "two", rules_study(names=["bp", "kp"], seeds=2, epochs=1), error)
    assert sentences(compare_cells(two, 1.5), 1.5) == ["kp: 2 seeds shared with bp, no test: it takes three."]


@pytest.fixture(scope="module")
def five_rules(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Five rules, eight seeds, one diverged run of fa."""
    return frames_with(tmp_path_factory.mktemp("five"), rules_study(seeds=8, epochs=2), diverged={("fa", 2): 1})


def test_without_a_margin_nothing_is_called_equal(five_rules: Frames) -> None:
    tests = compare_cells(five_rules, None)
    assert "nothing here says that two are equal" in comparison_notes(tests, None)
    assert "within" not in " ".join(sentences(tests, None))
    assert not any("within" in name for name in comparison_table(tests, None).head)


def test_the_interquartile_mean_takes_eight_seeds_and_the_text_says_so(five_rules: Frames, last_layers: Frames) -> None:
    gaps = typical_gaps(five_rules)
    assert list(gaps["cells"]) == ["fa", "ss", "wm", "kp"]
    assert ((gaps["gap_low_points"] <= gaps["gap_points"]) & (gaps["gap_points"] <= gaps["gap_high_points"])).all()
    assert typical_table(gaps) is not None
    assert typical_in_words(gaps) == ""
    few = typical_gaps(last_layers)
    assert typical_table(few) is None
    assert typical_in_words(few) == "No interquartile mean: a bootstrap of 5 seeds is too narrow, it takes 8 or more."


def test_a_rule_on_several_nets_is_one_group_with_a_stratum_for_each(tmp_path: Path) -> None:
    study = short(depth.study(), 8)
    study = replace(study, cells=tuple(cell for cell in study.cells if cell.name.startswith(("bp", "kp"))))
    gaps = typical_gaps(frames_with(tmp_path, study))
    assert list(gaps["cells"]) == ["kp ResNet-18, kp ResNet-34, kp ResNet-50"]


def test_published_errors_stand_in_a_studys_rows_on_imagenet_alone(five_rules: Frames, tmp_path: Path) -> None:
    tests = compare_cells(five_rules, None)
    table = errors_table(five_rules, final_table(five_rules), tests, None, "test")
    assert "published, %" not in table.head
    apart = published_table(five_rules)
    assert apart is not None
    assert "not to be compared" in apart.caption
    assert apart.lines[0] == ["bp", "30.26 ± 0.34", "23.20 ± 0.13"]
    cells = tuple(Cell(rule.name, replace(resnet18_imagenet(rule), epochs=90)) for rule in (BP, KP))
    imagenet = frames_with(tmp_path, Study("imagenet", "How do they compare?", cells, (0, 1, 2)))
    beside = errors_table(imagenet, final_table(imagenet), compare_cells(imagenet, None), None, "test")
    assert beside.head[-1] == "published, %"
    assert [line[-1] for line in beside.lines] == ["30.26 ± 0.34", "29.17 ± 0.35"]
    assert "of one run" in beside.caption
    assert published_table(imagenet) is None


def test_published_finals_are_within_what_the_paper_rounds_to() -> None:
    found = published_finals().set_index(["net", "rule"])["error_percent"]
    assert len(found) == 10
    assert found["resnet50", "bp"] == 23.20
    assert found["resnet18", "ss"] == 39.22


def test_the_errors_table_has_every_cell_with_its_seeds_interval_and_verdict(five_rules: Frames) -> None:
    tests = compare_cells(five_rules, 1.5)
    table = errors_table(five_rules, final_table(five_rules), tests, 1.5, "test")
    assert [line[1] for line in table.lines] == ["bp", "fa", "ss", "wm", "kp"]
    assert table.lines[0][6:8] == ["–", "reference"]
    assert all("p " in line[-1] for line in table.lines[1:])
    assert table.numbers["n"].tolist() == [8] * 5
    assert len({len(line) for line in (table.head, *table.lines)}) == 1


NASTY = Tabular(
    "nasty",
    "50 % of σ & a_b",
    ["cell", "gap, points"],
    [["σ 0.1, ξ → 1", "−0.30"], ["a_b & {c} #1 $x ~ ^ \\", "< 5 %"], ["λ=0.01 | 中", "±1°"]],
    pd.DataFrame({"gap": [math.nan]}),
)


def test_latex_is_booktabs_and_escapes_every_sign() -> None:
    text = latex(NASTY)
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:nasty}", r"\begin{tabular}{@{}lr@{}}"):
        assert text.count(command) == 1
    assert r"a\_b \& \{c\} \#1 \$x" in text
    assert r"50 \% of \ensuremath{\sigma} \& a\_b" in text
    assert text.isascii()
    assert len({line.count(" & ") for line in text.splitlines() if line.endswith(r" \\")}) == 1
    assert len({line.count("|") for line in markdown(NASTY).splitlines()}) == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_the_latex_tables_compile(five_rules: Frames, tmp_path: Path) -> None:
    tests = compare_cells(five_rules, 1.5)
    tables = [
        errors_table(five_rules, final_table(five_rules), tests, 1.5, "test"),
        comparison_table(tests, 1.5),
        settings_table(five_rules.study),
        NASTY,
    ]
    head = (
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,graphicx,longtable}\\begin{document}\n"
    )
    (tmp_path / "paper.tex").write_text(head + "\n\n".join(map(latex, tables)) + "\\end{document}\n", encoding="utf-8")
    words = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def test_the_settings_table_has_every_field_of_every_cell(five_rules: Frames) -> None:
    table = settings_table(five_rules.study)
    lines = {(line[0], line[1]): line[2] for line in table.lines}
    assert lines["optim.lr", "0.05"] == "all"
    assert lines["rule.name", "wm"] == "wm"
    assert lines["rule.samples", "16"] == "wm"
    assert lines["rule.angle", "none"] == "fa, wm, kp"
    assert not any(line[0] in ("seed", "seeds.weights") for line in table.lines)


def test_the_methods_paragraph_says_what_the_configs_say(five_rules: Frames) -> None:
    text = methods(five_rules, compare_cells(five_rules, 1.5), 1.5)
    for words in (
        "Networks: tiny_resnet",
        "Data: digits",
        "2 epochs, batches of 64, cross-entropy",
        "SGD, momentum 0.9, weight decay 0.0001, none on norms and biases, learning rate 0.05, then a cosine to 0",
        "kp (Kolen-Pollack",
        "Seeds 0, 1, 2, 3, 4, 5, 6, 7",
        "1 of them diverged and counts at chance",
        "on the test pictures after the last epoch",
        "Holm-corrected over 4 comparisons",
        "two one-sided paired t tests against 1.5 points",
    ):
        assert words in text
    for words in ("augmentation", "clipped", "label smoothing", "warm-up", "Nesterov"):
        assert words not in text  # the configs have none


def test_the_methods_paragraph_leaves_open_what_the_cells_do_not_share(tmp_path: Path) -> None:
    config = RunConfig(epochs=1)
    cells = (Cell("bp", config), Cell("fast", replace(config, optim=replace(config.optim, lr=0.5, warmup=0.5))))
    frames = frames_with(tmp_path, Study("rates", "Which rate?", cells, (0, 1, 2)))
    text = methods(frames, compare_cells(frames, None), None)
    assert "Cells differ in optim.lr (0.05; 0.5), optim.warmup (0; 0.5)." in text
    assert "learning rate 0.05" not in text


def test_a_margin_that_cannot_be_gets_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path, rules_study(names=["bp"], epochs=1))
    for margin in ("0", "nan", "101"):
        assert main(["report", "--store", str(tmp_path), "--out", str(tmp_path / "out"), "--margin", margin]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"nowt: --margin is {float(margin)}: it must lie above 0")
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_page_says_how_it_was_made_and_an_earlier_reports_tables_go(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["bp", "kp"], epochs=1), layers=1)
    out = tmp_path / "out"
    leave(out, "variance.csv")
    page = report(tmp_path, None, out, 2.0).paths[0].read_text()
    assert not (out / "variance.csv").exists()
    assert " --margin 2`" in page
    assert "within 2 points?" in page
    assert "## Methods" in page


def test_sources_that_together_exceed_the_whole_are_said_not_to_add_up(tmp_path: Path) -> None:
    study = short(seed_sources.study(), 8)
    study = replace(study, cells=tuple(cell for cell in study.cells if cell.name.startswith("bp")))

    def error(cell: str, seed: int, epoch: int) -> float:
        return 0.5 + (0.1 if "alone" in cell else 0.001) * random.Random(f"{cell} {seed}").gauss(0, 1)

    split = variance_split(frames_with(tmp_path, study, error))
    assert REST not in set(split["source"])
    assert split["share"].isna().all()
    assert "do not simply add up" in variance_in_words(split)[0]
