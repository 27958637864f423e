"""The benchmark of search quality, on a table of trials with a single good corner."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "search_quality.py"

METHODS = ("nowt", "optuna", "random")  # those that need no further package


def write_corner(path: Path) -> None:
    """Write trials of the shipped space ``backprop`` whose error is low at a high learning rate and a low decay."""
    lines: list[dict[str, object]] = [{"classes": 10, "training": 1294}]
    for row in range(5):
        for column in range(5):
            values = {"optim.lr": 0.005 * 100 ** (row / 4), "optim.weight_decay": 1e-4 * 500 ** (column / 4)}
            values |= {"optim.momentum": 0.7, "optim.warmup": 1.0}
            last = 0.1 + 0.2 * (4 - row) / 4 + 0.2 * column / 4
            errors = [last + 0.4 * 0.6**epoch for epoch in range(10)]
            for schedule in ({"optim.schedule": "cosine"}, {"optim.schedule": "step", "optim.milestones": [5.0, 8.0]}):
                lines.append({"cell": "bp", "trial": len(lines), "values": {**values, **schedule}, "errors": errors})
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


def output_of(table: Path) -> str:
    words = ["--tables", str(table), "--repeats", "2", "--only", *METHODS]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def regrets(output: str) -> dict[str, list[float]]:
    """Return the median regrets at 25, 50 and 100 % of the budget, by method."""
    rows = (line.strip("| ").split(" | ") for line in output.splitlines()[2:] if line.startswith("|"))
    return {name: [float(cell.split()[0]) for cell in cells[:3]] for name, *cells in rows}


def test_every_method_finds_the_corner_and_equal_seeds_give_equal_tables(tmp_path: Path) -> None:
    table = tmp_path / "backprop.jsonl"
    write_corner(table)
    output = output_of(table)
    found = regrets(output)
    assert tuple(found) == METHODS
    for name, (quarter, half, whole) in found.items():
        assert quarter >= half >= whole and quarter > whole, f"{name}: more budget must lower the regret"
        assert whole < 10, f"{name}: the best setting found must lie in the corner"
    assert output_of(table) == output
