"""Commands start fast: each imports the heavy libraries only when it needs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.core.version import VERSION
from tests.support.synthetic_store import key_of, rules_study, write_store

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
