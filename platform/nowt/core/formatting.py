"""Numbers in messages: with their nouns, and without digits that mislead. Text in messages: no control characters."""

import re
from collections.abc import Sequence

DIGITS = 3  # significant digits that a number has at least

LARGEST = 1e5  # from here on, a number is written with an exponent

# characters that move the cursor, hide text or change its direction, those that nothing shows, so that two names could
# look the same, and halves of characters, which no file can hold
CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def is_one_line(text: str) -> bool:
    """Return whether ``text`` has neither line breaks nor other control or invisible characters."""
    return CONTROL.search(text) is None


def printable(text: str, keep: str = "\n\t") -> str:
    r"""Return ``text`` with its control and invisible characters as escapes, so that text from a file cannot control
    a terminal.

    Args:
        text: Any text.
        keep: The control characters to leave as they are (default: line feed and tab).

    Example:
        >>> from nowt.core.formatting import printable
        >>> printable("\x1b[2J red")
        '\\x1b[2J red'
    """
    return CONTROL.sub(lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(), text)


def counted(number: int | str, noun: str, plural: str = "") -> str:
    """Return a number with its noun in the singular or plural.

    Args:
        number: An integer, or a number that is formatted already: ``2.5``, or an integer without thousands separators
            where a message compares it with another one.
        noun: The noun in the singular.
        plural: Its plural; empty (default) adds an s.

    Example:
        >>> from nowt.core.formatting import counted
        >>> counted(1, "run"), counted(1200, "image"), counted(2, "study", "studies"), counted("0.5", "point")
        ('1 run', '1,200 images', '2 studies', '0.5 points')
    """
    text = number if isinstance(number, str) else f"{number:,}"
    return f"{text} {noun if text == '1' else plural or f'{noun}s'}"


def first_few(names: Sequence[object], most: int = 8) -> str:
    """Return names with commas between them; of more than ``most``, the first ones and the number of the others.

    Example:
        >>> from nowt.core.formatting import first_few
        >>> first_few("abc"), first_few("abc", most=2)
        ('a, b, c', 'a, b and 1 more')
    """
    text = ", ".join(map(str, names[:most]))
    return text if len(names) <= most else f"{text} and {len(names) - most:,} more"


def decimal(value: float, decimals: int) -> str:
    """Return a number with this many decimals; with three significant digits if decimals would show fewer of a small
    number, or all digits of a very large one.

    Example:
        >>> from nowt.core.formatting import decimal
        >>> decimal(0.98512, 3), decimal(0.0123, 3), decimal(4.56e-9, 3), decimal(2.5e20, 3), decimal(0.0, 3)
        ('0.985', '0.0123', '4.56e-09', '2.50e+20', '0.000')
    """
    if value == 0 or 10.0 ** (DIGITS - 1 - decimals) <= abs(value) < LARGEST:
        return f"{value:.{decimals}f}"
    return f"{value:#.{DIGITS}g}".rstrip(".")


def degrees(value: float) -> str:
    """Return an angle in degrees with two decimals; one that is not 0 never as 0.00°."""
    return "< 0.01°" if 0 < value < 0.01 else f"{value:.2f}°"
