"""A path in place of a study, a space or a recipe is answered with the option for folders of images."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.studies.lookup import check_recipe, check_space, check_study


@pytest.mark.parametrize(
    ("check", "argument"), [(check_study, "STUDY"), (check_space, "SPACE"), (check_recipe, "RECIPE")]
)
@pytest.mark.parametrize("path", [".", "images", "my/images", "./my images"])
def test_a_folder_is_answered_with_its_option(
    path: str, check: Callable[[str], None], argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    quoted = f"'{path}'" if " " in path else path
    with pytest.raises(ConfigError) as caught:
        check(path)
    assert f" (a folder of images is given with --data-dir: {argument} --data-dir {quoted}); " in str(caught.value)


def test_a_misspelt_name_is_no_folder() -> None:
    with pytest.raises(ConfigError, match=r"no 'rules_on_foldr' among studies \(did you mean rules_on_folder\?\)"):
        check_study("rules_on_foldr")
