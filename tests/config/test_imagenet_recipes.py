"""ImageNet's recipes, run for a few steps on a tree of 1,000 classes of drawn pictures, stopped and gone on with."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.config.recipes import IMAGENET_RULES, resnet18_imagenet, resnet50_imagenet, shrink_config
from nowt.config.run_config import RunConfig
from nowt.config.run_key import run_key
from nowt.data.datasets import DatasetSplits, open_data
from nowt.data.imagenet.prepare import PrepareOptions, prepare
from nowt.models.registry import build_model
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.lookup import find_recipe, find_space, find_study
from nowt.studies.planning.estimate import sampling_angle
from nowt.training import checkpoint
from nowt.training.device import reset_globals
from nowt.training.state import TrainingState
from tests.support.short_runs import assert_equal
from tests.support.synthetic_ilsvrc import tree

RUNS = [("resnet18", rule.name) for rule in IMAGENET_RULES] + [("resnet50", "kp"), ("resnet50", "wm")]

FEW = {"samples": 2, "extent": 4, "warmup": 2, "interval": 2}  # mirror mode, so small that a CPU can do it


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 classes, two training pictures and one test picture each, as nowt data prepare lays them out."""
    folder = tmp_path_factory.mktemp("ilsvrc")
    source = tree(folder / "source", classes=1000, train=2, val=1)
    assert prepare(PrepareOptions(source, folder / "imagenet", partial=True, jobs=2), lambda _: None)
    return folder / "imagenet"


def place(pictures: Path) -> Placement:
    return Placement(store=str(pictures.parent / "store"), data=str(pictures), device="cpu", loaders=0)


def small(net: str, rule: str) -> RunConfig:
    """The recipe with 32 px, a batch of 16 in two groups, and float32; no test pictures."""
    config = find_recipe(f"{net}_imagenet")(rule)
    if rule == "wm":
        config = replace(config, rule=replace(config.rule, **FEW))
    model, probe = replace(config.model, norm_group=8), replace(config.probe, samples=8)
    data = replace(config.data, size=32)
    return replace(config, model=model, data=data, batch=16, precision="float32", test=False, probe=probe)


def begun(config: RunConfig, pictures: Path, data: DatasetSplits) -> TrainingState:
    """A training before its first step."""
    reset_globals(config, place(pictures))
    return TrainingState.create(config, place(pictures), data)


def steps(training: TrainingState, count: int) -> TrainingState:
    """So many more steps."""
    for x, y in itertools.islice(training.remaining_batches(), count):
        training.train_step(x, y)
    return training


@pytest.mark.parametrize(("net", "rule"), RUNS)
def test_every_rule_trains_on_a_thousand_classes_and_goes_on_from_its_checkpoint(
    net: str, rule: str, pictures: Path, tmp_path: Path
) -> None:
    config = small(net, rule)
    data = open_data(config.data, place(pictures), config.test)
    assert data.classes == 1000 and len(data.train) + len(data.val) == 2000
    training = begun(config, pictures, data)
    training.before_learning()
    checkpoint.save(tmp_path, 1, steps(training, 1).state_dict())
    whole = steps(training, 1).model.state_dict()
    killed = begun(config, pictures, data)
    state = checkpoint.load(tmp_path, training.device)
    assert state is not None
    killed.load_state_dict(state)
    assert_equal(steps(killed, 1).model.state_dict(), whole)
    assert float(killed.totals.loss) == float(training.totals.loss) and killed.step == training.step == 2
    assert 0 < float(training.totals.loss) / training.totals.shown < 20  # chance is ln 1000 = 6.9
    assert training.mirror_presentations == (4 + 2 if rule == "wm" else 0)


def test_the_validation_pictures_are_cut_from_train_and_val_is_the_test_part(pictures: Path) -> None:
    data = open_data(resnet18_imagenet().data, place(pictures), test=False)
    assert (len(data.train), len(data.val), data.test) == (1800, 200, None)
    assert data.shape == (3, 224, 224)


@pytest.mark.parametrize(("recipe", "layers"), [(resnet18_imagenet, 18 + 3), (resnet50_imagenet, 50 + 4)])
def test_a_recipe_is_the_papers_net(recipe: Any, layers: int) -> None:
    config = recipe("kp")
    model = build_model(config.model, (3, 224, 224), 1000, 0)
    weighted = [m for m in model.modules() if type(m).__name__ in ("Conv2d", "Linear")]
    assert len(weighted) == layers
    assert model.fc.weight.std().item() == pytest.approx(0.01, rel=0.01)
    last = "bn2" if config.model.name == "resnet18" else "bn3"
    assert all(int(getattr(block, last).weight.count_nonzero()) == 0 for block in (*model.layer1, *model.layer4))
    assert config.rule.name == "kp" and config.optim.milestones[:2] == (30.0, 60.0)


def test_a_rule_given_by_name_has_the_recipes_fields_and_one_given_as_it_is_keeps_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert resnet50_imagenet("wm").rule == next(rule for rule in IMAGENET_RULES if rule.name == "wm")
    assert resnet50_imagenet(WeightMirror()).rule == WeightMirror()
    for recipe, samples in (("resnet18_imagenet", "256"), ("digits", "16")):
        assert main(["train", recipe, "--rule", "wm", "--rule.interval", "3", "--fields"]) == 0
        fields = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
        assert fields["--rule.samples"] == samples and fields["--rule.interval"] == "3"


def test_the_weight_mirrors_convolutions_reach_the_papers_angle() -> None:
    rule = resnet50_imagenet("wm").rule
    assert isinstance(rule, WeightMirror)
    assert sampling_angle(rule, fan_in=4608) == pytest.approx(2.41, abs=0.02)  # the largest that is published
    assert rule.warmup == 2 / rule.decay  # as long as another step still helps: B is the mean of all until then


def test_a_quick_run_mirrors_less_before_learning() -> None:
    rule = shrink_config(resnet18_imagenet("wm")).rule
    assert vars(rule)["warmup"] == 4 and vars(rule)["samples"] == 256


def test_the_studies_take_the_recipes_rules_and_five_seeds() -> None:
    keys = set()
    for name, net in (("rules_on_imagenet", "resnet18"), ("rules_on_imagenet_resnet50", "resnet50")):
        study = find_study(name)
        assert tuple(cell.config.rule for cell in study.cells) == IMAGENET_RULES and len(study.seeds) == 5
        assert {cell.config.model.name for cell in study.cells} == {net}
        keys |= {run_key(cell.config, "") for cell in study.cells}
    assert len(keys) == 10
    space = find_space("imagenet_settings")
    assert [cell.config.rule for cell in space.cells] == list(IMAGENET_RULES)
    assert all(max(cell.config.optim.milestones) < cell.config.epochs == 18 for cell in space.cells)
