"""What is wrong with this installation, in plain words: one line a thing, fine or what to do."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from nowt.cluster.ray_token import read_by_others, token_path
from nowt.core.findings import Finding, findings
from nowt.store.files import nearest_existing, write_problem
from nowt.store.run_log import schema_problems

ROOM = 2e9  # bytes: a small study's checkpoints, Ray's own files and MLflow's database

BROKEN = (ImportError, OSError, RuntimeError, AttributeError)  # what importing half of a pair raises


def examine(store: Path, database_problems: Iterable[str] = ()) -> list[Finding]:
    """One finding per requirement of a study on this machine. ``database_problems`` are added to the store's."""
    return [
        *findings("Python", _python(), sys.version.split()[0]),
        *findings("packages", _packages("nowt"), "all of the versions that were tested"),
        *findings("Ray's dashboard", _packages("ray", "default"), "its packages are there"),
        *findings("torch and torchvision", _pair(), "they are a pair"),
        *findings("import platform", _shadow(), "gives Python's own module"),
        *_store(store, database_problems),
        *_gpus(),
        *findings("token", _token(), _token_words()),
    ]


def _python() -> Iterator[str]:
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        yield f"{sys.version.split()[0]}; nowt was tested with 3.11: make the environment with that"


def _packages(package: str, extra: str = "") -> Iterator[str]:
    for line in requires(package) or []:
        need = Requirement(line)
        if need.marker is not None and not need.marker.evaluate({"extra": extra}):
            continue
        try:
            found = version(need.name)
        except PackageNotFoundError:
            yield f"{need.name} is not installed: pip install '{_plain(need)}'"
            continue
        if not need.specifier.contains(found, prereleases=True):
            yield f"{need.name} is {found}, tested is {need.specifier}: pip install '{_plain(need)}'"


def _plain(need: Requirement) -> str:
    return str(need).partition(";")[0].strip()


def _pair() -> Iterator[str]:
    wrong = [problem for problem in _packages("torchvision") if problem.startswith("torch ")]
    yield from wrong
    if wrong:
        return
    try:
        importlib.import_module("torchvision")
    except BROKEN as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        yield f"torchvision cannot be imported ({reason}): install both again, from one source"


def _shadow() -> Iterator[str]:
    spec = importlib.util.find_spec("platform")
    if spec is None or spec.origin is None or "site-packages" in spec.origin or not spec.origin.endswith("platform.py"):
        yield "it does not give Python's own module: remove platform/__init__.py"


def _free(store: Path) -> int:
    return shutil.disk_usage(nearest_existing(store.resolve())).free


def _store(store: Path, problems: Iterable[str]) -> list[Finding]:
    """Whether it can be written, is of today's schemas, and has room."""
    if problem := write_problem(store):
        return [Finding("store", f"the store {store} cannot be written ({problem}): give another as --store", "WRONG")]
    return [
        *findings("store", [*schema_problems(store), *problems], f"{store} can be written, what is in it can be read"),
        *findings("disk", _disk(store), f"{_free(store) / 1e9:.0f} GB free"),
    ]


def _disk(store: Path) -> Iterator[str]:
    if _free(store) < ROOM:
        folder = nearest_existing(store.resolve())
        yield f"{folder} has {_free(store) / 1e9:.1f} GB free: a study needs about {ROOM / 1e9:.0f} GB"


def _gpus() -> list[Finding]:
    """A line on the GPUs and one on NCCL; each GPU is made to compute."""
    import torch

    if not torch.cuda.is_available():
        return findings("GPUs", _unseen(torch.version.cuda or "none"), "none: runs are on the CPU")
    try:
        for number in range(torch.cuda.device_count()):
            torch.ones(8, 8, device=f"cuda:{number}").matmul(torch.ones(8, 8, device=f"cuda:{number}")).sum().item()
    except RuntimeError as error:
        return [Finding("GPUs", f"one does not compute ({str(error).splitlines()[0]}): see nvidia-smi", "WRONG")]
    names = sorted({torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())})
    return [
        Finding("GPUs", f"{torch.cuda.device_count()} x {', '.join(names)}"),
        *findings("NCCL", _nccl(), "it adds up"),
    ]


def _unseen(cuda: str) -> Iterator[str]:
    if not shutil.which("nvidia-smi"):
        return
    seen = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=60)
    if seen.returncode == 0 and seen.stdout.strip():
        yield f"nvidia-smi sees one, torch does not: install a driver for CUDA {cuda}, or clear CUDA_VISIBLE_DEVICES"


def _nccl() -> Iterator[str]:
    import torch
    from torch.cuda import nccl

    if not torch.distributed.is_nccl_available():
        yield "this torch has none, so runs of several workers cannot use GPUs: install torch for CUDA"
        return
    ones = [torch.ones(4, device=f"cuda:{number}") for number in range(torch.cuda.device_count())]
    try:
        nccl.all_reduce(ones)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        yield f"the GPUs cannot add up ({str(error).splitlines()[0]}): NCCL_DEBUG=INFO tells more"
        return
    if any(one[0].item() != len(ones) for one in ones):
        yield "the GPUs add up to a wrong sum: do not train on several of them"


def _token() -> Iterator[str]:
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        yield f"RAY_AUTH_MODE is {os.environ['RAY_AUTH_MODE']}: unset it, or all who reach Ray's ports run code here"
    path = token_path()
    if path.exists() and read_by_others(path):
        yield f"others can read {path}: chmod 600 {path}"


def _token_words() -> str:
    return f"{token_path()} is its owner's alone" if token_path().exists() else "none yet; Ray makes one for itself"
