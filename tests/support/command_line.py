"""Runs a command of nowt in this process."""

import pytest

from nowt.cli.main import main


def nowt(command: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """What a command prints. It must exit with ``code``."""
    capsys.readouterr()
    assert main(command.split()) == code
    out, err = capsys.readouterr()
    return out + err
