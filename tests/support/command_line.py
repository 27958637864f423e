"""A command of nowt's, given in this process."""

import pytest

from nowt.cli.main import main


def nowt(words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """What a command prints; it must end with this exit code."""
    capsys.readouterr()
    assert main(words.split()) == code
    out, err = capsys.readouterr()
    return out + err
