"""A store whose logs are written, cut, continued and deleted at random, and its frames as computed by plain pandas."""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nowt.store.jsonl import drop_incomplete_line
from nowt.store.records import Epoch, Layer, RunLog, epoch_to_json
from nowt.store.run_log import read_all

NAN = float("nan")


@dataclass
class GrowingStore:
    """Changes the logs of a store at random."""

    folder: Path
    luck: random.Random
    now: int = 1_700_000_000_000  # milliseconds since 1970
    made: int = 0
    layers: dict[str, int] = field(default_factory=dict)  # by run

    def step(self) -> str:
        """Make one random change; returns its name."""
        logs = sorted((self.folder / "logs").glob("*.jsonl"))
        deeds = [
            self.start,
            self.grow,
            self.grow,
            self.end,
            self.resume,
            self.cut,
            self.tear,
            self.delete,
            self.replace,
        ]
        deed = self.luck.choice(deeds) if logs else self.start
        deed(self.luck.choice(logs) if logs else self.folder)
        return deed.__name__

    def start(self, _: Path) -> None:
        """Start a new run, perhaps without alignment."""
        self.made += 1
        key = f"{self.made:012x}"
        self.layers[key] = self.luck.choice([0, 1, 3])
        config = {
            "rule": {"name": self.luck.choice(["bp", "kp"])},
            "model": {"name": "mlp"},
            "data": {"name": "digits"},
        }
        config |= {"seed": self.made, "epochs": 9}
        path = self.folder / "logs" / f"{key}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.write(
            path, {"kind": "start", "schema": 1, "key": key, "config": config, "classes": 10, "fingerprint": "f"}
        )
        self.grow(path)

    def grow(self, path: Path) -> None:
        """Append some epochs, sometimes one that is not finite or is repeated."""
        drop_incomplete_line(path)
        last = max((run.last_epoch for run in read_all(self.folder) if run.key == path.stem), default=-1)
        for epoch in range(last + self.luck.choice([0, 1, 1, 1]), last + self.luck.randint(1, 4)):
            self.write(path, {"kind": "epoch", **epoch_to_json(self.epoch(path.stem, max(epoch, 0)))})

    def end(self, path: Path) -> None:
        drop_incomplete_line(path)
        state = self.luck.choice(["finished", "diverged", "failed", "stopped"])
        self.write(path, {"kind": "end", "state": state, "reason": state, "epoch": 0})

    def resume(self, path: Path) -> None:
        drop_incomplete_line(path)
        self.write(path, {"kind": "resume", "attempt": self.luck.randint(2, 5), "epoch": 0})
        self.grow(path)

    def cut(self, path: Path) -> None:
        """Cut the file at any byte, as a crash of the machine does; perhaps append to it again."""
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.truncate(self.luck.randint(0, size))
        if self.luck.random() < 0.5:
            self.resume(path)

    def tear(self, path: Path) -> None:
        """Append an incomplete line."""
        drop_incomplete_line(path)
        with path.open("a", encoding="utf-8") as file:
            file.write('{"kind": "epo')

    def delete(self, path: Path) -> None:
        path.unlink()

    def replace(self, path: Path) -> None:
        """Replace the text by another of the same length."""
        text = path.read_text()
        path.write_text(text.replace('"lr": 0.1', '"lr": 0.2'))

    def write(self, path: Path, line: dict[str, Any]) -> None:
        self.now += self.luck.randint(1, 9999)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "time": self.now}) + "\n")

    def epoch(self, key: str, number: int) -> Epoch:
        loss = NAN if self.luck.random() < 0.1 else self.luck.random()
        through = self.luck.choice((None, True, False))
        named = [Layer(f"layer{i}", i, *(self.maybe() for _ in range(3)), through) for i in range(self.layers[key])]
        return Epoch(
            epoch=number,
            step=10 * number,
            lr=0.1,
            train_loss=loss if number else NAN,
            train_error=self.maybe(),
            val_loss=loss,
            val_error=self.maybe(),
            test_loss=NAN,
            test_error=NAN,
            presentations=100 * number,
            mirror_presentations=0,
            flops=1e9 * number,
            seconds=1.5 * number,
            probe_seconds=0,
            layers=tuple(named),
        )

    def maybe(self) -> float:
        """A number, or NaN."""
        return NAN if self.luck.random() < 0.1 else self.luck.random()


def plain_runs(store: Path) -> pd.DataFrame:
    """The expected frame of runs, from ``nowt.store.run_log.read`` alone."""
    rows = [
        {"run": run.key, "seed": run.start["config"]["seed"], "rule": run.start["config"]["rule"]["name"]}
        | {name: getattr(run, name) for name in ("state", "reason", "attempts", "last_epoch")}
        | {"diverged_epoch": diverged_epoch(run), "started": run.start["time"], "heard": run.spans[-1].end}
        for run in read_all(store)
    ]
    return pd.DataFrame(rows)


def diverged_epoch(run: RunLog) -> int | None:
    if run.state != "diverged":
        return None
    broken = [e.epoch for e in run.epochs if math.isnan(e.val_loss) or (e.epoch and math.isnan(e.train_loss))]
    return min([*broken, run.last_epoch + 1, run.start["config"]["epochs"]])


def plain_epochs(store: Path, names: list[str]) -> pd.DataFrame:
    rows = ({"run": run.key} | {n: getattr(e, n) for n in names} for run in read_all(store) for e in run.epochs)
    return pd.DataFrame(rows, columns=["run", *names])


def plain_layers(store: Path, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(_layers(store, names), columns=["run", "epoch", "layer", *names])


def _layers(store: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    for run in read_all(store):
        for epoch in run.epochs:
            for layer in epoch.layers:
                place = {"run": run.key, "epoch": epoch.epoch, "layer": layer.name}
                yield place | {name: getattr(layer, name) for name in names}
