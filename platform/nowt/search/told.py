"""What a confirmed and a carried-over search say at their ends."""

from collections.abc import Mapping, Sequence

from scipy.stats import spearmanr

from nowt.search.again import Found


def confirmed(found: Sequence[Found], val: Mapping[str, float], test: Mapping[str, float], seeds: int) -> str:
    """A line for each setting that was run again, and one for each cell's pick with its test error."""
    lines = [f"val error, mean over {_seeds(seeds)} (in the search, one seed):"]
    for one in found:
        lines.append(f"  {one.name}: {_percent(val[one.name])} ({_percent(one.error)})")
    lines.append("picks, by the lowest mean val error; test error, mean over the same seeds:")
    for cell, error in test.items():
        pick = min((one for one in found if one.cell == cell), key=lambda one: (val[one.name], one.trial))
        lines.append(f"  {cell}: trial {pick.trial}, val {_percent(val[pick.name])}, test {_percent(error)}")
    return "\n".join(lines)


def carried_over(found: Sequence[Found], val: Mapping[str, float], seeds: int) -> str:
    """A line a cell: its best settings there and here, the recipe as it stands, and whether their order holds."""
    lines = [f"val error on the target, mean over {_seeds(seeds)} (where it was found, one seed):"]
    for cell in dict.fromkeys(one.cell for one in found):
        mine = [one for one in found if one.cell == cell]
        settings = ", ".join(f"trial {one.trial} {_percent(val[one.name])} ({_percent(one.error)})" for one in mine)
        lines.append(
            f"  {cell}: {settings}; the recipe as it stands {_percent(val[f'{cell} recipe'])}{_order(mine, val)}"
        )
    return "\n".join(lines)


def _order(found: Sequence[Found], val: Mapping[str, float]) -> str:
    """Spearman's rank correlation of the settings' errors there and here, from three settings on."""
    there, here = [one.error for one in found], [val[one.name] for one in found]
    if len(found) < 3 or len(set(there)) < 2 or len(set(here)) < 2:
        return ""
    return f"; rank correlation {spearmanr(there, here).statistic:+.2f} of {len(found)}"


def _seeds(count: int) -> str:
    return f"{count} fresh seed{'s' * (count > 1)}"


def _percent(error: float) -> str:
    return f"{100 * error:.2f} %"
