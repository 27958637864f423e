"""Probe results as a frame and as figures: means and intervals over seeds."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.figures.probes import probe_chart, probe_figures
from analysis.frames.probes import PROBES, Probe, read_probes
from analysis.report.provenance import check
from analysis.report.study import report
from analysis.stats.seeds import mean_interval
from nowt.evaluation.probes.results import ProbeSettings, open_results
from nowt.studies.study import Study
from tests.support.earlier_reports import write_earlier_report
from tests.support.synthetic_frames import frames_in
from tests.support.synthetic_store import key_of, rules_study, write_store

BASE = ProbeSettings("abc", 64, "val", "bp")


def value(cell: str, seed: int, epoch: int, depth: int) -> float:
    return {"fa": 0.2, "kp": 0.6}[cell] + 0.05 * epoch + 0.03 * seed * (1 + epoch) - 0.01 * depth


def write_probe(
    store: Path,
    study: Study,
    metric: str,
    settings: ProbeSettings = BASE,
    shift: float = 0.0,
    epochs: tuple[int, ...] = (0, 2),
) -> None:
    """Write results for fa and kp, three seeds and two layers; also for the whole network unless the metric is cka."""
    with open_results(store, study.key, metric, settings) as found:
        for cell, seed in ((cell, seed) for cell in ("fa", "kp") for seed in (0, 1, 2)):
            for epoch in epochs:
                values = {f"layer{depth}": value(cell, seed, epoch, depth) + shift for depth in (0, 1)}
                values |= {} if metric == "cka" else {"all": values["layer0"] + 1}
                values |= {"surest": values["layer0"] / 2} if metric == "mine" else {}
                others = [name for name in values if name == "surest"]
                known = {"run": key_of(study, cell, seed), "cell": cell, "rule": cell, "seed": seed}
                found.add({**known, "epoch": epoch, "metric": metric, "values": values, "others": others})


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A made-up study of three rules; one run of kp is not finished."""
    small = rules_study(names=("bp", "fa", "kp"), epochs=2)
    return write_store(tmp_path, small, stopped={("kp", 2): 1}, layers=2)


def the(metric: str, store: Path) -> Probe:
    [probe] = [probe for probe in read_probes(store, frames_in(store)) if probe.metric == metric]
    return probe


def test_the_probe_frame_has_its_declared_columns_and_only_finished_runs(tmp_path: Path, study: Study) -> None:
    write_probe(tmp_path, study, "cka")
    frame = the("cka", tmp_path).values
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == PROBES
    assert set(zip(frame["cell"], frame["seed"], strict=True)) == {
        ("fa", 0),
        ("fa", 1),
        ("fa", 2),
        ("kp", 0),
        ("kp", 1),
    }
    row = frame[(frame["cell"] == "kp") & (frame["seed"] == 1) & (frame["epoch"] == 2) & (frame["depth"] == 1)]
    assert row["layer"].item() == "layer1" and row["value"].item() == pytest.approx(value("kp", 1, 2, 1))


def test_the_networks_value_is_the_metrics_own_or_the_mean_over_layers(tmp_path: Path, study: Study) -> None:
    write_probe(tmp_path, study, "cka")
    write_probe(tmp_path, study, "weight_change")
    for metric, expected in (("cka", value("fa", 1, 2, 0) - 0.005), ("weight_change", value("fa", 1, 2, 0) + 1)):
        network = the(metric, tmp_path).curves["all"]
        row = network[(network["cell"] == "fa") & (network["seed"] == 1) & (network["epoch"] == 2)]
        assert row["value"].item() == pytest.approx(expected)


def test_numbers_of_earlier_settings_are_not_mixed_with_the_newest(tmp_path: Path, study: Study) -> None:
    write_probe(tmp_path, study, "cka", ProbeSettings("old", 64, "val", "bp"), shift=100.0, epochs=(0, 1, 2))
    write_probe(tmp_path, study, "cka")
    probe = the("cka", tmp_path)
    assert probe.settings == BASE and probe.values["value"].max() < 2 and set(probe.values["epoch"]) == {0, 2}


def data_of(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def test_the_figure_draws_means_and_intervals_over_seeds(tmp_path: Path, study: Study) -> None:
    write_probe(tmp_path, study, "gradient_cosine")
    probe = the("gradient_cosine", tmp_path)
    chart = probe_chart(probe, frames_in(tmp_path))
    drawn = {(row["cell"], row["epoch"]): row for row in data_of(chart) if "epoch" in row and "mean" in row}
    expected = mean_interval(probe.curves["all"], ["cell", "epoch"], "value").set_index(["cell", "epoch"])
    assert set(drawn) == {("fa", 0), ("fa", 2), ("kp", 0), ("kp", 2)}
    for place, row in drawn.items():
        assert row["mean"] == pytest.approx(expected.loc[place, "mean"])
    assert drawn["fa", 2]["high"] == pytest.approx(expected.loc[("fa", 2), "high"])
    text = str(chart.to_dict())
    assert "Cosine to backprop's gradient of W" in text and "64 validation images" in text
    assert "mean over 2 to 3 seeds" in text and "none for fewer than 3 seeds" in text
    assert "Layer, from input to output, after epoch 2" in text and "bp" not in {row["cell"] for row in drawn.values()}


def test_a_single_epoch_is_drawn_as_one_row_per_cell(tmp_path: Path, study: Study) -> None:
    write_probe(tmp_path, study, "mine", epochs=(2,))
    chart = probe_chart(the("mine", tmp_path), frames_in(tmp_path))
    text = str(chart.to_dict())
    assert "mine, after epoch 2" in text and "surest, after epoch 2" in text
    assert len([row for row in data_of(chart) if "value" in row]) == 2 * 5


def test_a_number_that_belongs_to_no_layer_has_its_own_panel(tmp_path: Path, study: Study) -> None:
    write_probe(tmp_path, study, "mine")
    probe = the("mine", tmp_path)
    assert list(probe.curves) == ["all", "surest"] and set(probe.layers["layer"]) == {"layer0", "layer1"}
    row = probe.curves["surest"].query("cell == 'fa' and seed == 1 and epoch == 2")
    assert row["value"].item() == pytest.approx(value("fa", 1, 2, 0) / 2)
    titles = [
        panel["layer"][1]["encoding"]["y"]["title"]
        for panel in probe_chart(probe, frames_in(tmp_path)).to_dict()["vconcat"]
    ]
    assert titles == ["mine", "surest", "mine"]


def test_the_report_shows_each_probed_metric_and_deletes_old_figures(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.study.figures_of", lambda frames, options: ())  # seconds, and others test them
    assert [chart for _, _, chart in probe_figures(tmp_path, frames_in(tmp_path))] == [None] * 3
    write_probe(tmp_path, study, "cka")
    out = tmp_path / "figures"
    write_earlier_report(out, "probe_weight_change.png")
    made = report(tmp_path, study.name, out)
    assert {path.name for path in made.paths} >= {"probe_cka.png", "probe_cka.svg"}
    assert sorted(path.name for path in out.glob("probe_*")) == ["probe_cka.png", "probe_cka.svg"]
    assert "![Similarity of layer outputs to bp](probe_cka.png)" in (out / "report.md").read_text()
    assert check(tmp_path, out).fresh
    write_probe(tmp_path, study, "weight_change")
    assert check(tmp_path, out).stale == ("nowt probe weight_change has new results",)
    shutil.rmtree(tmp_path / "probes")
    assert check(tmp_path, out).stale == ("the results of nowt probe cka are missing",)


def test_an_invalid_line_in_a_results_file_is_named(tmp_path: Path, study: Study) -> None:
    write_probe(tmp_path, study, "cka")
    [path] = (tmp_path / "probes").glob("*/cka.jsonl")
    path.write_text(path.read_text() + '{"run": "x"}\n')
    with pytest.raises(
        ValueError, match=r"cka.jsonl, line 13 is not a result of nowt probe \(.*\): move the file away"
    ):
        read_probes(tmp_path, frames_in(tmp_path))
