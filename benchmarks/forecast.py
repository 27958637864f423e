"""Compares the angle between B and W that `nowt plan` forecasts with the one that the runs of a study measured.

    nowt ablate rules_on_digits
    python benchmarks/forecast.py rules_on_digits
    python benchmarks/forecast.py my_study --data-dir cifar10 --store runs --out figures

The study is one of the store, by name or key. Cells with kp, and those with wm for whose settings there is a theory,
are compared. The forecast uses the first six training steps only (see `nowt.studies.planning.forecast`). The script
writes forecast.csv, with a row per cell, seed, epoch and layer, and forecast.png, with one panel per cell for the first
seed: measured angles as lines, forecast angles as dashed lines, one color per layer, from the input (dark) to the
output. It prints the share of layer-epochs whose forecast is within 3° of the measured angle, and where the others
are.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from nowt.config.placement import Placement
from nowt.config.run_config import config_from_json
from nowt.data.datasets import RunData
from nowt.store.layout import Store
from nowt.store.listed_runs import ListedRun
from nowt.store.run_log import read
from nowt.store.study_file import find_study_files
from nowt.studies.planning.alignment import forecast
from nowt.studies.planning.probe import probe_training
from nowt.training.state import TrainingState

NEAR = 3.0  # degrees


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="name or key of a study in the store")
    parser.add_argument("--store", type=Path, default=Path("runs"), help="folder of the store (default: runs)")
    parser.add_argument("--data-dir", default="", help="folder of the images, for data sets that are read from disk")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the two files (default: this one)")
    return parser.parse_args()


def compared_rows(run: ListedRun, placement: Placement, store: Store) -> Iterator[dict[str, Any]]:
    """Yield the measured and the forecast angle of each layer after each epoch of a run; nothing for a run that has not
    begun, or without a forecast."""
    if not store.log(run.key).exists():
        return
    log = read(store.log(run.key))
    config = config_from_json(log.start["config"])
    training = TrainingState.create(config, placement, RunData.of(config).open(placement))
    expected = forecast(training, probe_training(training).motions)
    if expected is None:
        return
    for epoch in log.epochs:
        for layer, angle in zip(epoch.layers, expected[epoch.epoch], strict=bool(epoch.layers)):
            row = {"cell": run.cell, "seed": config.seed, "epoch": epoch.epoch, "layer": layer.name}
            yield {**row, "measured": layer.matrix_angle, "forecast": float(angle)}


def summary(rows: pd.DataFrame) -> str:
    """Return the share of layer-epochs that are forecast within 3°, by cell, and the largest errors of the layers."""
    lines = []
    for cell, mine in rows.groupby("cell", sort=False):
        error = mine["measured"] - mine["forecast"]
        seeds = mine["seed"].nunique()
        share = f"{100 * (error.abs() <= NEAR).mean():.0f} % of {len(mine)} layer-epochs within {NEAR:g}°"
        lines.append(f"{cell} ({seeds} seed{'s' * (seeds > 1)}): {share}")
        for layer, each in error.groupby(mine["layer"], sort=False):
            if (each.abs() > NEAR).any():
                epochs = sorted({int(mine.loc[i, "epoch"]) for i in each.index[each.abs() > NEAR]})
                found = f"measured − forecast {each.min():+.1f}° to {each.max():+.1f}°"
                lines.append(f"  {layer}: {found}; epochs {', '.join(map(str, epochs))}")
    return "\n".join(lines)


def chart(rows: pd.DataFrame) -> Any:
    """Draw measured and forecast angles of the first seed by epoch, one panel per cell."""
    first = rows[rows["seed"] == rows["seed"].min()]
    long = first.melt(["cell", "epoch", "layer"], ["measured", "forecast"], "angle of", "angle")
    line = (
        alt.Chart(long)
        .mark_line()
        .encode(
            x=alt.X("epoch:Q", title="epoch"),
            y=alt.Y("angle:Q", title="angle between B and W, degrees"),
            color=alt.Color("layer:O", sort=None, title="layer", scale=alt.Scale(scheme="viridis")),
            strokeDash=alt.StrokeDash("angle of:N", sort=["measured", "forecast"], title=None),
        )
        .properties(width=280, height=240)
    )
    return line.facet(alt.Facet("cell:N", sort=None, title=None), columns=3).resolve_scale(y="independent")


def main() -> None:
    """Compare every run of the study, and write the table and the figure."""
    options = arguments()
    placement, store = Placement(device="cpu", data=options.data_dir), Store(options.store)
    study = find_study_files(options.store, options.study)[-1]
    runs = [run for cell in study.cells for run in study.runs if run.cell == cell["name"]]
    rows = pd.DataFrame([row for run in runs for row in compared_rows(run, placement, store)])
    if rows.empty:
        raise SystemExit(f"no run of {study.name} has both measured angles and a forecast")
    options.out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(options.out / "forecast.csv", index=False, float_format="%.2f")
    chart(rows).save(options.out / "forecast.png", scale_factor=2)
    print(summary(rows))


if __name__ == "__main__":
    main()
