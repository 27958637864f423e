"""Rules are found by short name, which is recorded, and by long name."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeGuard

import pytest

from nowt.cli.main import main
from nowt.config.certificate_key import certificate_name
from nowt.config.recipes import resnet18_imagenet
from nowt.config.run_key import run_key
from nowt.core.source_hash import Source
from nowt.rules import registry
from nowt.rules.base import Rule
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.registry import builtin_rules, find_rule, rule_names, short_name
from nowt.store.run_log import read_all

LONG_NAMES = {
    "backprop": "bp",
    "feedback_alignment": "fa",
    "sign_symmetry": "ss",
    "weight_mirror": "wm",
    "kolen_pollack": "kp",
    "direct_feedback_alignment": "dfa",
    "direct_kolen_pollack": "dkp",
    "information_alignment": "ia",
}


@pytest.mark.parametrize(("long", "short"), LONG_NAMES.items())
def test_the_long_and_the_short_name_select_the_same_rule(long: str, short: str) -> None:
    assert find_rule(long) is find_rule(short) and find_rule(long).name == short == short_name(long)
    assert run_key(resnet18_imagenet(long), "") == run_key(resnet18_imagenet(short), "")


def test_built_in_rules_are_listed_in_a_fixed_order() -> None:
    names = ["bp", "fa", "ss", "wm", "kp", "dfa", "dkp", "ia", "sham"]
    assert [rule.name for rule in builtin_rules()] == rule_names() == names


def test_the_message_for_a_misspelled_long_name_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"did you mean kolen_pollack\?"):
        find_rule("kolen_polack")


def test_a_run_started_with_a_long_name_is_recorded_under_the_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = "--epochs 1 --data.train_limit 64 --data.repeat 1 --data.size 8"
    assert main(f"train digits --rule kolen_pollack {small}".split()) == 0
    [run] = read_all(tmp_path / "runs")
    assert run.start["config"]["rule"]["name"] == "kp"
    capsys.readouterr()
    assert main(f"train digits --rule kp {small}".split()) == 0
    assert f"{run.key}" in (out := capsys.readouterr().out) and "already finished" in out
    assert main(["runs", "--rule", "kolen_pollack"]) == 0
    assert run.key in capsys.readouterr().out


def test_certify_accepts_the_long_name_of_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(["certify", "feedback_alignment"])
    [path] = (tmp_path / "runs" / "certificates").iterdir()
    assert path.name == certificate_name(find_rule("fa")())


def test_threads_that_find_a_rule_at_the_same_time_identify_it_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom nowt import KolenPollack\n\n\n"
        "@dataclass(frozen=True)\nclass Mine(KolenPollack):\n    name: ClassVar[str] = 'mine'\n"
    )
    real = registry._is_outside

    def slow(kind: type, source: Source) -> TypeGuard[type[Rule]]:
        time.sleep(0.05)
        return real(kind, source)

    monkeypatch.setattr(registry, "_is_outside", slow)
    with ThreadPoolExecutor(4) as pool:
        numerics = {*pool.map(lambda _: find_rule(f"{path}").numerics, range(4))}
    assert len(numerics) == 1 and numerics != {KolenPollack.numerics}
