"""Compares the angle between B and W that `nowt plan` forecasts with the one that a training measures.

    python benchmarks/forecast.py digits --rule kp                          one cell; no images needed
    python benchmarks/forecast.py digits --rule wm --rule wm:8              two cells: wm as it is, and held at 8°
    python benchmarks/forecast.py cifar10_resnet20 --rule kp --data-dir cifar10 --images 10000 --epochs 20
    python benchmarks/forecast.py digits --rule kp --optim.weight_decay 0.001    any field of the config
    python benchmarks/forecast.py digits --rule kp --epochs 1 --images 320  a quick test of the script

Each cell trains once, with test images left out. The forecast uses its first six training steps only (see
`nowt.studies.planning.forecast`). It writes forecast.csv, with a row per cell, epoch and layer, and forecast.png, with
one panel per cell: measured angles as lines, forecast angles as dashed lines, one color per layer. It prints the share
of layer-epochs whose forecast is within 3° of the measured angle, and where the others are.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from nowt.config.overrides import Override, apply_overrides
from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.data.datasets import open_data
from nowt.rules.registry import find_rule
from nowt.studies.lookup import find_recipe
from nowt.studies.planning.alignment import forecast
from nowt.studies.planning.probe import probe_training
from nowt.training.loop import train
from nowt.training.state import TrainingState

NEAR = 3.0  # degrees


def arguments() -> tuple[argparse.Namespace, list[Override]]:
    """Return the options, and the fields of the config that are set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="name of a recipe, such as digits")
    parser.add_argument("--rule", action="append", required=True, help="kp, wm or wm:ANGLE; repeat it for more cells")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--images", type=int, help="number of training images (default: all)")
    parser.add_argument("--data-dir", default="", help="folder of the images")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the two files (default: this one)")
    options, rest = parser.parse_known_args()
    paths = [word.removeprefix("--") for word in rest[::2]]
    if len(rest) % 2 or not all(word.startswith("--") and "." in word for word in rest[::2]):
        parser.error(f"unknown: {' '.join(rest)}; a field of the config is set as in --optim.lr 0.1")
    return options, [Override(path, text) for path, text in zip(paths, rest[1::2], strict=True)]


def cell_config(options: argparse.Namespace, rule: str, overrides: Sequence[Override]) -> RunConfig:
    """Return the config of one cell."""
    name, _, angle = rule.partition(":")
    config = find_recipe(options.recipe)(find_rule(name)(**({"target_angle": float(angle)} if angle else {})))
    config = replace(config, test=False, epochs=options.epochs or config.epochs)
    if options.images:
        config = replace(config, data=replace(config.data, train_limit=options.images))
    return apply_overrides(config, overrides)


def measured_rows(cell: str, config: RunConfig, placement: Placement) -> Iterator[dict[str, Any]]:
    """Train the cell; yield the measured and the forecast angle of each layer after each epoch."""
    data = open_data(config.data, placement, bool(config.test))
    training = TrainingState.create(config, placement, data)
    expected = forecast(training, probe_training(training).motions)
    if expected is None:
        raise SystemExit(f"there is no forecast for {cell}")
    for epoch in train(config, placement):
        print(f"{cell}: epoch {epoch.epoch}, validation error {100 * epoch.val_error:.1f} %", flush=True)
        for layer, angle in zip(epoch.layers, expected[epoch.epoch], strict=True):
            row = {"cell": cell, "epoch": epoch.epoch, "layer": layer.name}
            yield {**row, "measured": layer.matrix_angle, "forecast": float(angle)}


def summary(rows: pd.DataFrame) -> str:
    """Return the share of layer-epochs that are forecast within 3°, by cell, and the largest errors of the layers."""
    lines = []
    for cell, mine in rows.groupby("cell", sort=False):
        error = mine["measured"] - mine["forecast"]
        lines.append(f"{cell}: {100 * (error.abs() <= NEAR).mean():.0f} % of {len(mine)} layer-epochs within {NEAR:g}°")
        for layer, each in error.groupby(mine["layer"], sort=False):
            if (each.abs() > NEAR).any():
                epochs = ", ".join(str(mine.loc[i, "epoch"]) for i in each.index[each.abs() > NEAR])
                lines.append(
                    f"  {layer}: measured − forecast {each.min():+.1f}° to {each.max():+.1f}°; epochs {epochs}"
                )
    return "\n".join(lines)


def chart(rows: pd.DataFrame) -> Any:
    """Draw measured and forecast angles by epoch, one panel per cell."""
    long = rows.melt(["cell", "epoch", "layer"], ["measured", "forecast"], "angle of", "angle")
    line = (
        alt.Chart(long)
        .mark_line()
        .encode(
            x=alt.X("epoch:Q", title="epoch"),
            y=alt.Y("angle:Q", title="angle between B and W, degrees"),
            color=alt.Color("layer:N", sort=None, title="layer"),
            strokeDash=alt.StrokeDash("angle of:N", sort=["measured", "forecast"], title=None),
        )
        .properties(width=240, height=240)
    )
    return line.facet(alt.Facet("cell:N", sort=None, title=None), columns=3).resolve_scale(y="independent")


def main() -> None:
    """Train the cells, and write the table and the figure."""
    options, overrides = arguments()
    placement = Placement(device="cpu", data=options.data_dir)
    cells = [(rule.replace(":", " at ") + "°" * (":" in rule), rule) for rule in options.rule]
    found = [
        row for cell, rule in cells for row in measured_rows(cell, cell_config(options, rule, overrides), placement)
    ]
    rows = pd.DataFrame(found)
    options.out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(options.out / "forecast.csv", index=False, float_format="%.2f")
    chart(rows).save(options.out / "forecast.png", scale_factor=2)
    print(summary(rows))


if __name__ == "__main__":
    main()
