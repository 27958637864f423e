"""Finished runs that no longer count are reported before they are repeated, and --redo is required for long ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nowt.config.placement import Placement
from nowt.config.run_config import ModelConfig, OptimConfig, RunConfig
from nowt.core.errors import ConfigError
from nowt.execution.preparation import plan_run
from nowt.execution.runner import ExecutionOptions
from nowt.execution.scheduler import PlannedRun
from nowt.store.layout import Store
from nowt.store.listed_runs import ListedRun
from nowt.store.records import Epoch
from nowt.store.run_log import LogWriter
from nowt.store.study_file import write_study_file
from nowt.studies.study import Cell, Study, study_to_json
from nowt.studies.superseded import check_superseded, describe, superseded_runs
from tests.core.test_source_hash import written
from tests.support.small_spaces import write_space
from tests.support.small_studies import OWN, write_study

FACTS = {"fingerprint": "pixels", "classes": 10, "training": 100, "skipped": [], "not_replaced": []}


def study(*configs: RunConfig, seeds: tuple[int, ...] = (0, 1)) -> Study:
    cells = tuple(Cell(f"cell {number}", config) for number, config in enumerate(configs))
    return Study("s", "Which?", cells, seeds, reference="cell 0")


def planned(of: Study, **facts: Any) -> list[PlannedRun]:
    return [plan_run(cell.name, config, {**FACTS, **facts}) for cell, _, config in of.runs()]


def finish(store: Path, of: Study, minutes: float = 10, **facts: Any) -> None:
    """Write the study file and the log of every run, each of which took this long."""
    plan = planned(of, **facts)
    write_study_file(store, of.key, study_to_json(of), [ListedRun(p.key, p.cell, p.seed) for p in plan])
    for each in plan:
        writer = LogWriter.open(store, each.key)
        writer.start(each.key, **each.start)
        writer.epoch(Epoch(1, 1, 0.1, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 0, 0, 0.0, 0.0, 0.0))
        writer.end("finished")
        path = Store(store).log(each.key)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[0]["time"] -= round(minutes * 60_000)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def interrupt(store: Path, of: Study, **facts: Any) -> None:
    """Cut the end of the logs of runs that ``finish`` wrote: the process was killed after their last epoch."""
    for each in planned(of, **facts):
        path = Store(store).log(each.key)
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def sentence(store: Path, of: Study, **facts: Any) -> str:
    return describe(of.name, superseded_runs(store, of.name, planned(of, **facts)))


def test_a_study_that_has_not_changed_repeats_nothing(tmp_path: Path) -> None:
    assert sentence(tmp_path, study(RunConfig())) == ""
    finish(tmp_path, study(RunConfig()))
    assert sentence(tmp_path, study(RunConfig())) == ""
    assert sentence(tmp_path, study(RunConfig(), seeds=(0, 1, 2))) == ""
    assert sentence(tmp_path, study(RunConfig(), RunConfig(epochs=3))) == ""


def test_other_images_are_named(tmp_path: Path) -> None:
    finish(tmp_path, study(RunConfig()))
    assert sentence(tmp_path, study(RunConfig()), fingerprint="others") == (
        "2 finished runs of s (20 min of work) no longer count: the images have changed"
    )


def test_other_class_folders_are_named_at_most_three_of_a_kind(tmp_path: Path) -> None:
    before = [f"class {number}" for number in range(9)]
    finish(tmp_path, study(RunConfig()), class_folders=before, fingerprint="first")
    renamed = [*before[1:], "lynx"]
    assert sentence(tmp_path, study(RunConfig()), class_folders=renamed, fingerprint="others").endswith(
        "no longer count: the class folders have changed (added: lynx; removed: class 0)"
    )
    assert sentence(tmp_path, study(RunConfig()), class_folders=before[:4], fingerprint="others").endswith(
        "(removed: class 4, class 5, class 6 and 2 more)"
    )
    assert sentence(tmp_path, study(RunConfig()), class_folders=before, fingerprint="others").endswith(
        "no longer count: the images have changed"
    )


def test_other_settings_are_named(tmp_path: Path) -> None:
    finish(tmp_path, study(RunConfig(), RunConfig(epochs=3)), minutes=90)
    other = study(RunConfig(), RunConfig(epochs=4, optim=OptimConfig(lr=0.2)))
    assert sentence(tmp_path, other) == (
        "2 finished runs of s (3.0 hours of work) no longer count: settings have changed (optim.lr 0.05, now 0.2; "
        "epochs 3, now 4)"
    )


def test_an_edited_file_is_named_wherever_it_lies(tmp_path: Path) -> None:
    net = written(tmp_path / "a", {"net.py": "def build(shape, classes): ...\n"})
    finish(tmp_path, study(RunConfig(), RunConfig(ModelConfig(f"{net}:build"))))
    moved = written(tmp_path / "b", {"net.py": "# a comment\ndef build(shape, classes): ...\n"})
    assert sentence(tmp_path, study(RunConfig(), RunConfig(ModelConfig(f"{moved}:build")))) == ""
    written(tmp_path / "b", {"net.py": "def build(shape, classes): pass\n"})
    assert sentence(tmp_path, study(RunConfig(), RunConfig(ModelConfig(f"{moved}:build")))) == (
        "2 finished runs of s (20 min of work) no longer count: net.py or a module that it imports has changed"
    )


def test_another_version_of_nowts_numbers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(tmp_path, study(RunConfig()))
    monkeypatch.setattr("nowt.config.run_key.LOOP_NUMERICS", 99)
    assert sentence(tmp_path, study(RunConfig())).partition(" of work) ")[2] == (
        "no longer count: nowt has changed. `nowt upgrade STORE` gives today's keys to those whose content is shown to "
        "be equal"
    )


def test_the_earlier_run_with_the_fewest_changes_counts(tmp_path: Path) -> None:
    finish(tmp_path, study(RunConfig(), seeds=(0,)), fingerprint="first")
    finish(tmp_path, study(RunConfig(epochs=5), seeds=(0,)), fingerprint="second")
    found = sentence(tmp_path, study(RunConfig(), seeds=(0,)), fingerprint="third")
    assert found == "1 finished run of s (10 min of work) no longer counts: the images have changed"


def test_runs_of_a_renamed_cell_are_reported_if_they_are_repeated(tmp_path: Path) -> None:
    before = study(RunConfig(), RunConfig(epochs=5))
    cells = (before.cells[0], replace(before.cells[1], name="long"))
    finish(tmp_path, before)
    assert sentence(tmp_path, replace(before, cells=cells)) == ""  # the keys are the same
    found = sentence(tmp_path, replace(before, cells=cells), fingerprint="others")
    assert found == "4 finished runs of s (40 min of work) no longer count: the images have changed"
    new = (before.cells[0], Cell("long", RunConfig(epochs=7)))
    assert sentence(tmp_path, replace(before, cells=new), fingerprint="others").startswith("2 finished runs ")


def test_runs_that_have_begun_again_are_not_reported(tmp_path: Path) -> None:
    finish(tmp_path, study(RunConfig()), fingerprint="old")
    finish(tmp_path, study(RunConfig()))
    assert sentence(tmp_path, study(RunConfig())) == ""


def test_unfinished_runs_that_would_start_from_the_beginning_are_reported(tmp_path: Path) -> None:
    finish(tmp_path, study(RunConfig()))
    interrupt(tmp_path, study(RunConfig(), seeds=(1,)))
    assert sentence(tmp_path, study(RunConfig())) == ""
    said = sentence(tmp_path, study(RunConfig()), fingerprint="others")
    assert said.startswith("1 finished and 1 unfinished runs of s (") and "no longer count: the images have" in said
    interrupt(tmp_path, study(RunConfig(), seeds=(0,)))
    said = sentence(tmp_path, study(RunConfig()), fingerprint="others")
    assert said.startswith("2 unfinished runs of s (")


def check(store: Path, of: Study, lines: list[str], **options: Any) -> None:
    found = superseded_runs(store, of.name, planned(of, fingerprint=options.pop("fingerprint", "pixels")))
    check_superseded(of.name, found, ExecutionOptions(Placement(), **options), lines.append)


def test_more_than_a_minute_needs_redo(tmp_path: Path) -> None:
    finish(tmp_path, study(RunConfig()), minutes=0.6)
    lines: list[str] = []
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, study(RunConfig()), lines, fingerprint="others")
    assert str(caught.value) == (
        "2 finished runs of s (1 min of work) no longer count: the images have changed. Give --redo to train again, or "
        "undo the change"
    )
    assert lines == []
    check(tmp_path, study(RunConfig()), lines, fingerprint="others", redo=True)
    check(tmp_path, study(RunConfig(), seeds=(0,)), lines, fingerprint="others")
    assert [line.partition(" no longer")[0] for line in lines] == [
        "2 finished runs of s (1 min of work)",
        "1 finished run of s (36 s of work)",
    ]


def test_settings_that_the_command_names_need_no_redo(tmp_path: Path) -> None:
    """A loop over values of an option is no accident."""
    base = study(RunConfig())
    finish(tmp_path, base)
    other = replace(base, cells=(Cell("cell 0", RunConfig(optim=OptimConfig(lr=0.2))),))
    lines: list[str] = []
    check(tmp_path, other, lines, chosen=("optim.lr",))
    check(tmp_path, other, lines, chosen=("optim",))
    check(tmp_path, other, lines, chosen=("*",))
    assert len(lines) == 3
    with pytest.raises(ConfigError, match="--redo"):
        check(tmp_path, other, lines, chosen=("optim.momentum",))
    with pytest.raises(ConfigError, match="the images have changed, settings have changed"):
        check(tmp_path, other, lines, chosen=("optim.lr",), fingerprint="others")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy
def test_ablate_and_plan_report_an_edited_rule_and_need_redo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nowt.cli.main import main

    written(tmp_path, {"mine.py": OWN})
    words = [str(write_study(tmp_path, '{"mine": small("mine.py"), "bp": small("bp")}')), "--store", f"{tmp_path}/runs"]
    assert main(["ablate", *words, "--in-process"]) == 0
    written(tmp_path, {"mine.py": OWN.replace("if False:", "if False and True:")})
    capsys.readouterr()
    said = "no longer counts: mine.py or a module that it imports has changed"
    assert main(["plan", *words]) == 0
    assert f"{said}; nowt ablate trains them again\n" in capsys.readouterr().out
    monkeypatch.setattr("nowt.studies.superseded.FREE_SECONDS", 0.0)
    assert main(["ablate", *words, "--in-process"]) == 2
    assert said in (error := capsys.readouterr().err) and "Give --redo" in error and error.count("\n") == 1
    assert main(["plan", *words]) == 0
    assert f"{said}; nowt ablate trains them again with --redo" in capsys.readouterr().out
    assert main(["ablate", *words, "--in-process", "--redo"]) == 0
    assert said in capsys.readouterr().out
    assert main(["ablate", *words, "--in-process"]) == 0
    assert said not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_search_reports_an_edited_rule_and_other_parameters_and_needs_redo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nowt.cli.main import main

    written(tmp_path, {"mine.py": OWN})
    space = write_space(
        tmp_path,
        "(part('mine.py'),)",
        "Budget(2)",
        "sampler='random', stopping=EarlyStopping('none'), reference='mine'",
    )
    words = ["search", str(space), "--store", f"{tmp_path}/runs", "--in-process"]
    assert main(words) == 0
    monkeypatch.setattr("nowt.studies.superseded.FREE_SECONDS", 0.0)
    assert main([*words, "--trials", "3"]) == 0  # the same search
    written(tmp_path, {"mine.py": OWN.replace("if False:", "if False and True:")})
    capsys.readouterr()
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "3 finished runs of small (" in error and "mine.py or a module that it imports has changed" in error
    written(tmp_path, {"mine.py": OWN})
    assert main([*words, "--sampler", "quasi_random"]) == 0
    assert "settings have changed (search.sampler random, now quasi_random)" in capsys.readouterr().out
    space.write_text(space.read_text().replace("0.001, 1.0", "0.01, 1.0"))
    assert main(words) == 2
    assert "settings have changed" in capsys.readouterr().err
    assert main([*words, "--redo"]) == 0
