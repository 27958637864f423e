"""Every code block of README.md and docs/ runs in a test, and every command parses."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from nowt.cli.main import parse
from nowt.evaluation.probes.results import ProbeSettings, open_results
from nowt.tracking.database import database_uri
from tests.support.synthetic_search import write_search
from tests.support.synthetic_store import key_of, rules_study, write_store

ROOT = Path(__file__).parents[2]

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

# number of blocks that the test of this page runs
IN_OTHER_TESTS = {
    "README.md": 2,
    "adding-a-figure.md": 4,
    "adding-a-rule.md": 3,
    "adding-a-study.md": 2,
    "certifying-other-code.md": 1,
    "results.md": 1,
    "search.md": 3,
}

SERVER = "http://127.0.0.1:5000"


def name_of(page: Path) -> str:
    return page.name


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose store ``runs`` has what the pages name: a study, a search, a probe and an experiment."""
    store = tmp_path / "runs"
    study = write_store(store, rules_study("rules_on_digits", epochs=2), layers=3)
    write_search(store)
    with open_results(store, study.key, "cka", ProbeSettings("abc", 64, "val", "bp")) as found:
        line = {"run": key_of(study, "kp", 0), "cell": "kp", "rule": "kp", "seed": 0, "epoch": 2, "metric": "cka"}
        found.add({**line, "values": {"layer0": 0.5, "layer1": 0.6}, "others": []})
    MlflowClient(database_uri(store / "mlflow.db")).create_experiment("feedback alignment")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python") and p.name not in IN_OTHER_TESTS], ids=name_of
)
def test_the_blocks_of_a_page_run_one_after_the_other(page: Path, lab: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(blocks(page, "python"), 1):
        here = block.replace(SERVER, database_uri(lab / "runs" / "mlflow.db"))
        exec(compile(here, f"{page.name}, block {number}", "exec"), names)


def test_the_other_pages_have_tests_that_run_every_block() -> None:
    for page in PAGES:
        if page.name in IN_OTHER_TESTS:
            assert len(blocks(page, "python")) == IN_OTHER_TESTS[page.name], page.name
            assert (ROOT / "tests" / "docs" / f"test_{page.stem.lower().replace('-', '_')}.py").exists()


def commands(page: Path) -> Iterator[str]:
    """The commands of the blocks without a language, with values in place of what a shell would insert."""
    for block in blocks(page, ""):
        text = re.sub(r"\$\(.*?\)", "HOST", block.replace("\\\n", " "))
        for line in re.sub(r"'((?:cd \w+ && )?(?:\w+=\w+ )?nowt [^']*)'", r"\n\1\n", text).splitlines():
            for part in re.split(r";| && | -- +(?=nowt)", line.partition(" #")[0]):
                yield re.sub(r"^(?:\w+=\S+ +)+", "", part.strip())


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "")], ids=name_of)
def test_the_commands_of_a_page_parse_and_its_scripts_exist(page: Path) -> None:
    for command in commands(page):
        program, *words = shlex.split(command) if command.startswith(("nowt ", "python ")) else [""]
        if program == "nowt":
            parse(words)
        elif program == "python" and words[0] != "-m":
            assert (ROOT / words[0]).exists(), command
        elif program == "python":
            module = ROOT / words[1].replace(".", "/")
            assert "train_loss" in words[1] or module.is_dir() or module.with_suffix(".py").exists(), command


def test_the_loop_of_the_page_aligns_the_feedback_and_learns(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(blocks(ROOT / "docs" / "own-loop.md", "python")[0], names)
    errors = [float(found) for found in re.findall(r"error ([\d.]+) %", capsys.readouterr().out)]
    assert len(errors) == 5 and errors[-1] < 10
    assert names["feedback"].steps == 5 * 28  # 57 batches of 32 per epoch, two for each step
    assert max(angle.matrix for angle in names["angles"].values()) < 60
