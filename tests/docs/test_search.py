"""docs/search.md: its space loads as it stands, its commands are nowt's, and what it says is refused is refused."""

import re
import shlex
from pathlib import Path

import optuna
import pytest

from nowt.cli.main import parse
from nowt.core.errors import ConfigError
from nowt.studies.lookup import find_space
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.param_checks import FIXED
from nowt.studies.search.params import Choice, Range
from nowt.studies.search.space import Budget
from nowt.studies.search.trial_storage import TrialStorage

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")

SPACE, READING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_space_is_one(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE, encoding="utf-8")
    space = find_space(str(tmp_path / "space.py"))
    assert [cell.name for cell in space.cells] == ["wm", "kp"] and space.baseline == "kp"
    assert {type(param) for cell in space.cells for param in cell.params} == {Range, Choice}


def test_its_budgets_are_in_all_four_units() -> None:
    names: dict[str, tuple[Budget, ...]] = {}
    exec(SPACE, names)
    assert [budget.unit for budget in names["BUDGETS"]] == ["trials", "presentations", "flops", "seconds"]


def test_plain_optuna_reads_a_search_as_the_page_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space = find_space("backprop")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with TrialStorage.at(space, "sqlite:///runs/optuna.db") as decisions:
        decisions.ask(space.cells[0])
    exec(READING, {"optuna": optuna})
    shown = capsys.readouterr().out
    assert f"{space.key}/bp" in shown and "RUNNING" in shown


@pytest.mark.parametrize("path", FIXED)
def test_what_may_not_be_searched_is_on_the_page_and_refused(path: str) -> None:
    assert f"`{path}" in PAGE
    [cell] = find_space("backprop").cells
    with pytest.raises(ConfigError, match=f"{path} cannot be searched"):
        SearchCell("bp", cell.config, (Choice(path, (1, 2)),))


def test_its_commands_can_be_typed() -> None:
    commands = re.findall(r"^nowt (.*?)(?:\s+#.*)?$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert parse(shlex.split(command)).store == "runs"
