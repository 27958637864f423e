"""The benchmarks of a study's processes, at a small size: they run to the end and print what they measure."""

import re

import pytest

from benchmarks import process_memory, study_driver


def output_of(main: object, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", ["script", *words.split()])
    main()  # type: ignore[operator]
    return capsys.readouterr().out


def test_the_driver_executes_every_simulated_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = output_of(study_driver.main, "--runs 5 --planned 10", monkeypatch, capsys)
    assert re.search(r"^5 runs: the memory grew by -?\d+ MB from \d+ MB$", found, re.MULTILINE)
    assert re.search(r"^10 planned runs: the first one begins after \d+\.\d+ s of CPU time$", found, re.MULTILINE)


def test_the_memory_after_each_run_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        process_memory.train_all(process_memory.parse())

    small = "--runs 2 --rules bp fa --classes 16 --size 64 --batch 8"
    lines = output_of(main, small, monkeypatch, capsys).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["1", "bp"], ["2", "fa"]]
    assert all(re.search(r"resident +[1-9]\d* MB", line) for line in lines)
