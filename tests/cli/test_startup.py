"""Commands start fast: each imports the heavy libraries only when it needs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.config.recipe_names import RECIPE_NAMES
from nowt.config.recipes import RECIPES
from nowt.core.version import VERSION
from nowt.store.study_file import write_study_file
from tests.support.synthetic_store import key_of, rules_study, write_store

CONTENT = {"name": "rules_on_digits", "question": "?", "reference": "bp", "seeds": []}

HEAVY = ["torch", "ray", "mlflow", "pandas", "optuna"]

REPORT_IMPORTS = f"""
import json, sys
from nowt.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


def imported_by(command: str, folder: Path) -> list[str]:
    """The heavy libraries that a command has imported when it ends."""
    argv = [sys.executable, "-c", REPORT_IMPORTS, *command.split()]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
    libraries: list[str] = json.loads(done.stdout.splitlines()[-1])
    return libraries


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "--hlp",
        "trian digits",
        "trian digits --optim.lr 0.1",
        "",
        "train",
        "train --help",
        "search --help",
        "ablate --hlp",
        "ablate rules_on_digits --in-proces",
        "train digits --epochz 3",
        "train digits --optim.lr 0.1 --epochz 3",
        "train digits --rule.scale 2 --optim.lrr 1",
        "runs --hlp",
    ],
)
def test_help_version_and_a_misspelt_command_or_option_import_no_heavy_library(command: str, tmp_path: Path) -> None:
    assert imported_by(command, tmp_path) == []


MISSPELT = {
    "train digts": "no recipe 'digts' (did you mean digits?)",
    "train digits --rule kpp": "no rule 'kpp' (did you mean kp?)",
    "train digits --optim.lr 0.1 --rule ./none.py": "there is no file ./none.py",
    "train none.py:mine": "there is no file none.py",
    "ablate rules_on_digts": "no 'rules_on_digts' among studies (did you mean rules_on_digits?)",
    "ablate fair_rules": "no 'fair_rules' among studies (use: nowt search fair_rules)",
    "ablate rules_on_digits --rule kpp": "no rule 'kpp' (did you mean kp?)",
    "plan rules_on_digts": "no 'rules_on_digts' among studies (did you mean rules_on_digits?)",
    "plan rules_on_digits --rule kpp": "no rule 'kpp' (did you mean kp?)",
    "search fair_rule": "no 'fair_rule' among spaces (did you mean fair_rules?)",
    "search fair_rules --recipe digts": "no recipe 'digts' (did you mean digits?)",
    "certify kpp": "no rule 'kpp' (did you mean kp?)",
    "certify kpp --rule.scale 2": "no rule 'kpp' (did you mean kp?)",
    "transfer fair_rules --to digts": "no recipe 'digts' (did you mean digits?)",
    "transfer fair_rules --to digits": "store runs has no search 'fair_rules'",
    "report rules_on_digts": "store runs has no study 'rules_on_digts' (did you mean rules_on_digits?)",
    "report rules_on_digits --store rnus": "there is no store at rnus (did you mean runs?)",
    "report --check figures --store rnus": "there is no store at rnus (did you mean runs?)",
    "probe rules_on_digits --metric ckka": "unknown metric 'ckka' (did you mean cka?)",
    "probe rules_on_digit --metric cka": "store runs has no study 'rules_on_digit' (did you mean rules_on_digits?)",
}

REPORT_MISSPELT = f"""
import json, sys
from nowt.cli.main import main
for command in json.loads(sys.argv[1]):
    code = main(command.split())
    print(code, [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


def test_a_misspelt_name_is_reported_before_a_heavy_library_is_imported(tmp_path: Path) -> None:
    write_study_file(tmp_path / "runs", "rules_on_digits-00000001", CONTENT)
    argv = [sys.executable, "-c", REPORT_MISSPELT, json.dumps([*MISSPELT])]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    for (command, message), line, outcome in zip(MISSPELT.items(), lines[::2], lines[1::2], strict=True):
        assert message in line and outcome == "2 []", (command, line, outcome)


def test_the_names_of_recipes_that_the_command_line_knows_are_those_of_the_recipes() -> None:
    assert tuple(RECIPES) == RECIPE_NAMES


def test_runs_and_show_do_not_import_torch_ray_or_mlflow(tmp_path: Path) -> None:
    study = write_store(tmp_path / "runs", rules_study(names=["kp"], seeds=1, epochs=2), layers=2)
    key = key_of(study, "kp", 0)
    for command in ("runs", "runs --rule kp --state finished", f"runs --study {study.name}", f"show {key}", "show x"):
        assert not {"torch", "ray", "mlflow"} & {*imported_by(command, tmp_path)}, command


def test_listing_the_rules_does_not_import_torch() -> None:
    code = "import sys; from nowt.rules.registry import rule_names; rule_names(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0 and capsys.readouterr().out == f"nowt {VERSION}\n"
