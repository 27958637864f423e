"""How numbers are written for people: a true minus, a dash where there is nothing to say, p no finer than it can be."""

import math

NOTHING = "–"

FINEST_P = 0.001

FINEST_ANGLE = 0.02  # degrees: the cosine's last digit in single precision


def number(value: float, sign: str = "", digits: int = 2) -> str:
    """The number; ``sign`` "+" for one whose sign matters."""
    return NOTHING if math.isnan(value) else f"{value:{sign}.{digits}f}".replace("-", "−")


def interval(low: float, high: float, sign: str = "", digits: int = 2) -> str:
    """``low to high``."""
    return NOTHING if math.isnan(low) else f"{number(low, sign, digits)} to {number(high, sign, digits)}"


def points(value: float) -> str:
    """``1 point``, ``1.5 points``."""
    return f"{value:g} point{'s' * (value != 1)}"


def p_value(p: float) -> str:
    """p with two digits that count, or that it is below the finest."""
    if math.isnan(p):
        return NOTHING
    return f"< {FINEST_P:g}" if p < FINEST_P else f"{p:.2g}"


def p_in_words(p: float) -> str:
    """``p = 0.02`` or ``p < 0.001``."""
    return f"p {p_value(p)}" if p < FINEST_P else f"p = {p_value(p)}"


def angle(value: float) -> str:
    """Degrees, small ones with two digits that count; below what single precision tells from 0, that."""
    if math.isnan(value):
        return NOTHING
    return f"{value:.1f}" if value >= 1 or value < FINEST_ANGLE else f"{value:.2g}"
