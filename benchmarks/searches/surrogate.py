"""A surrogate of a cell: the learning curve of a setting, from the nearest trials that were recorded."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Param, Value
from searches.recorded import RecordedTrial

NEIGHBOURS = 3

OTHER_CHOICE = 0.25  # distance between two values of a choice: of 1, 0.5, 0.25 and 0.1, 0.25 and 0.1 rank trials best

CLOSEST = 1e-6  # a smaller distance counts as this one


class Surrogate:
    """Interpolates the errors of the nearest ``NEIGHBOURS`` trials, weighted by the inverse of the squared distance.

    Distances are Euclidean over the parameters: a range's values lie between 0 and 1, on a log scale if the range has
    one, and two different values of a choice are ``OTHER_CHOICE`` apart. A neighbour has the same active parameters.
    """

    def __init__(self, cell: SearchCell, trials: Sequence[RecordedTrial]) -> None:
        self.cell, self.trials = cell, list(trials)
        self.choices = np.array([isinstance(param, Choice) for param in cell.params])
        self.points = np.array([self._point(trial.values) for trial in self.trials])
        self.curves = np.array([trial.errors for trial in self.trials])

    @property
    def epochs(self) -> int:
        """The number of epochs of a trial."""
        return int(self.curves.shape[1])

    @property
    def best(self) -> float:
        """The lowest error after the last epoch that any setting can have."""
        return float(self.curves[:, -1].min())

    @property
    def worst(self) -> float:
        """The highest error after the last epoch that any setting can have."""
        return float(self.curves[:, -1].max())

    def curve(self, values: Mapping[str, Value]) -> list[float]:
        """Return the error of a setting after each epoch."""
        return self._curve(self._point(values), np.ones(len(self.trials), dtype=bool))

    def rank_correlation(self) -> float:
        """Return Spearman's correlation between the last errors of the trials and the surrogate without each."""
        found = []
        for i, point in enumerate(self.points):
            found.append(self._curve(point, np.arange(len(self.points)) != i)[-1])
        return float(spearmanr(found, self.curves[:, -1]).statistic)

    def _curve(self, point: NDArray[np.float64], used: NDArray[np.bool_]) -> list[float]:
        same = (np.isnan(self.points) == np.isnan(point)).all(axis=1) & used
        points, curves = self.points[same], self.curves[same]
        apart = np.where(self.choices, OTHER_CHOICE * (points != point), points - point)
        distances = np.maximum(np.sqrt(np.nansum(np.where(np.isnan(point), 0.0, apart) ** 2, axis=1)), CLOSEST)
        nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
        return [float(e) for e in np.average(curves[nearest], axis=0, weights=distances[nearest] ** -2.0)]

    def _point(self, values: Mapping[str, Value]) -> NDArray[np.float64]:
        """Return the coordinates of a setting; NaN for inactive parameters."""
        return np.array([_coordinate(p, values[p.name]) if p.name in values else np.nan for p in self.cell.params])


def _coordinate(param: Param, value: Value) -> float:
    if isinstance(param, Choice):
        return float(param.values.index(value))
    low, high, at = float(param.low), float(param.high), float(value)  # type: ignore[arg-type]
    return float(np.log(at / low) / np.log(high / low)) if param.log else (at - low) / (high - low)
