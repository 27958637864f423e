"""Each figure's module can be run by itself, and prints one line of error where the figure cannot be drawn."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import figure_scripts, main
from tests.support.synthetic_search import write_search
from tests.support.synthetic_store import rules_study, write_store

FOLDER = Path(__file__).parents[3] / "analysis" / "figures"

FIGURES = {  # by module: the stem of its files, or what is missing from a plain study of three rules
    "curves": "curves",
    "alignment": "alignment",
    "angle_depth": "angle_depth",
    "angle_map": "angle_map",
    "angle_error": "angle_error",
    "norm_ratio": "norm_ratio",
    "error_cost": "error_cost",
    "forest": "effects",
    "gap_angle": "it requires a reference and three other cells with a δ angle",
    "depth_gap": "it requires backprop in networks of at least two depths",
    "transfer": "it requires a study created by `nowt transfer`",
    "variance": "it requires cells that pin seeds",
    "probes": "it requires a metric that `nowt probe` measured",
}

SEARCH_FIGURES = {
    "tuning": "tuning",
    "sensitivity": "sensitivity",
    "landscape": "landscape",
    "importance": "importance",
    "best_settings": "best_settings",
    "pareto": "pareto",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of an ablation, ``rules``, and a search, ``tuned``."""
    store = tmp_path_factory.mktemp("store")
    write_store(store, rules_study(names=["bp", "fa", "kp"], epochs=2), layers=3)
    write_search(store)
    return store


def drawn(module: str, study: str, store: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", [f"{module}.py", study, "--store", str(store), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / f"{module}.py"), run_name="__main__")
    return int(ended.value.code or 0)


def test_every_module_that_draws_a_figure_can_be_run() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")}
    with_chart = {name for name, text in texts.items() if re.search(r"^def [a-z]\w*_chart\(", text, re.MULTILINE)}
    scripts = {name for name, text in texts.items() if '__name__ == "__main__"' in text}
    assert with_chart == scripts == {*FIGURES, *SEARCH_FIGURES}


@pytest.mark.parametrize(
    ("module", "study", "expected"),
    [
        *((module, "rules", expected) for module, expected in FIGURES.items()),
        *((module, "tuned", expected) for module, expected in SEARCH_FIGURES.items()),
    ],
)
def test_running_a_figures_module_draws_only_that_figure(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    study: str,
    expected: str,
) -> None:
    code, printed = drawn(module, study, store, tmp_path, monkeypatch), capsys.readouterr()
    if " " in expected:
        assert code == 2 and not list(tmp_path.iterdir())
        assert printed.err.count("\n") == 1 and "cannot be drawn for rules-" in printed.err and expected in printed.err
    else:
        files = [tmp_path / f"{expected}.{kind}" for kind in ("png", "svg")]
        assert code == 0 and printed.out.split() == [str(file) for file in files]
        assert sorted(tmp_path.iterdir()) == files and all(file.stat().st_size > 1000 for file in files)


@pytest.mark.parametrize(
    ("module", "study", "sentence"),
    [
        ("curves", "tuned", "figure curves requires an ablation, and tuned-"),
        ("pareto", "rules", "figure pareto requires a search, and rules-"),
        ("curves", "ruls", "has no study 'ruls' (did you mean rules?)"),
    ],
)
def test_the_wrong_kind_of_study_and_an_unknown_one_are_errors(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    study: str,
    sentence: str,
) -> None:
    assert drawn(module, study, store, tmp_path, monkeypatch) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and sentence in error


def test_one_command_draws_any_figure_by_its_name(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(figure_scripts()) == {*FIGURES, *SEARCH_FIGURES}
    arguments = ["rules", "--store", str(store), "--out", str(tmp_path)]
    assert main(["--figure", "norm_ratio", *arguments]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / f"norm_ratio.{kind}") for kind in ("png", "svg")]
    assert main(["--figure", "norm_ratio", "--margin", "1", *arguments]) == 2
    assert "--margin has no effect on figure norm_ratio" in capsys.readouterr().err


@pytest.mark.parametrize("command", [main, figure_scripts()["curves"].main], ids=["analysis", "figure"])
def test_an_error_that_quotes_a_file_cannot_control_the_terminal(
    command: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "x\x1b]0;title\x07\n-01234567.json").write_text("{}")
    assert command(["--store", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "x\\x1b]0;title\\x07\\n-01234567.json" in line


@pytest.mark.parametrize("command", [main, figure_scripts()["curves"].main], ids=["analysis", "figure"])
@pytest.mark.parametrize("error", [ValueError("not enough values to unpack"), FileNotFoundError(2, "none", "x")])
def test_a_bug_keeps_its_traceback(
    command: Callable[[list[str]], int], error: Exception, monkeypatch: pytest.MonkeyPatch, store: Path, tmp_path: Path
) -> None:
    def fails(*given: object) -> None:
        raise error

    monkeypatch.setattr("analysis.report.study.find_study", fails)
    monkeypatch.setattr("analysis.figures.script.find_study", fails)
    with pytest.raises(type(error)):
        command(["rules", "--store", str(store), "--out", str(tmp_path)])
