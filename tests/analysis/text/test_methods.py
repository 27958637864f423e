"""The methods paragraph states what the configs contain."""

from dataclasses import replace
from pathlib import Path

from analysis.frames.study import Frames
from analysis.stats.paired import compare_cells
from analysis.text.methods import methods
from nowt.config.run_config import DataConfig, RunConfig
from nowt.studies.study import Cell, Study
from tests.support.synthetic_frames import frames_with


def test_the_methods_paragraph_states_the_settings_of_the_configs(five_rules: Frames) -> None:
    text = methods(five_rules, compare_cells(five_rules, 1.5), 1.5)
    for words in (
        "Networks: tiny_resnet",
        "Data: digits",
        "2 epochs, batches of 64, cross-entropy",
        "SGD, momentum 0.9, weight decay 0.0001 (not applied to normalization parameters and biases)",
        "learning rate 0.05, cosine decay to 0",
        "kp (Kolen-Pollack",
        "Seeds 0, 1, 2, 3, 4, 5, 6, 7",
        "39 of 40 runs finished, 1 diverged (counted with chance error).",
        "Errors are test errors after the last epoch",
        "Holm-corrected over 4 comparisons",
        "two one-sided paired t tests with a margin of 1.5 points",
    ):
        assert words in text
    for words in ("augmentation", "clipped", "label smoothing", "warm-up", "Nesterov"):
        assert words not in text  # the configs have none


def test_the_methods_paragraph_says_if_a_seed_also_decides_the_split(tmp_path: Path, five_rules: Frames) -> None:
    config = RunConfig(data=DataConfig(split="by_seed"), epochs=1)
    frames = frames_with(tmp_path, Study("splits", "?", (Cell("bp", config),), (0, 1, 2)))
    words = "the choice of training and validation images and the data order"
    assert words in methods(frames, compare_cells(frames, None), None)
    assert words not in methods(five_rules, compare_cells(five_rules, None), None)


def test_the_methods_paragraph_lists_settings_in_which_cells_differ(tmp_path: Path) -> None:
    config = RunConfig(epochs=1)
    cells = (Cell("bp", config), Cell("fast", replace(config, optim=replace(config.optim, lr=0.5, warmup=0.5))))
    frames = frames_with(tmp_path, Study("rates", "Which rate?", cells, (0, 1, 2)))
    text = methods(frames, compare_cells(frames, None), None)
    assert "Cells differ in optim.lr (0.05; 0.5), optim.warmup (0; 0.5)." in text
    assert "learning rate 0.05" not in text


def test_the_methods_paragraph_states_what_repeats_published_code(tmp_path: Path) -> None:
    config = RunConfig(epochs=1, data=DataConfig(shuffle=False, hold_out=False))
    config = replace(config, optim=replace(config.optim, lr_factor_norms_and_biases=0.25))
    frames = frames_with(tmp_path, Study("rates", "?", (Cell("bp", config),), (0, 1, 2)))
    text = methods(frames, compare_cells(frames, None), None)
    assert "Data: digits, always in the same order, validation images not held out of training." in text
    assert "learning rate 0.05, times 0.25 for normalization parameters and biases, cosine" in text


def test_the_methods_paragraph_names_the_weights_that_use_backprop_under_every_rule(five_rules: Frames) -> None:
    names = tuple(f"block{number}.attn.qkv.weight" for number in range(6))
    text = methods(replace(five_rules, uncovered={"swin": names}), compare_cells(five_rules, 1.5), 1.5)
    assert (
        "In swin, these weights use backprop under every rule: block0.attn.qkv.weight, block1.attn.qkv.weight, "
        "block2.attn.qkv.weight, block3.attn.qkv.weight and 2 more."
    ) in text
    assert "these weights use backprop" not in methods(five_rules, compare_cells(five_rules, 1.5), 1.5)
