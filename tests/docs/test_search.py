"""docs/search.md: the example space loads, the commands parse, and the fields that it lists cannot be searched."""

import re
import shlex
from pathlib import Path

import optuna
import pytest

from nowt.cli.main import parse
from nowt.core.errors import ConfigError
from nowt.store.layout import Store
from nowt.studies.lookup import find_space
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.param_checks import FIXED
from nowt.studies.search.params import Choice, Range
from nowt.studies.search.space import Budget
from nowt.studies.search.trial_storage import TrialStorage

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")

SPACE, REGISTERED, READING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

COMMANDS = re.search(r"```\n(nowt .*?)```", PAGE, re.DOTALL)


def test_the_example_space_loads(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE, encoding="utf-8")
    space = find_space(str(tmp_path / "space.py"))
    assert [cell.name for cell in space.cells] == ["wm", "kp"] and space.baseline == "kp"
    assert {type(param) for cell in space.cells for param in cell.params} == {Range, Choice}


def test_the_example_states_a_confirmation_and_a_claim(tmp_path: Path) -> None:
    file = tmp_path / "space.py"
    file.write_text(f"{SPACE}\n{REGISTERED}", encoding="utf-8")
    plain, space = find_space(str(file)), find_space(f"{file}:registered")
    assert space.confirm is not None and space.confirm.runs(2) == (8, 16)
    assert space.claim is not None and space.claim.cells == ("wm",) and space.key == plain.key


def test_the_example_has_a_budget_in_each_unit() -> None:
    names: dict[str, tuple[Budget, ...]] = {}
    exec(SPACE, names)
    assert [budget.unit for budget in names["BUDGETS"]] == ["trials", "presentations", "flops", "seconds"]


def test_the_example_for_optuna_prints_the_trials_of_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space = find_space("backprop")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with TrialStorage.connect(space, "sqlite:///runs/optuna.db") as trials:
        trials.ask(space.cells[0])
    exec(READING, {"optuna": optuna})
    shown = capsys.readouterr().out
    assert f"{space.key}/bp" in shown and "RUNNING" in shown


@pytest.mark.parametrize("path", FIXED)
def test_every_field_that_cannot_be_searched_is_listed(path: str) -> None:
    assert f"`{path}" in PAGE
    [cell] = find_space("backprop").cells
    with pytest.raises(ConfigError, match=f"{path} cannot be searched"):
        SearchCell("bp", cell.config, (Choice(path, (1, 2)),))


def test_the_commands_parse() -> None:
    assert COMMANDS is not None
    commands = re.findall(r"^nowt (.*?)(?:\s+#.*)?$", COMMANDS[1], re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert Path(parse(shlex.split(command)).store).name == "runs"


def test_the_files_of_a_search_are_listed() -> None:
    store = Store(Path("runs"))
    key = "SPACE-HASH"
    for path in (store.log("RUN"), store.study_file(key), store.study_runs(key), store.optuna_db):
        assert f"| `{path}` |" in PAGE
