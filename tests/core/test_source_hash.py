"""The identity of a custom file: its code and that of the local modules that it imports, and nothing else."""

import sys
from pathlib import Path

import pytest

from nowt.core.plugins import source_of
from nowt.core.source_hash import package_versions, read_source
from nowt.core.syntax_tree import tree_digest


def digest(path: Path) -> str:
    return read_source(path, path.parent).digest


def written(folder: Path, files: dict[str, str]) -> Path:
    """Write the files and return the first."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / next(iter(files))


CODE = '''"""A module."""

from math import (
    pi,
)


def area(radius):
    """Return the area of a disk."""
    return pi * radius ** 2
'''


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("\n", "\r\n"),
        CODE.replace("\n", "\r"),
        "\ufeff" + CODE,
        "# a comment\n" + CODE,
        CODE.replace("radius ** 2", "(radius**2)"),
        CODE.replace("from math import (\n    pi,\n)", "from math import pi"),
        CODE.replace('"""A module."""', ""),
        CODE.replace("the area of a disk", "how large a disk is"),
        CODE.replace("    return", '    "a string in place of a comment"\n    return'),
    ],
)
def test_comments_formatting_line_ends_and_docstrings_are_not_part_of_it(other: str) -> None:
    assert tree_digest(other.encode()) == tree_digest(CODE.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = True"),
        ("x = 1", "x = 1.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = -1", "x = 1"),
        ("x = a - b - c", "x = a - (b - c)"),
        ("f(None)", "f()"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
        ("x = {**y, 'a': 1}", "x = {'a': 1, **y}"),
        ("if a:\n    b\n    c", "if a:\n    b\nc"),
        ("x = [1, 2], 3", "x = [1, 2, 3]"),
        ("x = 'y'", "x = y"),
        ("global_ = 1\ndef f():\n    global x\n    x = 1", "global_ = 1\ndef f():\n    nonlocal x\n    x = 1"),
        ("match x:\n    case None: pass", "match x:\n    case True: pass"),
        ("x = 123456789" + "0" * 5000, "x = 123456789" + "0" * 5000 + "1"),
        ("print(__doc__)  # a", "print(__doc__)  # b"),
        ("import inspect\nx = inspect.getsource(f)  # a", "import inspect\nx = inspect.getsource(f)  # b"),
        ("x = getattr(f, '__doc__')  # a", "x = getattr(f, '__doc__')  # b"),
    ],
)
def test_different_programs_differ(one: str, other: str) -> None:
    assert tree_digest(one.encode()) != tree_digest(other.encode())


def test_deeply_nested_code_has_a_digest() -> None:
    deep = "x = " + " + ".join(["1"] * 900)
    assert tree_digest(deep.encode()) != tree_digest((deep + " + 1").encode())


IMPORTS = {
    "a statement": "import helpers\n",
    "a name": "from helpers import X\n",
    "a function": "def f():\n    from helpers import X\n",
    "a relative import": "from .helpers import X\n",
    "a relative name": "from . import helpers\n",
    "a guarded import": "try:\n    import helpers\nexcept ImportError:\n    helpers = None\n",
    "another module": "import between\n",
    "a package": "import package\n",
    "a module of a package": "from package.inner import X\n",
    "a folder without __init__": "from folder import module\n",
    "everything": "from folder import *\n",
    "a literal name": "import importlib\nx = importlib.import_module('helpers')\n",
    "a literal name of a package's module": "import importlib\nx = importlib.import_module('package.inner')\n",
    "a literal keyword": "from importlib import import_module\nx = import_module(name='helpers')\n",
    "a literal relative name": "import by_name\n",
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS)
def test_editing_a_local_module_changes_it(tmp_path: Path, text: str) -> None:
    path = written(
        tmp_path,
        {
            "rule.py": text,
            "helpers.py": "X = 1\n",
            "between.py": "def f():\n    import helpers\n",
            "package/__init__.py": "from .inner import X\n",
            "package/inner.py": "from .deep.deeper import X\n",
            "package/deep/deeper.py": "import helpers\n",
            "folder/module.py": "import helpers\n",
            "by_name/__init__.py": "from importlib import import_module\nx = import_module('.inner', __package__)\n",
            "by_name/inner.py": "import helpers\n",
        },
    )
    before = digest(path)
    written(tmp_path, {"helpers.py": "X = 1  # a comment\n"})
    assert digest(path) == before
    written(tmp_path, {"helpers.py": "X = 2\n"})
    assert digest(path) != before


def test_a_file_that_is_not_imported_does_not_change_it(tmp_path: Path) -> None:
    path = written(tmp_path, {"rule.py": "import helpers\n", "helpers.py": "X = 1\n", "study.py": "import rule\n"})
    before = digest(path)
    written(tmp_path, {"study.py": "import rule, helpers\n", "another.py": "1 / 0\n"})
    assert digest(path) == before


def test_its_place_and_the_name_of_the_file_do_not_change_it(tmp_path: Path) -> None:
    one = written(tmp_path / "a", {"rule.py": "import helpers\n", "helpers.py": "X = 1\n"})
    other = written(tmp_path / "b", {"renamed.py": "import helpers\n", "helpers.py": "X = 1\n"})
    assert digest(one) == digest(other)


def test_modules_that_swap_their_texts_change_it(tmp_path: Path) -> None:
    one = written(tmp_path / "a", {"rule.py": "import x, y\n", "x.py": "V = 1\n", "y.py": "V = 2\n"})
    other = written(tmp_path / "b", {"rule.py": "import x, y\n", "x.py": "V = 2\n", "y.py": "V = 1\n"})
    assert digest(one) != digest(other)


def test_modules_that_import_each_other_have_a_digest(tmp_path: Path) -> None:
    path = written(tmp_path, {"rule.py": "import x\n", "x.py": "import y\n", "y.py": "import x, rule\n"})
    assert len(digest(path)) == 12


def test_a_module_on_pythonpath_is_local_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "rules", {"rule.py": "from lab_of_a_test import X\n"})
    written(
        tmp_path / "shared", {"lab_of_a_test.py": "import lab_helper_of_a_test\n", "lab_helper_of_a_test.py": "X = 1\n"}
    )
    monkeypatch.syspath_prepend(tmp_path / "shared")
    before = digest(path)
    written(tmp_path / "shared", {"lab_helper_of_a_test.py": "X = 2\n"})
    assert digest(path) != before


def test_a_module_beside_the_file_does_not_hide_one_of_its_name_on_pythonpath(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the module on ``PYTHONPATH`` each import a ``utils_of_a_test`` of their own."""
    path = written(
        tmp_path / "rules", {"rule.py": "import utils_of_a_test, lab2_of_a_test\n", "utils_of_a_test.py": ""}
    )
    written(tmp_path / "shared", {"lab2_of_a_test.py": "import utils_of_a_test\n", "utils_of_a_test.py": "X = 1\n"})
    monkeypatch.syspath_prepend(tmp_path / "shared")
    before = digest(path)
    written(tmp_path / "shared", {"utils_of_a_test.py": "X = 2\n"})
    assert digest(path) != before


def test_import_module_looks_on_pythonpath_even_if_the_module_is_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from importlib import import_module\nX = import_module('named_of_a_test').X\n"
    path = written(tmp_path / "rules", {"rule.py": text, "named_of_a_test.py": "X = 0\n"})
    written(tmp_path / "shared", {"named_of_a_test.py": "X = 1\n"})
    monkeypatch.syspath_prepend(tmp_path / "shared")
    before = digest(path)
    written(tmp_path / "shared", {"named_of_a_test.py": "X = 2\n"})
    assert digest(path) != before


def test_all_modules_of_a_package_on_pythonpath_count_if_everything_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "rules", {"rule.py": "from star_of_a_test import *\n"})
    files = {"star_of_a_test/__init__.py": "__all__ = ['inner']\n", "star_of_a_test/inner.py": "X = 1\n"}
    written(tmp_path / "shared", files)
    monkeypatch.syspath_prepend(tmp_path / "shared")
    before = digest(path)
    written(tmp_path / "shared", {"star_of_a_test/inner.py": "X = 2\n"})
    assert digest(path) != before


def test_docstrings_count_if_a_module_reads_those_of_others(tmp_path: Path) -> None:
    rule = "from helpers import settings\n\nclass Mine:\n    'rate 1'\n\nX = settings(Mine)\n"
    path = written(tmp_path, {"rule.py": rule, "helpers.py": "def settings(kind):\n    return kind.__doc__\n"})
    before = digest(path)
    written(tmp_path, {"rule.py": f"# a comment\n{rule}"})
    assert digest(path) == before
    written(tmp_path, {"rule.py": rule.replace("rate 1", "rate 2")})
    assert digest(path) != before


def test_a_folder_that_the_file_itself_adds_to_the_path_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    add = f"import sys\nsys.path.append({str(tmp_path / 'shared')!r})\nfrom added_of_a_test import X\n\ndef f(): pass\n"
    path = written(tmp_path / "rules", {"rule.py": add})
    written(tmp_path / "shared", {"added_of_a_test.py": "X = 1\n"})
    before = source_of(f"{path}:f")
    written(tmp_path / "shared", {"added_of_a_test.py": "X = 2\n"})
    sys.modules.pop("added_of_a_test")  # as in a new process
    after = source_of(f"{path}:f")
    assert before is not None and after is not None and before.digest != after.digest


def test_installed_packages_are_named_and_not_read(tmp_path: Path) -> None:
    text = "import json, rich.table, no_such_package\nfrom scipy import stats\nimport torch\nimport nowt\n"
    source = read_source(written(tmp_path, {"rule.py": text}), tmp_path)
    assert source.packages == ("rich", "scipy")
    assert source.files == (tmp_path / "rule.py",)


def test_a_package_installed_later_gives_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_versions(("module_of_a_test",)) == {}
    text = "Metadata-Version: 2.1\nName: package-of-a-test\nVersion: 1.5\n"
    folder = "package_of_a_test-1.5.dist-info"
    written(tmp_path, {f"{folder}/METADATA": text, f"{folder}/top_level.txt": "module_of_a_test\n"})
    assert package_versions(("module_of_a_test",)) == {"package-of-a-test": "1.5"}


def test_a_virtual_environment_in_the_folder_is_not_local(tmp_path: Path) -> None:
    text = "import site_of_a_test\nimport lib\n"
    path = written(tmp_path, {"rule.py": text, "lib/site-packages/__init__.py": "", "lib/site-packages/x.py": ""})
    assert read_source(path, tmp_path).files == (path,)
