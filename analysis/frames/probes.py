"""The results of ``nowt probe`` as frames with declared and checked columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.frames.schema import enforce_schema
from analysis.frames.study import Frames
from nowt.evaluation.probes.results import WHOLE_NETWORK, ProbeSettings, ResultLine, read_results
from nowt.store.layout import Store

PROBES = {
    "run": "str",  # run key; a run that two cells share has one row per cell
    "cell": "str",
    "rule": "str",
    "seed": "int64",
    "epoch": "int64",
    "layer": "str",  # layer name, or the name of a number that belongs to no layer, such as "all"
    "depth": "int64",  # position among the measured layers, 0 next to the input; -1 if it belongs to no layer
    "metric": "str",
    "value": "float64",  # NaN if undefined
}


@dataclass(frozen=True)
class Probe:
    """One metric, measured on the finished runs of a study with its newest settings.

    Attributes:
        metric: Name of the metric.
        settings: What its values depend on: number of images, data split, and the cell compared with.
        values: One row per run, epoch and layer, columns ``PROBES``.
    """

    metric: str
    settings: ProbeSettings
    values: pd.DataFrame

    @property
    def curves(self) -> dict[str, pd.DataFrame]:
        """Frames of the values that belong to no single layer, by name: one row per cell, run and epoch.

        ``all`` is the metric's value for the whole network or, if it has none, the mean over layers; NaN if the metric
        is undefined in one of them.
        """
        names = self.values["layer"].where(self.values["depth"] < 0, WHOLE_NETWORK)
        own = (self.values["layer"] == WHOLE_NETWORK).any()
        drawn = self.values[(self.values["depth"] < 0) | (not own)]
        by = ["cell", "rule", "run", "seed", "epoch"]
        return {
            str(name): rows.groupby(by, sort=False)["value"].agg(_mean).reset_index()
            for name, rows in drawn.groupby(names[drawn.index], sort=False)
        }

    @property
    def epochs(self) -> int:
        """Number of epochs measured."""
        return int(self.values["epoch"].nunique())

    @property
    def layers(self) -> pd.DataFrame:
        """The layers' values at each cell's last epoch; empty if there are fewer than two layers."""
        rows = self.values[self.values["depth"] >= 0]
        last = rows[rows["epoch"] == rows.groupby("cell")["epoch"].transform("max")]
        return last if last["depth"].nunique() > 1 else last[:0]


def _mean(values: "pd.Series[float]") -> float:
    return float(values.mean(skipna=False))


def read_probes(store: Path, frames: Frames) -> list[Probe]:
    """Read what ``nowt probe`` measured on the finished runs of a study.

    Args:
        store: Folder of the store.
        frames: The study's frames, from ``read_frames``.

    Returns:
        One ``Probe`` per metric, with the settings it was last measured with; none for a metric without a defined
        value.

    Raises:
        ValueError: A results file cannot be read; the message names the line.

    Example:
        >>> [probe.metric for probe in read_probes(Path("runs"), frames)]  # doctest: +SKIP
    """
    paths = sorted(Store(store).probes(frames.study.key).glob("*.jsonl"))
    probes = (_probe(path.stem, read_results(path), frames) for path in paths)
    return [probe for probe in probes if probe is not None and not probe.values["value"].isna().all()]


def _probe(metric: str, lines: list[ResultLine], frames: Frames) -> Probe | None:
    if not lines:
        return None
    settings = ProbeSettings.from_line(lines[-1])
    newest = {(line["run"], line["epoch"]): line for line in lines if ProbeSettings.from_line(line) == settings}
    rows = [(run, epoch, metric, *row) for (run, epoch), line in newest.items() for row in _rows(line)]
    measured = pd.DataFrame(rows, columns=["run", "epoch", "metric", "layer", "depth", "value"])
    finished = frames.runs.loc[frames.runs["state"] == "finished", ["run", "cell", "rule", "seed"]]
    return Probe(metric, settings, enforce_schema(finished.merge(measured, on="run"), PROBES))


def _rows(line: ResultLine) -> Iterator[tuple[str, int, float | None]]:
    """Yield the name, depth and value of each number in a line."""
    depths = {
        name: depth for depth, name in enumerate(n for n in line["values"] if n not in (WHOLE_NETWORK, *line["others"]))
    }
    for name, value in line["values"].items():
        yield name, depths.get(name, -1), value
