"""A run key is the same exactly if the code is: custom rules, models and metrics with the modules that they import."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nowt import FeedbackAlignment, find_rule
from nowt.config.certificate_key import certificate_name
from nowt.config.run_config import ModelConfig, RunConfig, config_from_json, config_to_json
from nowt.config.run_key import changed_files, code_identity, imported_packages, run_key
from nowt.core.errors import ConfigError
from nowt.evaluation.probes.registry import find_metric
from nowt.studies.lookup import find_recipe, find_space, find_study
from tests.core.test_source_hash import written

RULE = """
from dataclasses import dataclass
from typing import ClassVar

from nowt import FeedbackAlignment
from helpers import SCALE


@dataclass(frozen=True)
class Mine(FeedbackAlignment):
    name: ClassVar[str] = "mine"

    def feedback(self, layer):
        return SCALE * layer.feedback
"""

MODEL = """
import torch

def build(shape, classes):
    from helpers import SCALE

    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(shape[0] * shape[1] * shape[2], classes))

def measure(x):
    import helpers

    return {"all": helpers.SCALE}
"""

FILES = {"mine.py": RULE, "net.py": MODEL, "helpers.py": "SCALE = 1\n"}


def rule_key(folder: Path) -> str:
    return run_key(RunConfig(rule=find_rule(str(folder / "mine.py"))()), "pixels")


def model_key(folder: Path) -> str:
    return run_key(RunConfig(ModelConfig(f"{folder}/net.py:build")), "pixels")


def metric_digest(folder: Path) -> str:
    return find_metric(f"{folder}/net.py").digest


KEYS = [rule_key, model_key, metric_digest]


@pytest.mark.parametrize("key", KEYS)
def test_editing_a_module_that_the_file_imports_changes_the_key(tmp_path: Path, key: Callable[[Path], str]) -> None:
    written(tmp_path, FILES)
    first = key(tmp_path)
    written(tmp_path, {"helpers.py": "SCALE = 2\n"})
    assert key(tmp_path) != first
    written(tmp_path, {"helpers.py": "SCALE = (1)  # as before\n"})
    assert key(tmp_path) == first


@pytest.mark.parametrize("key", KEYS)
def test_line_ends_comments_and_the_folder_do_not_change_the_key(tmp_path: Path, key: Callable[[Path], str]) -> None:
    written(tmp_path / "a", FILES)
    written(tmp_path / "b", {name: f"\ufeff# written on Windows\n{text}" for name, text in FILES.items()})
    for path in (tmp_path / "b").glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert key(tmp_path / "a") == key(tmp_path / "b")


def test_two_rules_of_one_name_in_one_file_differ(tmp_path: Path) -> None:
    """In their keys and in their certificates."""
    head, _, body = RULE.replace("from helpers import SCALE", "SCALE = 1").partition("@dataclass")
    other = body.replace("class Mine", "class Other").replace("SCALE *", "2 * SCALE *")
    path = written(tmp_path, {"mine.py": f"{head}@dataclass{body}\n\n@dataclass{other}"})
    one, two = (find_rule(f"{path}:{name}")() for name in ("Mine", "Other"))
    assert one.name == two.name
    assert run_key(RunConfig(rule=one), "pixels") != run_key(RunConfig(rule=two), "pixels")
    assert certificate_name(one) != certificate_name(two)


def test_a_custom_rule_follows_the_numerics_of_the_rule_that_it_derives_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, FILES)
    first = rule_key(tmp_path)
    monkeypatch.setattr(FeedbackAlignment, "numerics", 99)
    written(tmp_path, {"helpers.py": "SCALE = 1\n#"})  # loaded again
    assert rule_key(tmp_path) != first


def test_rules_that_differ_in_their_classes_docstrings_only_are_one(tmp_path: Path) -> None:
    written(tmp_path, FILES)
    first = rule_key(tmp_path)
    written(tmp_path, {"mine.py": RULE.replace("FeedbackAlignment):\n", 'FeedbackAlignment):\n    """A rule."""\n\n')})
    assert rule_key(tmp_path) == first


STUDY = """
from nowt import Cell, ModelConfig, RunConfig, Study, find_rule
from mine import Mine

def study():
    cells = (
        Cell("found", RunConfig(rule=find_rule("./mine.py")(), epochs=2)),
        Cell("imported", RunConfig(rule=Mine(), epochs=3)),
        Cell("net", RunConfig(ModelConfig("./net.py:build"))),
    )
    return Study("s", "Which?", cells, seeds=(0,), reference="net")

def recipe(rule=None):
    return RunConfig(rule=find_rule("mine.py")())
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study and its files; the working folder has other files of the same names."""
    written(tmp_path / "here", {**FILES, "helpers.py": "SCALE = 3\n"})
    written(tmp_path / "lab", {"study.py": STUDY, **FILES})
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "lab"


def test_the_paths_in_a_study_file_are_relative_to_it(lab: Path) -> None:
    found, imported, net = (cell.config for cell in find_study(f"{lab}/study.py").cells)
    assert type(found.rule) is type(imported.rule) is find_rule(f"{lab}/mine.py")
    assert (found.rule.source, net.model.name) == (f"{lab}/mine.py", f"{lab}/net.py:build")
    assert find_recipe(f"{lab}/study.py")().rule == found.rule
    assert find_rule("./mine.py")().source == f"{lab.parent}/here/mine.py"


def test_what_a_study_file_names_is_found_again_from_any_folder(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = find_study(f"{lab}/study.py")
    texts = [json.dumps(config_to_json(cell.config)) for cell in study.cells]
    monkeypatch.chdir("/")
    assert [config_from_json(json.loads(text)) for text in texts] == [cell.config for cell in study.cells]


def test_a_study_key_does_not_depend_on_the_folder_but_on_the_code(lab: Path) -> None:
    key = find_study(f"{lab}/study.py").key
    written(lab.parent / "copy", {"study.py": STUDY, **FILES})
    assert find_study(f"{lab.parent}/copy/study.py").key == key
    written(lab.parent / "copy", {"helpers.py": "SCALE = 2\n"})
    assert find_study(f"{lab.parent}/copy/study.py").key != key


def test_a_file_that_is_missing_beside_the_study_is_not_taken_from_the_working_folder(lab: Path) -> None:
    (lab / "net.py").unlink()
    study = find_study(f"{lab}/study.py")
    with pytest.raises(ConfigError, match=f"there is no file {lab}/net.py"):
        run_key(study.cells[2].config, "pixels")
    (lab / "study.py").write_text(STUDY.replace("from mine import Mine", "Mine = find_rule('./mine2.py')"))
    written(lab.parent / "here", {"mine2.py": RULE})
    with pytest.raises(ConfigError, match=f"no file ./mine2.py .looked in {lab}, since the path is relative to the"):
        find_study(f"{lab}/study.py")


SPACE = """
from dataclasses import replace
from nowt import Backprop, Budget, Choice, SearchCell, SearchSpace, recipes

def space():
    choice = Choice("model.name", ("./net.py:build", "tiny_resnet"))
    cell = SearchCell("bp", replace(recipes.digits(Backprop()), test=False), (choice,))
    return SearchSpace("s", "Which?", (cell,), Budget(2))
"""


def test_a_search_over_custom_models_has_them_beside_its_file_and_their_code_in_its_key(lab: Path) -> None:
    space = find_space(str(written(lab, {"space.py": SPACE})))
    assert space.cells[0].config_of({"model.name": space.cells[0].params[0].extremes[0]}).model.name == (
        f"{lab}/net.py:build"
    )
    copy = find_space(str(written(lab.parent / "copy", {"space.py": SPACE, **FILES})))
    assert copy.key == space.key
    written(lab, {"helpers.py": "SCALE = 2\n"})
    assert find_space(f"{lab}/space.py").key != space.key


def test_a_rule_in_no_file_has_no_key() -> None:
    space: dict[str, type] = {}
    exec("from dataclasses import dataclass\nfrom nowt import FeedbackAlignment\n", space)
    space["__name__"] = "__console__"  # type: ignore[assignment]
    exec("@dataclass(frozen=True)\nclass Mine(FeedbackAlignment):\n    name = 'mine'\n", space)
    with pytest.raises(ConfigError, match="rule mine is defined in no file, so nothing identifies its code: move it"):
        run_key(RunConfig(rule=space["Mine"]()), "pixels")


def test_a_model_of_a_module_on_pythonpath_counts_by_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, {"net_of_a_test.py": MODEL, "helpers.py": "SCALE = 1\n"})
    monkeypatch.syspath_prepend(tmp_path)
    config = RunConfig(ModelConfig("net_of_a_test:build"))
    first = run_key(config, "pixels")
    written(tmp_path, {"helpers.py": "SCALE = 2\n"})
    assert run_key(config, "pixels") != first
    assert code_identity(RunConfig(ModelConfig("torchvision.models:alexnet")))["model"] == "torchvision.models:alexnet"
    sys.modules.pop("net_of_a_test")


def test_the_packages_that_a_custom_file_imports_are_known(tmp_path: Path) -> None:
    written(tmp_path, {**FILES, "helpers.py": "import rich, json\nSCALE = 1\n"})
    assert imported_packages(RunConfig(rule=find_rule(f"{tmp_path}/mine.py")())) == ("rich",)
    assert imported_packages(RunConfig(ModelConfig("scipy.stats:norm"))) == ("scipy",)
    assert imported_packages(RunConfig()) == ()


def test_a_file_that_has_changed_since_a_run_was_logged_is_named(tmp_path: Path) -> None:
    written(tmp_path, FILES)
    config = RunConfig(ModelConfig(f"{tmp_path}/net.py:build"), rule=find_rule(f"{tmp_path}/mine.py")())
    recorded = code_identity(config)
    assert changed_files(config, recorded) == []
    written(tmp_path, {"net.py": MODEL.replace("SCALE", "SCALE ")})
    assert changed_files(config, recorded) == []
    written(tmp_path, {"net.py": MODEL + "\nX = 1\n"})
    assert changed_files(config, recorded) == [f"{tmp_path}/net.py:build"]


FACTORY = """
from dataclasses import dataclass
from typing import ClassVar
from nowt import Cell, FeedbackAlignment, RunConfig, Study

def scaled(factor):
    @dataclass(frozen=True)
    class Mine(FeedbackAlignment):
        name: ClassVar[str] = "mine"

        def feedback(self, layer):
            return factor * layer.feedback

    return Mine

def study():
    cells = tuple(Cell(f"{factor}", RunConfig(rule=scaled(factor)())) for factor in (1, 2))
    return Study("s", "Which?", cells, seeds=(0,), reference="1")
"""


def test_rules_that_a_function_makes_have_no_key(tmp_path: Path) -> None:
    """They have one name and one code, and differ in the function's arguments."""
    study = find_study(str(written(tmp_path, {"study.py": FACTORY})))
    with pytest.raises(
        ConfigError, match=r"rule mine .scaled.<locals>.Mine. is not defined at the top level of .*study"
    ):
        run_key(study.cells[0].config, "pixels")


BASED = """
from dataclasses import dataclass
from typing import ClassVar
from nowt import find_rule

@dataclass(frozen=True)
class Based(find_rule("./mine.py")):
    name: ClassVar[str] = "based"
"""


def test_a_rule_that_find_rule_loaded_as_a_base_counts(tmp_path: Path) -> None:
    based = written(tmp_path / "run:1", {"based.py": BASED, **FILES})
    first = run_key(RunConfig(rule=find_rule(str(based))()), "pixels")
    written(tmp_path / "run:1", {"helpers.py": "SCALE = 2\n"})
    written(tmp_path / "run:1", {"based.py": f"{BASED}#"})  # loaded again
    assert run_key(RunConfig(rule=find_rule(str(based))()), "pixels") != first
