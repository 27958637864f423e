"""The script for the first GPU runs on a CPU, at the smallest size, and says what it leaves out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"

RULES = ["bp", "fa", "ss", "wm", "kp"]


def output_of(*words: str) -> str:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--smallest", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(text: str) -> dict[str, list[list[str]]]:
    """Return the rows of the tables below each heading of Markdown."""
    parts = re.split(r"^### (.*)$", text, flags=re.MULTILINE)[1:]
    rows = {
        title: re.findall(r"^\| (\w.*) \|$", body, re.MULTILINE) for title, body in zip(*[iter(parts)] * 2, strict=True)
    }
    return {title: [row.split(" | ") for row in found if not row.startswith("rule |")] for title, found in rows.items()}


@pytest.fixture(scope="module")
def found() -> dict[str, list[list[str]]]:
    """Return the tables of all parts."""
    return tables(output_of())


def test_each_part_has_a_row_for_each_rule(found: dict[str, list[list[str]]]) -> None:
    assert [row[0] for row in found["Equal to the CPU"]] == RULES
    assert [row[0] for row in found["Seconds to 94 % on CIFAR-10"]] == RULES
    assert [row[0] for row in found["Cost of a training step"]] == [*RULES, "bp (again)"] * 2


def test_no_rule_reads_or_copies_in_a_training_or_mirror_step(found: dict[str, list[list[str]]]) -> None:
    rows = found["Reads, copies and waits in a step"]
    assert {(row[0], row[1]) for row in rows} >= {("wm", "training and mirror"), ("kp", "training")}
    assert {row[2] for row in rows} == {"0"}


def test_resumed_runs_of_kp_and_wm_are_equal_bit_for_bit_on_a_cpu(found: dict[str, list[list[str]]]) -> None:
    rows = found["Interrupted and resumed"]
    assert {tuple(row[:2]) for row in rows} == {(r, p) for r in ("wm", "kp") for p in ("float32", "bfloat16")}
    assert {row[2] for row in rows} == {"equal bit for bit"}


def test_what_would_begin_after_the_time_is_left_out_with_a_line() -> None:
    text = output_of("--minutes", "0", "--parts", "cifar", "steps")
    assert text.count("left out, since the time is over") == 2
    assert not re.search(r"^\|", text, re.MULTILINE)
