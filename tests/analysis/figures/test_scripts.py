"""Each figure's file is a script that draws that figure alone, or says in one sentence why it cannot."""

import re
import runpy
from pathlib import Path

import pytest

from tests.support.synthetic_search import write_search
from tests.support.synthetic_store import rules_study, write_store

ANALYSIS = Path(__file__).parents[3] / "analysis"

FIGURES = {  # by file: the files that it writes, or what it cannot be drawn without in a plain study
    "curves": "curves",
    "alignment": "alignment",
    "angle_depth": "angle_depth",
    "angle_map": "angle_map",
    "angle_error": "angle_error",
    "norm_ratio": "norm_ratio",
    "error_cost": "error_cost",
    "forest": "effects",
    "depth_gap": "it takes backprop in nets of two depths or more",
    "transfer": "it takes a study of `nowt transfer`",
    "variance_figure": "it takes cells whose seeds were varied apart",
    "probes": "it takes a metric that `nowt probe` measured",
}

SEARCH_FIGURES = {
    "tuning_figure": "tuning",
    "forgiving": "forgiving",
    "landscape": "landscape",
    "importance": "importance",
    "chosen": "chosen",
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
        runpy.run_path(str(ANALYSIS / f"{module}.py"), run_name="__main__")
    return int(ended.value.code or 0)


def test_every_file_with_a_figure_is_such_a_script() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in ANALYSIS.glob("*.py")}
    with_chart = {name for name, text in texts.items() if re.search(r"^def [a-z]\w*_chart\(", text, re.MULTILINE)}
    scripts = {name for name, text in texts.items() if '__name__ == "__main__"' in text} - {"__main__"}
    assert with_chart == scripts == {*FIGURES, *SEARCH_FIGURES}


@pytest.mark.parametrize(
    ("module", "study", "expected"),
    [
        *((module, "rules", expected) for module, expected in FIGURES.items()),
        *((module, "tuned", expected) for module, expected in SEARCH_FIGURES.items()),
    ],
)
def test_a_figures_file_draws_it_alone(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    study: str,
    expected: str,
) -> None:
    code, said = drawn(module, study, store, tmp_path, monkeypatch), capsys.readouterr()
    if " " in expected:
        assert code == 2 and not list(tmp_path.iterdir())
        assert said.err.count("\n") == 1 and "cannot be drawn for rules-" in said.err and expected in said.err
    else:
        files = [tmp_path / f"{expected}.{kind}" for kind in ("png", "svg")]
        assert code == 0 and said.out.split() == [str(file) for file in files]
        assert sorted(tmp_path.iterdir()) == files and all(file.stat().st_size > 1000 for file in files)


@pytest.mark.parametrize(
    ("module", "study", "sentence"),
    [
        ("curves", "tuned", "is a search, and the figure curves is of an ablation"),
        ("pareto", "rules", "is an ablation, and the figure pareto is of a search"),
        ("curves", "ruls", "has no study 'ruls' (did you mean rules?)"),
    ],
)
def test_another_kind_of_study_or_none_gets_a_sentence(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    study: str,
    sentence: str,
) -> None:
    assert drawn(module, study, store, tmp_path, monkeypatch) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and sentence in said
