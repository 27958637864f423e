"""docs/certifying-other-code.md: the verdicts on its honest and its dishonest step are those that it states."""

import re
from pathlib import Path

import pytest

from nowt.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "certifying-other-code.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("function", "code", "verdict"),
    [
        ("feedback_alignment", 0, "No read of W beyond forward activity found in this step."),
        ("copied_weights", 1, "Reads W: change of 2.feedback changes by "),
    ],
)
def test_the_steps_of_the_page_are_told_apart(
    function: str,
    code: int,
    verdict: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    [text] = re.findall(r"`steps.py`:\n\n```python\n(.*?)```", PAGE, re.DOTALL)
    Path("steps.py").write_text(text, encoding="utf-8")
    assert main(["certify", "./steps.py", "--step", function, "--out", "results"]) == code
    assert verdict in capsys.readouterr().out
    assert verdict.rstrip(".") in PAGE.replace("\n", " ")
    assert [file.name for file in Path("results").iterdir()] == [f"step-steps_{function}.json"]
