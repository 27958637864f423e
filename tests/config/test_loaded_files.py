"""A file that a custom file loads by its path, not by an import statement, is part of the key."""

from pathlib import Path

from nowt import find_rule
from nowt.config.run_config import RunConfig
from nowt.config.run_key import run_key
from tests.config.test_run_key import FILES
from tests.core.test_source_hash import written

USING = """
from dataclasses import dataclass
from typing import ClassVar
from nowt import FeedbackAlignment, find_rule

Other = find_rule("./mine.py:Mine")

@dataclass(frozen=True)
class Using(FeedbackAlignment):
    name: ClassVar[str] = "using"
"""


def test_a_rule_that_find_rule_loaded_for_its_functions_counts(tmp_path: Path) -> None:
    using = written(tmp_path, {"using.py": USING, **FILES})
    first = run_key(RunConfig(rule=find_rule(str(using))()), "pixels")
    for name, text in (("helpers.py", "SCALE = 2\n"), ("mine.py", FILES["mine.py"] + "x = 1\n")):
        written(tmp_path, {name: text})
        assert run_key(RunConfig(rule=find_rule(str(using))()), "pixels") != first
        written(tmp_path, {name: FILES[name]})
        assert run_key(RunConfig(rule=find_rule(str(using))()), "pixels") == first
