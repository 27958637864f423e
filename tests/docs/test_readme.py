"""README.md: its code runs, its commands are nowt's, and it lists every rule."""

import re
import shlex
from pathlib import Path

import pytest

from nowt.cli.main import main, parse
from nowt.rules.registry import builtin_rules

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE, RULE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_its_example_trains_three_rules_and_prints_their_angles(capsys: pytest.CaptureFixture[str]) -> None:
    exec(EXAMPLE, {})
    lines = capsys.readouterr().out.splitlines()
    assert {line.partition(",")[0] for line in lines if "epoch 2" in line} == {"bp", "fa", "kp"}
    assert any(re.search(r": δ angle \d+°$", line) for line in lines)


def test_its_custom_rule_is_certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quarter.py").write_text(RULE, encoding="utf-8")
    assert main(["certify", "./quarter.py"]) == 0


def test_its_commands_are_nowts() -> None:
    commands = re.findall(r"(?:^|`)nowt ((?:[a-z]+)(?: [^`\n]*?)?)(?:`| && |\s+#|$)", README, re.MULTILINE)
    assert len(commands) > 10
    for command in commands:
        words = [word.replace("RUN", "0123456789ab") for word in shlex.split(command)]
        if len(words) > 1:
            parse(words)


def test_its_table_lists_every_rule() -> None:
    assert [rule.name for rule in builtin_rules()] == re.findall(r"^\| `(\w+)`.* \|$", README, re.MULTILINE)


def test_it_fits_in_150_lines() -> None:
    assert len(README.splitlines()) < 150
