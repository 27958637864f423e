"""Formats numbers for tables and text: a true minus sign, and a dash for missing values."""

import math

from nowt.core.formatting import counted

MISSING = "–"

FINEST_P = 0.001

FINEST_ANGLE = 0.02  # degrees; the resolution of the cosine in single precision


def number(value: float, sign: str = "", digits: int = 2) -> str:
    """Format a number; ``sign="+"`` always shows the sign."""
    return MISSING if math.isnan(value) else f"{value:{sign}.{digits}f}".replace("-", "−")


def interval(low: float, high: float, sign: str = "", digits: int = 2) -> str:
    """Format an interval as ``low to high``."""
    return MISSING if math.isnan(low) else f"{number(low, sign, digits)} to {number(high, sign, digits)}"


def points(value: float) -> str:
    """Format percentage points as ``1 point`` or ``1.5 points``."""
    return counted(f"{value:g}", "point")


def p_value(p: float) -> str:
    """Format p with two significant digits, or as ``< 0.001``."""
    if math.isnan(p):
        return MISSING
    return f"< {FINEST_P:g}" if p < FINEST_P else f"{p:.2g}"


def p_in_words(p: float) -> str:
    """Format p as ``p = 0.02`` or ``p < 0.001``."""
    return f"p {p_value(p)}" if p < FINEST_P else f"p = {p_value(p)}"


def angle(value: float) -> str:
    """Format degrees; below 1° with two significant digits, below the resolution of single precision as ``0.0``."""
    if math.isnan(value):
        return MISSING
    return f"{value:.1f}" if value >= 1 or value < FINEST_ANGLE else f"{value:.2g}"
