"""Small search spaces on digits: as objects, and as files that a user could have written."""

from dataclasses import replace
from pathlib import Path

from nowt.config.recipes import digits
from nowt.config.run_config import RunConfig
from nowt.rules.registry import find_rule
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Range, When
from nowt.studies.search.space import Budget, SearchSpace
from tests.support.small_studies import HEAD

LR = Range("optim.lr", 0.01, 1.0, log=True)

DECAY = Range("rule.decay", 0.01, 0.5)

GAIN = Range("rule.eta", 0.3, 3.0, log=True, times="rule.decay")

SCHEDULE = Choice("optim.schedule", ("cosine", "step"))


def milestones(schedule: str) -> Choice:
    """Milestones that exist only with this schedule."""
    return Choice("optim.milestones", ((2.0,), (3.0, 4.0)), when=When("optim.schedule", schedule))


def base(rule: str = "wm") -> RunConfig:
    """The digits recipe with this rule, without test images."""
    return replace(digits(find_rule(rule)()), test=False)


def small_space(*params: Range | Choice, rule: str = "wm", **fields: object) -> SearchSpace:
    """A space with one cell and these parameters."""
    cell = SearchCell(rule, base(rule), params)
    return SearchSpace("small", "Which is best?", (cell,), Budget(4), **fields)  # type: ignore[arg-type]


SPACE_HEAD = (
    HEAD
    + """
from nowt import Budget, SearchCell, Choice, Range, SearchSpace, EarlyStopping


def part(rule, *params, model=DENSE):
    config = replace(small(rule, model), test=False)
    return SearchCell(Path(str(rule)).stem, config, params or (Range("optim.lr", 0.001, 1.0, log=True),))

"""
)


def write_space(folder: Path, cells: str, budget: str = "Budget(6)", how: str = "", name: str = "small") -> Path:
    """Write a space file to ``folder``. ``cells`` is the Python code of a tuple of cells (``part(rule, *params)``, or
    with ``model=RESIDUAL``), and ``how`` that of further fields of the space."""
    path = folder / f"{name}.py"
    body = f"def space():\n    return SearchSpace({name!r}, 'Which is best?', {cells}, {budget}, {how})\n"
    path.write_text(f"{SPACE_HEAD}\n{body}")
    return path
