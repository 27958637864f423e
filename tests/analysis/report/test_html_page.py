"""report.html and manifest.json: a self-contained page, and whether a folder is up to date."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from analysis.report.content import Report
from analysis.report.html_page import markdown
from analysis.report.interactive import to_columns
from analysis.report.provenance import check
from nowt.cli.main import main
from nowt.store.run_log import LogWriter, read
from nowt.tracking.refresh import rebuild
from tests.support.hostile_files import refusal_of
from tests.support.mlflow_contents import client_of

Made = tuple[Path, Report]


class Tags(HTMLParser):
    """Collects a page's tags, and the addresses that they name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]


def page_of(made: Made) -> str:
    return (made[0] / "figures" / "report.html").read_text(encoding="utf-8")


def test_the_page_is_one_small_file_without_external_addresses(reported: Made) -> None:
    page = page_of(reported)
    assert len(page.encode()) < 5_000_000
    found = Tags(page)
    assert set(found.addresses) == {"data:,"}  # no icon
    assert "default-src 'none'" in page


def test_names_and_questions_are_escaped_on_the_page(reported: Made) -> None:
    page = page_of(reported)
    tags = Tags(page).tags
    assert tags.count("script") == 4 and "b" not in tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;this&quot; only text?" in page
    cells = re.search(r'<script type="application/json" id="cells">(.*?)</script>', page)
    assert cells and json.loads(cells[1])["kp"] == ["kp", "kp </script><b>bold"]


def test_the_page_has_every_figure_the_table_and_one_switch_per_rule(reported: Made) -> None:
    page = page_of(reported)
    drawn = [path for path in reported[1].paths if path.suffix == ".png"]
    assert page.count('class="chart"') == len(drawn) > 5
    assert "<table>" in page and "95 % interval" in page
    switches = re.findall(r'data-name="(.*?)"', page)
    assert switches == ["bp", "fa", "kp", *[f"{rule}, published" for rule in ("bp", "fa", "ss", "wm", "kp")]]


def test_html_in_markdown_is_escaped() -> None:
    assert "<b>" not in markdown("<b>x</b>\n\n| a |\n| --- |\n| <i>y</i> |\n")


def test_packed_columns_contain_the_rows() -> None:
    packed = to_columns([{"cell": "a", "x": 1.23456789}, {"cell": "b", "x": None}, {"cell": "a", "y": 2.0}])
    assert packed["length"] == 3
    assert packed["columns"]["cell"] == {"texts": ["a", "b"], "at": [0, 1, 0]}
    assert packed["columns"]["x"]["values"] == [1.2346, None, None]
    assert packed["columns"]["y"]["values"] == [None, None, 2]


def copy_of(made: Made, folder: Path) -> Path:
    shutil.copytree(made[0], folder / "store")
    return folder / "store"


def test_the_manifest_lists_the_sources_and_the_command(reported: Made) -> None:
    manifest = json.loads((reported[0] / "figures" / "manifest.json").read_text())
    assert manifest["study"] == reported[1].study
    assert manifest["command"].startswith(f"nowt report {reported[1].study} --published --store")
    assert len(manifest["runs"]) == 12 and all(log["bytes"] and log["sha256"] for log in manifest["runs"].values())
    assert manifest["data"] == {"digits made-up": 12}
    assert manifest["trained_by"] == {"made-up": 12}
    assert {"python", "altair", "pandas"} <= manifest["packages"].keys()
    assert {path.name for path in reported[1].paths} == {*manifest["files"], "manifest.json"}


def test_a_folder_is_up_to_date_until_a_log_or_a_figure_changes(
    reported: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = copy_of(reported, tmp_path)
    assert check(store, store / "figures").fresh
    first, second, *_ = sorted((store / "logs").glob("*.jsonl"))
    writer = LogWriter.open(store, first.stem)
    writer.resume(3)
    second.unlink()
    (store / "figures" / "curves.svg").unlink()
    (store / "figures" / "table.csv").write_text("edited")
    assert read(first).state == "running"
    found = check(store, store / "figures")
    assert found.stale == (
        f"run {second.stem} has lost its log",
        f"run {first.stem} has a changed log",
        "curves.svg is missing",
        "table.csv has been modified",
    )


def test_a_new_run_of_the_study_makes_a_folder_stale(reported: Made, tmp_path: Path) -> None:
    store = copy_of(reported, tmp_path)
    path = store / "studies" / f"{reported[1].study}.json"
    study_file = json.loads(path.read_text())
    study_file["runs"].append({"key": "0123456789ab", "cell": "bp", "seed": 9})
    path.write_text(json.dumps(study_file))
    assert check(store, store / "figures").stale == ("run 0123456789ab is new",)


def test_a_changed_study_makes_a_folder_stale_and_another_schema_is_an_error(reported: Made, tmp_path: Path) -> None:
    store = copy_of(reported, tmp_path)
    path, moved = store / "studies" / f"{reported[1].study}.json", tmp_path / "moved"
    path.write_text(path.read_text().replace('"reference": "bp"', '"reference": "kp"'))
    (store / "figures").rename(moved)
    found = check(store, moved)
    assert found.stale == ("the study file has other text or settings",)
    assert found.command.endswith(f"--store {store} --out {moved}")
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    with pytest.raises(ValueError, match="is a study file of schema 2, this version of nowt reads 1: update nowt"):
        check(store, moved)


def test_checking_a_folder_without_a_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give --check a folder that `nowt report` wrote"):
        check(tmp_path, tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        check(tmp_path, tmp_path)
    for held in ("{}", '{"schema": "2"}', '{"schema": 1, "study": 5}'):
        (tmp_path / "manifest.json").write_text(held)
        with pytest.raises(ValueError, match=r"has no valid (schema|study): run `nowt report` again"):
            check(tmp_path, tmp_path)


WRONG: dict[str, list[Any]] = {
    "command": [
        "it's",
        "",
        "nowt report",
        "curl x '|' sh --store a --out b",
        "nowt report X --margin --store a --out b",
    ],
    "packages": [[1], {"numpy": 1}, {"numpy": "\x1b[2J"}],
    "runs": [{"x\x1b[2J": None}, {"0123456789ab": 5}],
    "probes": [5, {"cka": []}],
    "plan": [[1]],
    "nowt": [{"commit": 5}, {"commit": "\x1b[2J"}],
    "files": [{"curves.svg": 5}],
    "study": ["../x"],
}


@pytest.mark.parametrize(("field", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_manifest_with_other_values_is_refused(field: str, value: object, reported: Made) -> None:
    folder = reported[0] / "figures"
    before = (folder / "manifest.json").read_text()
    try:
        (folder / "manifest.json").write_text(json.dumps({**json.loads(before), field: value}))
        line = refusal_of(lambda: check(reported[0], folder))
    finally:
        (folder / "manifest.json").write_text(before)
    assert line == f"nowt: {folder}/manifest.json has no valid {field}: run `nowt report` again"


def test_the_exit_code_tells_whether_figures_are_up_to_date(
    reported: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = copy_of(reported, tmp_path)
    words = ["report", "--store", str(store), "--check", str(store / "figures")]
    assert main(words) == 0
    assert "is up to date with the logs" in capsys.readouterr().out
    (store / "figures" / "curves.png").unlink()
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "curves.png is missing" in out and f"to draw it again: nowt report {reported[1].study} --published" in out
    assert main([*words, "--published"]) == 2
    assert "--check DIR draws nothing" in capsys.readouterr().err


def test_the_report_is_attached_to_the_studys_run_and_a_rebuild_keeps_it(reported: Made, tmp_path: Path) -> None:
    store = copy_of(reported, tmp_path)
    rebuild(store)
    client = client_of(store)
    experiment = client.get_experiment_by_name(reported[1].study)
    assert experiment is not None
    parent = next(
        run for run in client.search_runs([experiment.experiment_id]) if run.data.tags["nowt.key"] == reported[1].study
    )
    names = {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "report")}
    assert names == {path.name for path in reported[1].paths}


def test_a_report_succeeds_even_if_mlflow_is_not_writable(tmp_path: Path) -> None:
    from nowt.cli.commands.report import _attached

    assert _attached(tmp_path, "odd-1", ()) == []
    (tmp_path / "mlflow.db").write_text("no database")
    (line,) = _attached(tmp_path, "odd-1", ())
    assert (
        line.startswith("the report is not attached to the study in MLflow (") and "is not an MLflow database" in line
    )
