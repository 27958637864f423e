"""Small search spaces on digits for the tests of searches, as files that a user could have written."""

from pathlib import Path

from tests.support.small_studies import HEAD

SPACE_HEAD = (
    HEAD
    + """
from nowt import Budget, SearchCell, Choice, Range, SearchSpace, EarlyStopping


def part(rule, *params):
    config = replace(small(rule), test=False)
    return SearchCell(Path(str(rule)).stem, config, params or (Range("optim.lr", 0.001, 1.0, log=True),))

"""
)


def write_space(folder: Path, cells: str, budget: str = "Budget(6)", how: str = "", name: str = "small") -> Path:
    """A space file in ``folder``; ``cells`` is the Python text of a tuple of parts, ``how`` of further fields."""
    path = folder / f"{name}.py"
    body = f"def space():\n    return SearchSpace({name!r}, 'Which is best?', {cells}, {budget}, {how})\n"
    path.write_text(f"{SPACE_HEAD}\n{body}")
    return path
