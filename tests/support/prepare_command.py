"""Run ``nowt data prepare imagenet`` on a miniature copy and see what it did."""

from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.data.imagenet import class_folder


def run_prepare(source: Path, *options: str, name: str = "imagenet", code: int = 0) -> Path:
    """Prepare ``source``, expecting this exit code; return the target."""
    target = source.parent / name
    assert main(["data", "prepare", "imagenet", str(source), str(target), "--jobs", "2", *options]) == code
    return target


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line on stderr."""
    _, err = capsys.readouterr()
    assert err.startswith("nowt: ") and err.count("\n") == 1, err
    return err


def count_verified(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that receives the size of every image verified from now on."""
    verified: list[int] = []

    def verify(data: bytes, real: object = class_folder.verify) -> str:
        verified.append(len(data))
        return real(data)  # type: ignore[operator,no-any-return]

    monkeypatch.setattr(class_folder, "verify", verify)
    return verified


def placement(root: Path) -> Placement:
    """Data in ``root``, the store beside it."""
    return Placement(store=str(root.parent / "store"), data=str(root), loaders=0)
