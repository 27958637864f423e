"""A store does not decide which code is imported: what only a log or a study file names is refused."""

import json
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.config.stored_config import stored_config
from nowt.core.plugins import is_imported
from nowt.store.layout import Store
from tests.support.hostile_files import refusal_of, write_files

HARMLESS = "from nowt import FeedbackAlignment\n\n\nclass Mine(FeedbackAlignment):\n    name = 'mine'\n"


@pytest.fixture
def store(tmp_path: Path, valid: dict[str, bytes]) -> Path:
    return write_files(tmp_path / "store", valid)


def config_of(store: Path) -> dict[str, dict[str, object]]:
    (study,) = Store(store).study_files()
    config: dict[str, dict[str, object]] = json.loads(study.read_text())["cells"][0]["config"]
    return config


@pytest.mark.parametrize("part", ["rule", "model"])
@pytest.mark.parametrize("name", ["{folder}/rule.py:Rule", "{folder}/rule.py", "antigravity:geohash", "os:abort"])
def test_code_that_only_a_store_names_is_not_imported(part: str, name: str, store: Path, outside: Path) -> None:
    config = config_of(store)
    config[part]["name"] = name.format(folder=outside)
    line = refusal_of(lambda: stored_config(config, "run 0123456789ab"))
    assert "run 0123456789ab names code that is imported only if you say so: if you trust it, add --code" in line


def test_nowt_probe_names_the_option_and_then_imports_the_code(
    store: Path, outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study,) = Store(store).study_files()
    key = json.loads(study.read_text())["runs"][0]["key"]
    log = Store(store).log(key)
    first, _, rest = log.read_text().partition("\n")
    start = json.loads(first)
    start["config"]["rule"]["name"] = f"{outside}/rule.py:Rule"
    log.write_text(json.dumps(start) + "\n" + rest)
    kept = Store(store).checkpoints(key) / "epoch-000001.pt"
    kept.parent.mkdir()
    kept.write_bytes(b"")
    words = ["probe", "rules", "--metric", "cka", "--store", str(store)]
    assert main(words) == 2
    assert f"run {key} names code" in (error := capsys.readouterr().err) and f"--code {outside}/rule.py:Rule" in error
    mine = tmp_path / "mine.py"
    mine.write_text(HARMLESS)
    assert not is_imported(f"{mine}:Mine")
    assert main([*words, "--code", f"{mine}:Mine"]) == 2  # of another file, and so the same refusal
    assert is_imported(f"{mine}:Mine") and f"run {key} names code" in capsys.readouterr().err


def test_built_in_rules_and_models_need_no_option(store: Path) -> None:
    assert stored_config(dict(config_of(store)), "run 0123456789ab").rule.name == "bp"
