"""Which cells are compared with each other, and in which factor they differ."""

from dataclasses import replace

from analysis.frames.studies import StudyPlan
from analysis.stats.contrasts import Contrast, contrasts, references
from nowt.config.recipes import digits
from nowt.rules.registry import find_rule
from nowt.studies.study import Cell, Study, study_to_json
from searchspaces import decay, depth, last_layer, mirror_mode, rules_on_digits, seed_sources

BP, FA, KP, WM = (find_rule(name)() for name in ("bp", "fa", "kp", "wm"))


def plan_of(study: Study) -> StudyPlan:
    study_file = study_to_json(study)
    cells = {cell["name"]: cell["config"] for cell in study_file["cells"]}
    return StudyPlan(study.name, study.key, study.question, study.reference, 1, cells, (), 0)


def factors(study: Study) -> dict[str, tuple[str, str]]:
    return {one.cell: (one.against, one.factor) for one in contrasts(plan_of(study))}


def test_each_rule_is_compared_with_backprop() -> None:
    assert factors(rules_on_digits.study()) == {rule: ("bp", "rule") for rule in ("fa", "ss", "wm", "kp")}


def test_a_setting_is_compared_with_the_base_cell_of_its_rule() -> None:
    found = factors(last_layer.study())
    assert found["fa"] == ("bp", "rule")
    assert found["fa, last layer bp"] == ("fa", "rule.last_layer")
    assert factors(mirror_mode.study())["only before"] == ("default", "rule.interval")
    assert factors(decay.study())["kp λ=0"] == ("kp λ=0.01", "optim.weight_decay")


def test_with_several_networks_each_rule_is_compared_with_backprop_in_the_same_network() -> None:
    study = plan_of(depth.study())
    assert references(study)["kp ResNet-50"] == "bp ResNet-50"
    rule = [one for one in contrasts(study) if one.factor == "rule"]
    assert Contrast("fa ResNet-34", "bp ResNet-34", "rule", "fa") in rule
    assert Contrast("bp ResNet-50", "bp ResNet-18", "model.name", "resnet18 → resnet50") in contrasts(study)


def test_cells_that_pin_seeds_are_not_compared() -> None:
    study = plan_of(seed_sources.study())
    assert set(references(study)) == {"bp", "fa", "wm", "kp"}
    assert {one.cell for one in contrasts(study)} == {"fa", "wm", "kp"}


def test_rules_with_different_settings_are_compared_including_their_settings() -> None:
    base = digits(BP)
    tuned = replace(base, rule=KP, optim=replace(base.optim, lr=0.2))
    study = Study("tuned", "Which is best?", (Cell("bp", base), Cell("kp", tuned)), (0, 1, 2))
    assert factors(study) == {"kp": ("bp", "rule and its settings")}


def test_cells_with_the_rule_of_the_reference_are_compared_with_it_unless_others_are_compared_with_them() -> None:
    base = digits(BP)
    large = replace(base, batch=2 * base.batch)
    configs = {
        "same": base,
        "bp": base,
        "alone": replace(base, batch=3 * base.batch),
        "large bp": large,
        "large kp": replace(large, rule=KP),
    }
    study = Study("batches", "Which is best?", tuple(Cell(*cell) for cell in configs.items()), (0, 1, 2))
    against = {"same": "bp", "bp": "bp", "alone": "bp", "large bp": "large bp", "large kp": "large bp"}
    assert references(plan_of(study)) == against
