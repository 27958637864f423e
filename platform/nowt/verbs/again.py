"""Studies that run a search's best settings again."""

import argparse
from collections.abc import Callable

from nowt.ablate import Outcome
from nowt.study import Study
from nowt.verbs.options import exit_code, how


def again(typed: argparse.Namespace, tell: Callable[[Callable[[Study], Outcome]], str]) -> int:
    """Run them, and print what ``tell`` says of them; the exit code."""
    from nowt.ablate import ablate
    from nowt.search.best import NotWhole

    chosen = how(typed)
    try:
        print(tell(lambda study: ablate(study, chosen, print)))
    except NotWhole as error:
        print(error)
        return exit_code(error.outcome.interrupted, error.outcome.capped, bool(error.outcome.failed))
    return 0
