"""docs/adding-a-rule.md: its files are rules that train and that are certified."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nowt.evaluation.certify.run import certify
from nowt.rules.registry import find_rule
from nowt.training.loop import train
from tests.support.certificates import failed_checks
from tests.support.short_runs import CPU, short_run

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-rule.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))


def test_the_page_has_three_files() -> None:
    assert list(FILES) == ["binary.py", "information.py", "direct.py"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_page_is_a_rule_that_learns_and_is_certified(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    fields = {"eta": 0.05} if name == "information.py" else {}  # so that a few steps align B
    rule = find_rule(str(tmp_path / name))(**fields)
    config = replace(short_run("fa", epochs=8), rule=rule)
    first, *_, last = train(config, CPU)
    assert last.train_loss < 0.7 * first.val_loss
    if name == "information.py":
        assert all(a.matrix_angle < b.matrix_angle - 5 for a, b in zip(last.layers, first.layers, strict=True))
    assert not failed_checks(certify(rule))
