"""The page of benchmarks keeps the sections that are not measured again."""

from pathlib import Path

import pytest

from benchmarks import performance
from benchmarks.performance import BENCHMARKS, Benchmark


def test_only_the_sections_that_ran_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, outputs = tmp_path / "page.md", iter(["| a |\n| --- |\n| 1 |", "first", "second"])
    monkeypatch.setattr(performance, "run", lambda benchmark, more: next(outputs))
    for only in (["rules", "engine"], ["engine"]):
        monkeypatch.setattr("sys.argv", ["performance.py", "--page", str(page), "--only", *only])
        performance.main()
    text = page.read_text()
    assert text.startswith("# Performance") and text.count("\n## ") == 2
    assert "\n| a |\n| --- |" in text and "```\nsecond\n```" in text and "first" not in text.partition("## ")[2]


def test_image_loading_needs_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr("sys.argv", ["performance.py", "--page", str(page), "--only", "images"])
    performance.main()
    assert "give a folder of JPEG files with IMAGES=FOLDER" in capsys.readouterr().err and not page.exists()


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=list(BENCHMARKS))
def test_each_script_exists(benchmark: Benchmark) -> None:
    assert (Path(performance.__file__).parent / benchmark.command[0]).is_file()
