"""Options and what they name (stores, images, rules): unusable ones are refused in one line, and nothing is started."""

import os
from pathlib import Path

import pytest

from nowt.cli.main import main, parse
from nowt.cli.options import placement
from nowt.core.errors import ConfigError
from nowt.store.run_log import read_all
from tests.support.small_spaces import write_space
from tests.support.small_studies import BROKEN, OWN, write_study
from tests.support.synthetic_images import image_folder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(command: str, code: int, capsys: Captured) -> str:
    """The line that is printed for a mistake."""
    assert main(command.split()) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("nowt: ") and err.count("\n") == 1, err
    return err


LATIN_1 = os.fsdecode(b"dos\xe9")  # a folder of a disk that once used Latin-1


@pytest.mark.parametrize(
    "command", ["train digits", "ablate rules_on_digits", "search backprop", "report digits", "runs", "ui", "rebuild"]
)
@pytest.mark.parametrize("place", ["below", "link", "working folder"])
def test_a_store_whose_path_is_not_utf_8_is_refused(
    command: str, place: str, here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / LATIN_1).mkdir()
    (here / "link").symlink_to(LATIN_1)
    if place == "working folder":
        monkeypatch.chdir(here / LATIN_1)
    store = {"below": ["--store", f"{LATIN_1}/s"], "link": ["--store=link/s"], "working folder": []}[place]
    assert main([*command.split(), *store]) == 2
    error = capsys.readouterr().err
    assert error.startswith("nowt: --store") and error.count("\n") == 1
    assert "dos\\udce9" in error and "is not UTF-8: rename it, or" in error
    assert not any((here / LATIN_1).iterdir())


@pytest.mark.parametrize("command", ["ablate", "plan", "search", "train", "certify"])
def test_a_custom_file_whose_path_is_not_utf_8_is_refused(command: str, here: Path, capsys: Captured) -> None:
    (here / LATIN_1).mkdir()
    file = here / LATIN_1 / "mine.py"
    file.write_text(MINE)
    spec = f"{LATIN_1}/mine.py:study" if command == "train" else f"{LATIN_1}/mine.py"
    assert main([command, spec]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "mine.py' is not UTF-8: rename it, or" in error, error


@pytest.mark.parametrize("command", ["train digits", "ablate rules_on_digits", "plan rules_on_digits", "certify fa"])
def test_a_store_that_cannot_be_written_is_refused(command: str, here: Path, capsys: Captured) -> None:
    (here / "afile").touch()
    for store in ("afile", "afile/below", "/proc/nope"):
        message = refusal(f"{command} --store {store}", 2, capsys)
        assert "--store is" in message and ("afile is a file" in message or "/proc is not writable" in message)
    assert [path.name for path in here.iterdir()] == ["afile"]


def test_certify_names_the_option_of_the_folder_that_cannot_be_written(here: Path, capsys: Captured) -> None:
    (here / "afile").touch()
    assert "--out is 'afile'" in refusal("certify fa --out afile", 2, capsys)


def test_any_other_problem_with_a_file_is_reported_in_one_line(here: Path, capsys: Captured) -> None:
    (here / "afile").touch()
    (here / "logs").mkdir()
    (here / "logs" / "0123456789ab.jsonl").mkdir()
    assert "is not a file: move it out of the store" in refusal("runs --store .", 2, capsys)
    with pytest.raises(ConfigError):
        main(["runs", "--store", ".", "--debug"])


MINE = """
from nowt.config.recipes import digits
from nowt import SearchCell, Range, SearchSpace


def no_rule():
    return digits()


def nothing(rule=None):
    pass


def space():
    return SearchSpace("s", "?", (SearchCell("bp", digits(), (Range("optim.lr", 0.1),)),), 1)


def study():
    return nothing
"""


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("search mine.py", "mine.py failed: TypeError: Range.__init__() missing 1 required positional argument"),
        ("search mine.py:nothing", "mine.py:nothing returned a NoneType: it must return a nowt SearchSpace"),
        ("ablate mine.py", "mine.py returned a function: it must return a nowt Study"),
        ("search backprop --recipe mine.py:no_rule", "mine.py:no_rule failed: TypeError: no_rule() takes 0 positional"),
        ("search backprop --recipe mine.py:nothing", "mine.py:nothing returned a NoneType: it must return a nowt RunC"),
        ("train mine.py:MINE", "mine.py defines no 'MINE'"),
        ("train mine.py:nothing", "mine.py:nothing returned a NoneType: it must return a nowt RunConfig"),
    ],
)
def test_a_mistake_in_a_custom_function_is_reported_in_one_line(
    command: str, message: str, here: Path, capsys: Captured
) -> None:
    (here / "mine.py").write_text(MINE)
    assert message in refusal(command, 2, capsys)
    assert not (here / "runs" / "studies").exists()


def test_a_batch_that_workers_cannot_share_is_refused_before_the_search(here: Path, capsys: Captured) -> None:
    write_space(here, "(part('bp', Range('batch', 16, 64, log=True, integer=True)),)")
    assert "it must be a multiple of the number of workers, which is 2" in refusal(
        "search ./small.py --workers 2", 2, capsys
    )
    assert not (here / "runs" / "studies").exists()


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_study_files_line_that_lists_no_run_is_named_with_its_file(here: Path, capsys: Captured) -> None:
    write_space(here, "(part('bp'),)", "Budget(1)")
    assert main(["search", "./small.py", "--in-process"]) == 0
    capsys.readouterr()
    (lines,) = (here / "runs" / "studies").glob("*.runs.jsonl")
    for line in ("{}", "not JSON", "[]"):
        lines.write_text(f"{line}\n")
        assert ".runs.jsonl, line 1 lists no run (" in refusal("runs --study small", 2, capsys)


def test_doctor_reports_a_store_that_cannot_be_written(capsys: Captured) -> None:
    assert main(["doctor", "--store", "/proc"]) == 1
    message = capsys.readouterr().out
    assert "the store /proc is not writable" in message and "GB free" not in message


def test_a_rule_that_raises_while_it_is_certified_is_reported(here: Path, capsys: Captured) -> None:
    (here / "mine.py").write_text(BROKEN.replace("== 5", ">= 0"))
    message = refusal("certify ./mine.py", 1, capsys)
    place = f"./mine.py raised RuntimeError at {here / 'mine.py'}:"
    assert place in message and ": no such layer [/dense] (--debug shows the traceback)" in message


@pytest.mark.parametrize("command", ["train digits", "ablate rules_on_digits --in-process"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--batch 100000",
            "batch is 100000: it must be at most 5176, the number of images per epoch (1294 training images, 4",
        ),
        ("--data.repeat 1 --batch 1295", "at most 1294, the number of images per epoch (1294 training images)"),
        ("--probe.samples 100000", "probe.samples is 100000: it must be at most 1294, the number of training images"),
        ("--loaders -1", "--loaders is -1: it must be at least 0"),
        ("--loaders many", "--loaders: invalid int value: 'many'"),
        ("--checkpoint-seconds -1", "--checkpoint-seconds is -1.0: it must be at least 0"),
        ("--checkpoint-seconds nan", "--checkpoint-seconds is nan: it must be at least 0"),
        ("--data-dir images", "a data folder is given ('images'), but digits needs none: omit it"),
        ("--data.on_bad skip", "digits has none: it is for folder, imagenet, cifar10"),
    ],
)
def test_what_cannot_run_is_refused_before_it_starts(
    command: str, options: str, message: str, here: Path, capsys: Captured
) -> None:
    assert message in refusal(f"{command} {options}", 2, capsys)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        "train digits --optim.lr 0.1 --optim.lr=0.2",
        "ablate rules_on_digits --seeds 1 --seeds 2",
        "train digits --rule kp --rule fa",
    ],
)
def test_an_option_given_twice_is_refused(command: str, capsys: Captured) -> None:
    assert "is given 2 times; give it once" in refusal(command, 2, capsys)


def test_loaders_and_checkpoint_seconds_reach_the_run() -> None:
    where = placement(parse(["train", "digits", "--loaders", "0", "--checkpoint-seconds", "2.5"]))
    assert (where.loaders, where.checkpoint_seconds) == (0, 2.5)


FOLDER = "--data.name folder --data.size 8 --data.on_bad skip --data-dir images --batch 4 --epochs 1"

FOLDER += " --probe.samples 4 --data.augment none --data.noise 0 --data.train_limit none --data.repeat 1"


def test_images_that_are_left_out_are_reported_once_and_shown(here: Path, capsys: Captured) -> None:
    root = image_folder(here / "images")
    for name in ("train/cat/001.jpg", "val/dog/002.jpg"):
        (root / name).write_bytes((root / name).read_bytes()[:200])
    assert main(f"train digits {FOLDER}".split()) == 0
    line = "2 images left out: train/cat/001.jpg, val/dog/002.jpg\n"
    assert capsys.readouterr().out.count(line) == 1
    [run] = read_all(here / "runs")
    assert main(["show", run.key]) == 0
    assert line in capsys.readouterr().out


def test_a_study_reports_the_images_it_leaves_out(here: Path, capsys: Captured) -> None:
    root = image_folder(here / "images")
    (root / "train/cat/001.jpg").write_bytes(b"no picture")
    (here / "mine.py").write_text(OWN)  # a custom rule is not certified before the study
    write_study(here, '{"mine": small("./mine.py")}')
    assert main(f"ablate ./small.py --in-process {FOLDER}".split()) == 0
    assert capsys.readouterr().out.count("1 image left out: train/cat/001.jpg\n") == 1
