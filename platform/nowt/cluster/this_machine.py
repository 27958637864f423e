"""``nowt doctor``: checks this installation. Each finding states that a check passed or what to do."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from nowt.cluster.findings import Finding, findings
from nowt.cluster.ray_token import readable_by_others, token_path
from nowt.core.file_systems import network_file_system
from nowt.store.files import nearest_existing, write_problem
from nowt.store.run_log import schema_problems

MIN_FREE = 2e9  # bytes: checkpoints of a small study, Ray's own files and MLflow's database

IMPORT_ERRORS = (ImportError, OSError, RuntimeError, AttributeError)  # raised if torch and torchvision do not match


def check_machine(store: Path, database_problems: Iterable[str] = ()) -> list[Finding]:
    """Return one finding per requirement of a study on this machine. ``database_problems`` are added to the store's."""
    return [
        *findings("Python", _python(), sys.version.split()[0]),
        *findings("packages", _packages("nowt"), "all versions are the tested ones"),
        *findings("Ray's dashboard", _packages("ray", "default"), "its packages are installed"),
        *findings("torch and torchvision", _torch_and_torchvision(), "the versions match"),
        *findings("import platform", _platform_module(), "imports Python's own module"),
        *_store(store, database_problems),
        *_gpus(),
        *findings("token", _token(), _token_state()),
    ]


def _python() -> Iterator[str]:
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        yield f"{sys.version.split()[0]}; nowt is tested with 3.11: create the environment with that version"


def _packages(package: str, extra: str = "") -> Iterator[str]:
    for line in requires(package) or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement.name} is not installed: pip install '{_without_marker(requirement)}'"
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            fix = f"pip install '{_without_marker(requirement)}'"
            yield f"{requirement.name} is {found}, the tested version is {requirement.specifier}: {fix}"


def _without_marker(requirement: Requirement) -> str:
    return str(requirement).partition(";")[0].strip()


def _torch_and_torchvision() -> Iterator[str]:
    wrong = [problem for problem in _packages("torchvision") if problem.startswith("torch ")]
    yield from wrong
    if wrong:
        return
    try:
        importlib.import_module("torchvision")
    except IMPORT_ERRORS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        yield f"torchvision cannot be imported ({reason}): reinstall both from the same source"


def _platform_module() -> Iterator[str]:
    spec = importlib.util.find_spec("platform")
    if spec is None or spec.origin is None or "site-packages" in spec.origin or not spec.origin.endswith("platform.py"):
        yield "the folder platform/ shadows Python's module platform: remove platform/__init__.py"


def _free(store: Path) -> int:
    return shutil.disk_usage(nearest_existing(store.resolve())).free


def _store(store: Path, problems: Iterable[str]) -> list[Finding]:
    """Check that the store is writable, has the current schemas, and has enough space."""
    if problem := write_problem(store):
        return [Finding("store", f"the store {store} is not writable ({problem}): use another with --store", "failed")]
    state = f"{store} is writable and its files are readable" if store.is_dir() else f"{store} does not exist yet"
    if kind := network_file_system(store):
        state += f"; on {kind}, Optuna's database is used without a write-ahead log"
    return [
        *findings("store", [*schema_problems(store), *problems], state),
        *findings("disk", _disk(store), f"{_free(store) / 1e9:.0f} GB free"),
    ]


def _disk(store: Path) -> Iterator[str]:
    if _free(store) < MIN_FREE:
        folder = nearest_existing(store.resolve())
        yield f"{folder} has {_free(store) / 1e9:.1f} GB free: a study needs about {MIN_FREE / 1e9:.0f} GB"


def _gpus() -> list[Finding]:
    """Check the GPUs, each with a small computation, and NCCL."""
    import torch

    if not torch.cuda.is_available():
        return findings("GPUs", _undetected(torch.version.cuda or "none"), "none: runs use the CPU")
    try:
        for number in range(torch.cuda.device_count()):
            torch.ones(8, 8, device=f"cuda:{number}").matmul(torch.ones(8, 8, device=f"cuda:{number}")).sum().item()
    except RuntimeError as error:
        return [Finding("GPUs", f"a GPU fails to compute ({str(error).splitlines()[0]}): see nvidia-smi", "failed")]
    names = sorted({torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())})
    return [
        Finding("GPUs", f"{torch.cuda.device_count()} x {', '.join(names)}"),
        *findings("NCCL", _nccl(), "all-reduce works"),
    ]


def _undetected(cuda: str) -> Iterator[str]:
    if not shutil.which("nvidia-smi"):
        return
    seen = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=60)
    if seen.returncode == 0 and seen.stdout.strip():
        yield f"nvidia-smi finds a GPU, torch does not: install a driver for CUDA {cuda}, or clear CUDA_VISIBLE_DEVICES"


def _nccl() -> Iterator[str]:
    import torch
    from torch.cuda import nccl

    if not torch.distributed.is_nccl_available():
        yield "this build of torch has no NCCL, so runs with several workers cannot use GPUs: install torch for CUDA"
        return
    ones = [torch.ones(4, device=f"cuda:{number}") for number in range(torch.cuda.device_count())]
    try:
        nccl.all_reduce(ones)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        yield f"all-reduce fails ({str(error).splitlines()[0]}): set NCCL_DEBUG=INFO for details"
        return
    if any(one[0].item() != len(ones) for one in ones):
        yield "all-reduce returns a wrong sum: do not train on several GPUs"


def _token() -> Iterator[str]:
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        mode = os.environ["RAY_AUTH_MODE"]
        yield f"RAY_AUTH_MODE is {mode}: unset it; otherwise anyone who can reach Ray's ports can run code here"
    path = token_path()
    if path.exists() and readable_by_others(path):
        yield f"others can read {path}: run chmod 600 {path}"


def _token_state() -> str:
    return (
        f"{token_path()} is readable only by its owner"
        if token_path().exists()
        else "none yet; Ray creates one when needed"
    )
