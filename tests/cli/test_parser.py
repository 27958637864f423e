"""A wrong value of a positional argument is named without the argument's name, which nobody types."""

import pytest

from nowt.cli.main import main


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("data prepare tinyimagenet a b", "'tinyimagenet' is not one of imagenet, tiny-imagenet (did you mean tiny-"),
        ("data prepar imagenet a b", "'prepar' is not one of prepare (did you mean prepare?)"),
        ("cluster prepar", "'prepar' is not one of prepare, teardown (did you mean prepare?)"),
    ],
)
def test_a_wrong_choice_is_named_by_itself(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"nowt: {message}") and err.count("\n") == 1
