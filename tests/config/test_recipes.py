"""ImageNet recipes: a few training steps and a resume on 1,000 classes of synthetic images; recipes and studies."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.config.recipes import IMAGENET_RULES, digits, resnet18_imagenet, resnet50_imagenet, shrink_config
from nowt.config.run_config import RunConfig
from nowt.config.run_key import run_key
from nowt.data.datasets import DatasetSplits, open_data
from nowt.data.imagenet.prepare import PrepareOptions, prepare
from nowt.models.registry import build_model
from nowt.rules.mirror_angle import angle_of, tracking_error
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.lookup import find_recipe, find_space, find_study
from nowt.training import checkpoint
from nowt.training.device import reset_globals
from nowt.training.state import TrainingState
from tests.support.short_runs import assert_equal
from tests.support.synthetic_ilsvrc import tree

SMALL_MIRROR = {"samples": 2, "extent": 4, "warmup": 2, "interval": 2}  # mirror mode that is small enough for a CPU


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 1,000 classes with two training images and one test image each, as made by ``nowt data prepare``."""
    folder = tmp_path_factory.mktemp("ilsvrc")
    source = tree(folder / "source", classes=1000, train=2, val=1)
    assert prepare(PrepareOptions(source, folder / "imagenet", partial=True, jobs=2), lambda _: None)
    return folder / "imagenet"


def cpu_placement(images: Path) -> Placement:
    """Placement on the CPU, with the images as data."""
    return Placement(store=str(images.parent / "store"), data=str(images), device="cpu", loaders=0)


def small_config(net: str, rule: str) -> RunConfig:
    """The recipe with 32-pixel images, a batch of 16 in two batch-norm groups, float32 and no test images."""
    config = find_recipe(f"{net}_imagenet")(rule)
    if rule == "wm":
        config = replace(config, rule=replace(config.rule, **SMALL_MIRROR))
    model, probe = replace(config.model, norm_group=8), replace(config.probe, samples=8)
    data = replace(config.data, size=32)
    return replace(config, model=model, data=data, batch=16, precision="float32", test=False, probe=probe)


def initial_state(config: RunConfig, images: Path, data: DatasetSplits) -> TrainingState:
    """Return the training state before the first step."""
    reset_globals(config, cpu_placement(images))
    return TrainingState.create(config, cpu_placement(images), data)


def train_steps(training: TrainingState, count: int) -> TrainingState:
    """Do ``count`` training steps."""
    for x, y in itertools.islice(training.remaining_batches(), count):
        training.train_step(x, y)
    return training


@pytest.mark.parametrize("rule", ["kp", "wm"])
def test_resnet50_trains_on_1000_classes(rule: str, images: Path) -> None:
    config = small_config("resnet50", rule)
    data = open_data(config.data, cpu_placement(images), bool(config.test))
    training = initial_state(config, images, data)
    training.before_learning()
    assert_trained(train_steps(training, 2), rule)


@pytest.mark.parametrize("rule", [rule.name for rule in IMAGENET_RULES])
def test_every_rule_trains_resnet18_on_1000_classes_and_resumes_from_a_checkpoint(
    rule: str, images: Path, tmp_path: Path
) -> None:
    config = small_config("resnet18", rule)
    data = open_data(config.data, cpu_placement(images), bool(config.test))
    assert data.classes == 1000 and len(data.train) + len(data.val) == 2000
    training = initial_state(config, images, data)
    training.before_learning()
    checkpoint.save(tmp_path, 1, train_steps(training, 1).state_dict())
    uninterrupted = train_steps(training, 1).model.state_dict()
    resumed = initial_state(config, images, data)
    state = checkpoint.load(tmp_path)
    assert state is not None
    resumed.load_state_dict(state)
    assert_equal(train_steps(resumed, 1).model.state_dict(), uninterrupted)
    assert float(resumed.totals.loss) == float(training.totals.loss) and resumed.step == 2
    assert_trained(training, rule)


def assert_trained(training: TrainingState, rule: str) -> None:
    """Assert that two steps were trained, with mirror steps for wm."""
    assert training.step == 2
    assert 0 < float(training.totals.loss) / training.totals.images < 20  # chance is ln 1000 = 6.9
    assert training.mirror_presentations == (4 + 2 if rule == "wm" else 0)


def test_validation_images_are_taken_from_train_and_the_folder_val_is_the_test_split(images: Path) -> None:
    data = open_data(resnet18_imagenet().data, cpu_placement(images), test=False)
    assert (len(data.train), len(data.val), data.test) == (1800, 200, None)
    assert data.shape == (3, 224, 224)


@pytest.mark.parametrize(("recipe", "layers"), [(resnet18_imagenet, 18 + 3), (resnet50_imagenet, 50 + 4)])
def test_a_recipe_has_the_network_and_schedule_of_the_paper(recipe: Any, layers: int) -> None:
    config = recipe("kp")
    model = build_model(config.model, (3, 224, 224), 1000, 0)
    weighted = [m for m in model.modules() if type(m).__name__ in ("Conv2d", "Linear")]
    assert len(weighted) == layers
    assert model.fc.weight.std().item() == pytest.approx(0.01, rel=0.01)
    last = "bn2" if config.model.name == "resnet18" else "bn3"
    assert all(int(getattr(block, last).weight.count_nonzero()) == 0 for block in (*model.layer1, *model.layer4))
    assert config.rule.name == "kp" and config.optim.milestones[:2] == (30.0, 60.0)


def test_a_rule_given_by_name_has_the_settings_of_the_recipe_and_a_rule_object_keeps_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert resnet50_imagenet("wm").rule == next(rule for rule in IMAGENET_RULES if rule.name == "wm")
    assert resnet50_imagenet(WeightMirror()).rule == WeightMirror()
    for recipe, samples in (("resnet18_imagenet", "256"), ("digits", "16")):
        assert main(["train", recipe, "--rule", "wm", "--rule.interval", "3", "--fields"]) == 0
        fields = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
        assert fields["--rule.samples"] == samples and fields["--rule.interval"] == "3"


def test_the_weight_mirror_settings_reach_the_alignment_of_the_paper() -> None:
    rule = resnet50_imagenet("wm").rule
    assert isinstance(rule, WeightMirror)
    positions = rule.samples * max(rule.extent, 1) ** 2
    sampling = angle_of(tracking_error(0.0, rule.decay, positions, fan_in=4608))
    assert sampling == pytest.approx(2.41, abs=0.02)  # the largest published angle
    # the longest warm-up that still helps: until then, B is the mean of all mirror updates
    assert rule.warmup == 2 / rule.decay


def test_a_shortened_run_keeps_what_its_mirror_is_to_hold() -> None:
    rule = WeightMirror(target_angle=12.0)
    assert shrink_config(digits(rule)).rule == rule
    nightly = shrink_config(digits(WeightMirror(burst=10, burst_epochs=5)), epochs=2)
    assert nightly.rule == WeightMirror(warmup=20, burst=10, burst_epochs=1)


def test_a_quick_run_has_fewer_mirror_steps_before_learning() -> None:
    rule = shrink_config(resnet18_imagenet("wm")).rule
    assert vars(rule)["warmup"] == 4 and vars(rule)["samples"] == 256


def test_the_imagenet_studies_use_the_rules_of_the_recipes_and_five_seeds() -> None:
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
