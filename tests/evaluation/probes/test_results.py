"""The results files of probes that earlier versions wrote."""

import json
from pathlib import Path

from nowt.evaluation.probes.results import ProbeSettings, open_results, read_results
from nowt.store.layout import Store
from tests.support.forked_children import exit_code_of_child


def test_results_of_an_earlier_version_count_as_done(tmp_path: Path) -> None:
    line = {"run": "r1", "cell": "kp", "rule": "kp", "seed": 0, "epoch": 2, "metric": "cka", "values": {}, "others": []}
    path = Store(tmp_path).probe("study", "cka")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**line, "measure": "abc", "pictures": 64, "split": "val", "against": "bp"}) + "\n")
    settings = ProbeSettings("abc", 64, "val", "bp")
    with open_results(tmp_path, "study", "cka", settings) as results:
        assert results.done == {("r1", 2)}
        results.add({**line, "epoch": 3})
    assert [ProbeSettings.from_line(found) for found in read_results(path)] == [settings, settings]


def test_a_child_that_a_metric_forks_writes_no_results(tmp_path: Path) -> None:
    with open_results(tmp_path, "study", "metric", ProbeSettings("m", 8, "val", "")) as results:
        assert exit_code_of_child(lambda: results.add({"run": "r", "epoch": 0})) == 1
        assert results.path.read_bytes() == b""
