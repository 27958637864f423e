"""A custom file imports the modules in its folder, whatever the working folder is and other folders contain."""

import importlib
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.core.plugins import absolute_spec, load_module, load_object, source_of
from tests.core.test_source_hash import written

WAYS = {
    "a name": "from helpers import X\n",
    "a module": "import helpers\nX = helpers.X\n",
    "a relative name": "from .helpers import X\n",
    "a relative module": "from . import helpers\nX = helpers.X\n",
    "a package": "import package.inner\nX = package.inner.X\n",
    "a package's name": "from package import X\n",
    "a package under a name": "import package.inner as inner\nX = inner.X\n",
    "a folder without __init__": "from folder.module import X\n",
}

MODULES = {
    "helpers.py": "X = {}\n",
    "package/__init__.py": "from .inner import X\n",
    "package/inner.py": "import helpers\nfrom package.other import Y\nX = helpers.X\n",
    "package/other.py": "from . import inner\nY = 1\n",
    "folder/module.py": "from helpers import X\n",
}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_each_file_imports_from_its_own_folder(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders have modules of the same names; the working folder is the other one."""
    for number, folder in enumerate(("a", "b")):
        modules = {name: source.replace("{}", str(number)) for name, source in MODULES.items()}
        written(tmp_path / folder, {"mine.py": text, **modules})
    monkeypatch.chdir(tmp_path / "b")
    before = [*sys.path]
    assert (load_object(f"{tmp_path}/a/mine.py:X"), load_object(f"{tmp_path}/b/mine.py:X")) == (0, 1)
    assert sys.path == before
    assert not {"helpers", "package", "folder", "mine"} & sys.modules.keys()


def test_an_import_inside_a_function_comes_from_the_files_folder_too(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        text = "def late():\n    from helpers import X\n    return X\n"
        written(tmp_path / folder, {"mine.py": text, "helpers.py": f"X = {folder!r}\n"})
    one, other = (load_object(f"{tmp_path}/{folder}/mine.py:late") for folder in ("a", "b"))
    assert (one(), other(), one()) == ("a", "b", "a")


def test_a_module_is_one_object_for_all_files_of_its_folder(tmp_path: Path) -> None:
    text = "from helpers import Thing\n"
    written(tmp_path, {"one.py": text, "other.py": text, "helpers.py": "class Thing:\n    pass\n"})
    one, other, own = (load_object(f"{tmp_path}/{name}.py:Thing") for name in ("one", "other", "helpers"))
    assert one is other is own
    assert type(pickle.loads(pickle.dumps(one()))) is one


def test_a_file_is_loaded_again_when_a_module_that_it_imports_is_edited(tmp_path: Path) -> None:
    path = written(tmp_path, {"mine.py": "from package.inner import X\n", "package/inner.py": "X = 1\n"})
    assert load_module(path).X == 1
    written(tmp_path, {"package/inner.py": "X = 2\n"})  # the same size, within the same second
    assert load_module(path).X == 2


def test_the_standard_library_and_nowt_come_first(tmp_path: Path) -> None:
    files = {"mine.py": "import json, nowt\nX = json.loads('1')\n", "json.py": "1 / 0\n", "nowt.py": "1 / 0\n"}
    assert load_module(written(tmp_path, files)).X == 1


def test_a_file_called_like_a_package_can_import_the_package(tmp_path: Path) -> None:
    path = written(tmp_path, {"rich.py": "from rich.table import Table\n"})
    assert load_module(path).Table.__module__ == "rich.table"


def test_a_folder_called_like_a_package_does_not_hide_it(tmp_path: Path) -> None:
    path = written(tmp_path, {"mine.py": "from rich.table import Table\n", "rich/notes.py": "X = 1\n"})
    assert load_module(path).Table.__module__ == "rich.table"


def test_modules_that_import_each_other_are_loaded(tmp_path: Path) -> None:
    path = written(tmp_path, {"a.py": "import b\nX = 1\n", "b.py": "import a\ndef get():\n    return a.X\n"})
    assert load_module(path).b.get() == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import missing_module\n", "ModuleNotFoundError: No module named 'missing_module'"),
        ("import package.missing\n", "ModuleNotFoundError: No module named 'package.missing'"),
        ("from . import missing\n", "ModuleNotFoundError: No module named 'missing' in {folder}"),
        ("from .. import above\n", "ImportError: relative import beyond the folder {folder}"),
        ("import broken\n", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_import_that_fails_is_reported_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    path = written(tmp_path, {"mine.py": text, "package/__init__.py": "", "broken.py": "1 / 0\n"})
    with pytest.raises(ConfigError) as caught:
        load_module(path)
    assert str(caught.value) == f"{path} cannot be imported: {problem.format(folder=tmp_path)}"


def test_an_optional_import_may_fail(tmp_path: Path) -> None:
    text = "try:\n    import missing_module\nexcept ImportError:\n    missing_module = None\n"
    assert load_module(written(tmp_path, {"mine.py": text})).missing_module is None


def test_a_relative_path_in_a_file_is_relative_to_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from nowt.core.plugins import absolute_spec\n\ndef named():\n    return absolute_spec('./net.py:f')\n"
    path = written(tmp_path / "lab", {"study.py": text})
    monkeypatch.chdir(tmp_path)
    assert load_object(f"{path}:named")() == f"{tmp_path}/lab/net.py:f"
    assert absolute_spec("net.py:f") == f"{tmp_path}/net.py:f"
    assert absolute_spec("tiny_resnet") == "tiny_resnet"
    assert absolute_spec("package.module:f") == "package.module:f"


def test_a_script_may_start_threads_and_processes_that_use_the_module(tmp_path: Path) -> None:
    """Nothing that is loaded changes ``__import__`` for other modules."""
    written(tmp_path, {"mine.py": "import helpers\n", "helpers.py": "X = 1\n"})
    code = (
        "from pathlib import Path\nfrom nowt.core.plugins import load_module\n"
        f"load_module(Path({str(tmp_path / 'mine.py')!r}))\n"
        "try:\n    import helpers\nexcept ModuleNotFoundError:\n    print('not found')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert run.stdout == "not found\n"


def test_a_module_that_was_edited_before_its_first_import_is_refused(tmp_path: Path) -> None:
    """The text that was hashed is the text that runs; a module that is in use stays as it is."""
    text = "def one():\n    import first\n    return first.X\n\ndef two():\n    import second\n    return second.X\n"
    module = load_module(written(tmp_path, {"mine.py": text, "first.py": "X = 1\n", "second.py": "X = 1\n"}))
    assert module.one() == 1
    written(tmp_path, {"first.py": "X = 2\n", "second.py": "X = 2\n"})
    assert module.one() == 1
    with pytest.raises(ImportError, match=r"mine\.py or a module that it imports has changed since it was loaded"):
        module.two()
    assert load_module(tmp_path / "mine.py").two() == 2


def test_a_module_that_only_a_packages_module_imports_is_watched_too(tmp_path: Path) -> None:
    text = "from package import inner\n"
    inner = "def late():\n    import helpers\n    return helpers.X\n"
    files = {"mine.py": text, "package/__init__.py": "", "package/inner.py": inner, "helpers.py": "X = 1\n"}
    module = load_module(written(tmp_path, files))
    written(tmp_path, {"helpers.py": "X = 2\n"})
    with pytest.raises(ImportError, match=r"__init__\.py or a module that it imports has changed since it was loaded"):
        module.inner.late()
    assert load_module(tmp_path / "mine.py").inner.late() == 2


def test_a_module_of_a_package_that_was_edited_before_its_first_import_is_refused(tmp_path: Path) -> None:
    text = "import package\ndef late():\n    from package.inner import X\n    return X\n"
    files = {"mine.py": text, "package/__init__.py": "", "package/inner.py": "X = 1\n"}
    module = load_module(written(tmp_path, files))
    written(tmp_path, {"package/inner.py": "X = 2\n"})
    with pytest.raises(ImportError, match=r"__init__\.py or a module that it imports has changed since it was loaded"):
        module.late()
    assert load_module(tmp_path / "mine.py").late() == 2


def test_a_module_on_pythonpath_that_was_edited_before_its_first_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "def late():\n    from late_of_a_test import X\n    return X\n\ndef other():\n    import wave\n"
    path = written(tmp_path / "rules", {"mine.py": text})
    written(tmp_path / "shared", {"late_of_a_test.py": "X = 1\n"})
    monkeypatch.syspath_prepend(tmp_path / "shared")
    module = load_module(path)
    written(tmp_path / "shared", {"late_of_a_test.py": "X = 2\n"})
    module.other()  # what was not hashed may be imported at any time
    with pytest.raises(ImportError, match=r"mine\.py or a module that it imports has changed since it was loaded"):
        module.late()


def test_a_file_that_extends_the_path_imports_from_its_folder_and_from_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    head = "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))\n"
    text = f"{head}from helpers import X\nfrom common_of_a_test import Y\nclass Thing:\n    pass\n"
    path = written(tmp_path / "rules", {"mine.py": text, "helpers.py": "X = 1\n"})
    written(tmp_path, {"common_of_a_test.py": "Y = 2\n"})
    module = load_module(path)
    assert (module.X, module.Y) == (1, 2)
    assert load_module(path) is module


def test_an_edited_module_on_pythonpath_is_refused_until_python_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module that is in use would have the key of the edited one."""
    path = written(tmp_path / "rules", {"mine.py": "from used_of_a_test import X\ndef f(): pass\n"})
    used = written(tmp_path / "shared", {"used_of_a_test.py": "X = 1\ndef f(): pass\n"})
    monkeypatch.syspath_prepend(tmp_path / "shared")
    for spec in (f"{path}:f", "used_of_a_test:f"):
        written(tmp_path / "shared", {"used_of_a_test.py": "X = 1\ndef f(): pass\n"})
        assert source_of(spec) is not None
        used.write_text(f"# a comment\n{used.read_text()}")
        assert source_of(spec) is not None
        used.write_text("X = 2\ndef f(): pass\n")
        with pytest.raises(
            ConfigError, match=r"used_of_a_test\.py has changed since used_of_a_test was imported: start"
        ):
            source_of(spec)
    importlib.reload(sys.modules["used_of_a_test"])
    assert source_of("used_of_a_test:f") is not None


def loaded_by_threads(*specs: str) -> list[object]:
    """The objects that threads load at the same time, one thread for each spec."""
    with ThreadPoolExecutor(len(specs)) as pool:
        return [*pool.map(load_object, specs)]


def test_a_file_that_another_thread_is_loading_is_waited_for(tmp_path: Path) -> None:
    slow = {"mine.py": "from helpers import X\n", "helpers.py": "import time\ntime.sleep(0.1)\nX = object()\n"}
    path = written(tmp_path, slow)
    assert len({id(each) for each in loaded_by_threads(*[f"{path}:X"] * 4)}) == 1


def test_threads_that_load_from_two_folders_get_the_modules_of_their_own(tmp_path: Path) -> None:
    for folder in "ab":
        text = f"import time\ntime.sleep(0.1)\nX = {folder!r}\n"
        written(tmp_path / folder, {"mine.py": "from package.helpers import X\n", "package/helpers.py": text})
    found = loaded_by_threads(*[f"{tmp_path / folder}/mine.py:X" for folder in "abab"])
    assert found == ["a", "b", "a", "b"]


def test_threads_that_load_modules_which_import_each_other_do_not_wait_for_ever(tmp_path: Path) -> None:
    text = "import time\ntime.sleep(0.1)\nimport {}\nX = 1\n"
    written(tmp_path, {"a.py": text.format("b"), "b.py": text.format("a")})
    assert loaded_by_threads(f"{tmp_path}/a.py:X", f"{tmp_path}/b.py:X") == [1, 1]


def test_a_file_that_failed_in_another_thread_fails_in_each(tmp_path: Path) -> None:
    path = written(tmp_path, {"mine.py": "import time\ntime.sleep(0.1)\n1 / 0\n"})
    before = [*sys.modules]
    with ThreadPoolExecutor(4) as pool:
        failures = [future.exception() for future in [pool.submit(load_module, path) for _ in range(4)]]
    assert [str(each) for each in failures] == [f"{path} cannot be imported: ZeroDivisionError: division by zero"] * 4
    assert not [name for name in sys.modules if name not in before and name.startswith("nowt_own_")]
