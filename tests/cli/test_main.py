"""The command line: every command has help, a mistake gets one line, fields can be given in any order."""

import re
from pathlib import Path

import pytest

from nowt.cli.commands import COMMANDS
from nowt.cli.main import main
from nowt.config.overrides import field_paths
from nowt.rules.weight_mirror import WeightMirror
from nowt.store.records import RunLog
from nowt.store.run_log import read_all
from nowt.studies.lookup import find_recipe
from tests.support.small_studies import BROKEN, OWN, log_bytes, write_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

NAMES = [command.__name__.rpartition(".")[2] for command in COMMANDS]

SMALL = ["--data.train_limit", "64", "--data.repeat", "1", "--data.size", "8", "--epochs", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a rule file and a store that holds one run of that rule."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "mine.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "digits", "--rule.scale", "2", *SMALL, "--rule", "./mine.py"]) == 0
    return folder


def refusal(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The line that is printed for a mistake; the exit code must be 2."""
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("nowt: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize("command", NAMES)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    page = capsys.readouterr().out
    assert f"nowt {command}" in page and re.search(rf"example:\s+nowt\s+{command}", page)
    assert ("--store" in page) == (command not in ("cluster", "data", "upgrade"))  # which read none, or name it


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    page = capsys.readouterr().out
    assert all(re.search(rf"^ +{command} +\w", page, re.MULTILINE) for command in NAMES)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("trian digits", "did you mean train?"),
        ("train digitz", "did you mean digits?"),
        ("train digits --optim.lrr 1", "did you mean --optim.lr?"),
        ("train digits --rule kpp", "did you mean kp?"),
        ("train digits --rule.scael 2 --rule fa", "did you mean --rule.scale?"),
        ("train digits --storr here", "did you mean --store?"),
        ("ablate rules_on_digitz", "did you mean rules_on_digits?"),
        ("ablate rules_on_digits --in-proces", "did you mean --in-process?"),
        ("ablate rules_on_digits --rule wn", "did you mean wm?"),
        ("certify kpp", "did you mean kp?"),
        ("train --optim.lrr 1 digits", "did you mean --optim.lr?"),
        ("train --rule kpp digits", "did you mean kp?"),
        ("train --storr here digits", "did you mean --store?"),
        ("train --optm.lr 1 digits", "did you mean --optim.lr?"),
        ("train digits --verb 1", "did you mean --debug?"),
        ("train digits --epochz 3", "there is no option --epochz (did you mean --epochs?)"),
        ("train digits --quick", "there is no option --quick here, but in nowt ablate, nowt search, nowt plan; --help"),
        ("train rules_on_digits", "there is no recipe 'rules_on_digits', but a study: nowt ablate rules_on_digits; "),
        ("ablate --hlp", "there is no option --hlp (did you mean --help?)"),
        ("ablate -hlp", "there is no option -hlp (did you mean --help?)"),
        ("--hlp", "there is no option --hlp (did you mean --help?)"),
        ("train digits --data.name foldr", "data.name is 'foldr' (did you mean folder?): input should be 'digits', "),
        ("runs --stor here", "there is no option --stor (did you mean --store?)"),
    ],
)
def test_the_nearest_name_is_suggested_for_a_misspelt_one(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(command, capsys)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "no command is given (see nowt --help)"),
        ("train", "required: RECIPE"),
        ("train digits --optim.lr abc", "optim.lr is 'abc'"),
        ("train digits --optim.lr -1", "optim.lr is -1.0: it must be above 0"),
        ("train digits --optim.lr", "--optim.lr needs a value"),
        ("train digits --optim 3", "--optim is a group of fields"),
        ("train digits --data.name digit", "data.name is 'digit'"),
        ("train digits more", "'more' is not expected here"),
        ("train digits --rule.scale 2", "rule has: no fields"),
        ("train digits --threads 0", "--threads is 0"),
        ("train digits --rule ./none.py", "there is no file ./none.py"),
        ("ablate ./none.py", "there is no file ./none.py"),
        ("ablate fair_rules", "there is no 'fair_rules' among studies (use: nowt search fair_rules)"),
        ("search decay", "there is no 'decay' among spaces (use: nowt ablate decay)"),
        ("ablate rules_on_digits --seeds 0", "--seeds is 0"),
        ("ablate rules_on_digits --seeds few", "--seeds: invalid int value: 'few'"),
        ("ablate rules_on_digits --seed 3", "--seeds N"),
        ("ablate rules_on_digits --slots 0", "--slots is 0"),
        ("ablate rules_on_digits --rule kp", "two cells of the study the same"),
        ("ablate decay --optim.weight_decay 0.01", "two cells of the study the same"),
        ("train --rule digits", "required: RECIPE"),
        ("train digits more --optim.lr --fields", "'more' is not expected here"),
        ("train --seeds 3 digits", "--seeds is a group of fields"),
        ("certify --rule kp", "give one rule or --all"),
        ("certify fa --rule kp", "--rule does not change the certificate of fa: --rule.FIELD does"),
        ("certify fa --optim.lr 3", "--optim.lr does not change the certificate of fa: --rule.FIELD does"),
        ("runs --optim.lr 3", "there is no option --optim.lr; --help lists all"),
        ("runs now", "'now' is not expected here"),
    ],
)
def test_a_mistake_is_reported_in_one_line(
    command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal(command, capsys)
    assert list(tmp_path.iterdir()) == []  # nothing was started


@pytest.mark.parametrize(
    "command",
    [
        "--debug train digits --optim.lr abc",
        "train digits --optim.lr abc --debug",
        "train --debug --optim.lr abc digits",
    ],
)
def test_debug_shows_the_traceback(command: str) -> None:
    with pytest.raises(ValueError, match=r"optim\.lr is 'abc'"):
        main(command.split())


@pytest.mark.parametrize(
    "command",
    [
        "--rule fa --rule.scale 2 --optim.lr 0.1",
        "--rule.scale 2 --rule fa --optim.lr 0.1",
        "--optim.lr=0.1 --store s --rule.scale=2 --threads 1 --rule=fa",
    ],
)
def test_fields_can_be_given_in_any_order(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--fields", *command.split()]) == 0
    shown = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if len(line.split()) > 2}
    assert (shown["--rule"], shown["--rule.scale"], shown["--optim.lr"]) == ("fa", "2.0", "0.1")


def shown_fields(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(command.split()) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        "train --rule kp digits --fields",
        "train --rule kp --fields digits",
        "train --fields --rule kp digits",
        "train --fields digits --rule kp",
        "train --rule=kp --store s digits --fields",
    ],
)
def test_fields_can_be_given_before_or_after_the_recipe(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown_fields(command, capsys) == shown_fields("train digits --rule kp --fields", capsys)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ablate --rule wn --seeds 2 rules_on_digits", "ablate rules_on_digits --seeds 2 --rule wn"),
        ("ablate --seeds 0 --rule kp rules_on_digits", "ablate rules_on_digits --seeds 0 --rule kp"),
        ("plan --optim.lr -1 rules_on_digits", "plan rules_on_digits --optim.lr -1"),
        ("plan --rule wn --seeds 2 rules_on_digitz", "plan rules_on_digitz --rule wn --seeds 2"),
        ("certify --rule.scael 2 fa", "certify fa --rule.scael 2"),
        ("certify --rule.scale abc --out here fa", "certify fa --rule.scale abc --out here"),
    ],
)
def test_a_mistake_is_reported_the_same_way_before_and_after_the_name(
    before: str, after: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(before, capsys) == refusal(after, capsys)


def test_every_field_is_listed_with_its_type_and_value(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split() for line in shown_fields("train --rule wm digits --fields", capsys).splitlines()]
    kinds = {path: kind for path, _, kind in rows}
    assert {f"--{path}" for path in field_paths(find_recipe("digits")(WeightMirror()))} | {"--rule"} == kinds.keys()
    assert (kinds["--optim.lr"], kinds["--data.size"], kinds["--test"]) == ("float", "int|none", "bool|last")


def test_a_custom_rule_trains_and_is_shown(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(trained / "runs")
    [run] = _runs(trained)
    assert (run.state, run.last_epoch) == ("finished", 1)
    assert main(["runs", "--store", store]) == 0
    table = capsys.readouterr().out
    assert run.key in table and "finished" in table and "1/1" in table
    assert main(["show", run.key[:5], "--store", store]) == 0
    page = capsys.readouterr().out
    assert "rule.scale = 2.0" in page and "data.train_limit = 64" in page and "val error" in page
    assert "stages" in page or "conv" in page  # each layer's alignment
    assert main(["runs", "--store", store, "--state", "failed"]) == 0
    assert "no matching runs" in capsys.readouterr().out


def test_a_finished_run_is_not_trained_again(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    before = log_bytes(trained / "runs")
    assert main(["train", "digits", "--rule", "./mine.py", "--rule.scale", "2", *SMALL]) == 0
    assert "has already finished" in capsys.readouterr().out
    assert log_bytes(trained / "runs") == before


def test_a_failed_run_reports_the_reason_and_exits_with_1(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    (trained / "broken.py").write_text(BROKEN.replace("== 5", "== 1"))
    assert main(["train", "digits", "--rule", "./broken.py", *SMALL]) == 1
    assert "RuntimeError: no such layer [/dense]" in capsys.readouterr().out


EXITING = """
import sys
from dataclasses import dataclass
from nowt import Rule

@dataclass(frozen=True)
class Mine(Rule):
    name = "mine"

    def __post_init__(self) -> None:
        sys.exit(5)
"""


def test_custom_code_that_exits_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(EXITING)
    assert main(["train", "digits", "--rule", "./mine.py:Mine", *SMALL]) == 2
    assert capsys.readouterr().err == f"nowt: {tmp_path}/mine.py ends the process (exit code 5)\n"


def test_a_run_whose_code_exits_has_failed_and_names_the_file(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    exiting = BROKEN.replace("== 5", "== 1").replace(
        'raise RuntimeError("no such layer [/dense]")', "raise SystemExit(6)"
    )
    assert "SystemExit" in exiting
    (trained / "exiting.py").write_text(exiting)
    assert main(["train", "digits", "--rule", "./exiting.py", *SMALL]) == 1
    assert f"{trained}/exiting.py ends the process (exit code 6)" in capsys.readouterr().out


def test_a_custom_rule_is_added_to_a_study_with_the_given_fields(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    write_study(trained, '{"fa": small("fa")}')
    options = ["--rule", "./mine.py", "--rule.scale", "3", "--epochs", "1", "--in-process"]
    assert main(["ablate", "./small.py", *options]) == 0
    out = capsys.readouterr().out
    assert re.match(r"study small-[0-9a-f]{8}: 2 runs\n", out) and "2 of 2 runs finished" in out
    found = {(rule["name"], rule["scale"]) for run in _runs(trained) for rule in [run.start["config"]["rule"]]}
    assert {("fa", 3.0), (str(trained / "mine.py"), 3.0)} <= found


def _runs(folder: Path) -> list[RunLog]:
    return list(read_all(folder / "runs"))
