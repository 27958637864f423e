"""docs/adding-a-study.md: its file is a study, and its commands work as written."""

import re
import shlex
from pathlib import Path

import pytest

from analysis.stats.interquartile import FEWEST_FOR_IQM
from analysis.stats.seeds import FEWEST_SEEDS
from analysis.text.study import FOR_A_CLAIM
from nowt.cli.main import main, parse
from nowt.config.placement import Placement
from nowt.studies.lookup import find_study
from nowt.studies.planning.estimate import plan
from nowt.studies.planning.power import ALPHA, equivalence_power, required_seeds

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-study.md").read_text(encoding="utf-8")
FILE = re.search(r"Create `(\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^nowt (.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's file, in the working folder."""
    assert FILE is not None
    name, text = FILE.groups()
    (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return name


def test_the_file_is_a_study_of_four_cells(study: str) -> None:
    found = find_study(study)
    assert [cell.name for cell in found.cells] == ["bp", "kp decay 0", "kp decay 0.001", "kp decay 0.01"]


def test_the_example_of_a_claim_is_about_the_study(study: str) -> None:
    [claimed] = re.findall(r"```python\n(from nowt import Claim\n.*?)```", PAGE, re.DOTALL)
    Path(study).write_text(f"{Path(study).read_text(encoding='utf-8')}\n{claimed}", encoding="utf-8")
    found = find_study(f"{study}:claimed")
    assert found.claim is not None and found.claim.cells == ("kp decay 0.01",)


def test_the_page_shows_the_key_and_the_expected_alignment_of_the_study(study: str) -> None:
    found = find_study(study)
    page = plan(found, Placement(device="cpu"))
    assert found.key in PAGE and f"{161 * found.epochs} " in PAGE
    for cell, angle in re.findall(r"^warning: (kp decay [\d.]+): .* about (\d+)°", PAGE, re.MULTILINE):
        (line,) = (line for line in page.splitlines() if line.startswith(f"warning: {cell}:"))
        now = re.search(r"about (\d+)°", line)
        assert now is not None and int(now.group(1)) == pytest.approx(int(angle), abs=1)
    (row,) = re.findall(r"^kp decay 0.01 .*$", PAGE, re.MULTILINE)
    assert row.partition("90° before")[2] in page
    assert "warning: kp decay 0.01" not in page


def test_the_page_states_the_number_of_seeds_that_plan_prints() -> None:
    alpha = ALPHA / 3
    detect, equal, strict = (
        required_seeds(2.0, alpha),
        required_seeds(2.0, alpha, chance=equivalence_power),
        required_seeds(1.0, alpha, chance=equivalence_power),
    )
    text = " ".join(PAGE.split())
    assert f"each of the three comparisons needs {detect} seeds" in text
    assert f"takes {equal} seeds if the margin is twice" in text and f"and {strict} seeds if the margin equals" in text
    limits = [FEWEST_SEEDS, FOR_A_CLAIM, FEWEST_FOR_IQM]
    assert re.findall(r"^\| (\d) or ", PAGE, re.MULTILINE) == [str(seeds) for seeds in (1, *limits)]


def test_every_command_is_one_of_nowts(study: str) -> None:
    assert len(COMMANDS) == 5
    for command in COMMANDS:
        parse(shlex.split(command))


def test_the_quick_study_runs_and_is_reported(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    quick = next(command for command in COMMANDS if "--quick" in command)
    assert main([*shlex.split(quick), "--in-process", "--seeds", "1"]) == 0
    assert main(["report", "kp_decay_quick", "--out", "figures"]) == 0
    assert Path("figures/report.html").exists()
