"""Runs the benchmarks of nowt beside its peers, and writes what they print into docs/performance.md.

    make bench                                        all of them, about an hour on two cores
    make bench IMAGES=FOLDER                          with image loading, from a folder of JPEG files
    python benchmarks/performance.py --only rules     one of them; the others stay as they are in the page

Run it on a machine that does nothing else. Each benchmark interleaves its peers in one process or in rotated rounds,
and states intervals or ranges of ratios.
"""

import argparse
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from textwrap import fill

ROOT = Path(__file__).parents[1]

PAGE = ROOT / "docs" / "performance.md"

HEAD = """# Performance

`make bench` measures what is below and writes this page. Ratios within one run count: machines differ, and are shared.
Times are those of a CPU; [scaling.md](scaling.md#on-your-gpus) describes the script for GPUs.
"""


@dataclass(frozen=True)
class Benchmark:
    """One section of the page.

    Attributes:
        title: Its title.
        command: The script and its arguments.
        text: What is measured, what must be reached, and what limits it.
    """

    title: str
    command: tuple[str, ...]
    text: str


BENCHMARKS = {
    "images": Benchmark(
        "Image loading",
        ("image_loading.py",),
        "Full-size JPEG files to normalized 224 px crops, on one core. The limit is 2.2 times the reference for files "
        "and 6 times for squares. Rows below the crop are not decoded, which is why it may exceed decoding as a whole.",
    ),
    "rules": Benchmark(
        "A training step under each rule",
        ("rule_cost.py", "--blocks", "6"),
        "The upper end of the interval counts; the row bp (again) is the error of measurement. The limits are 1.02 for "
        "fa, ss and kp, and 1.08 for wm with a mean angle of at most 10°. What remains is memory traffic: kp reads and "
        "writes B and its momentum, and wm does one more product with noise per mirror step.",
    ),
    "search": Benchmark(
        "A search on two cores",
        ("trial_overhead.py",),
        "The time from the first training to the last, beside Ray Tune and plain Optuna. Two processes that share "
        "nothing are the best that two cores can do.",
    ),
    "quality": Benchmark(
        "Search quality",
        ("search_quality.py",),
        "Regret in percentage points of validation error after 25, 50 and 100 % of the budget, which counts epochs, on "
        "recorded trials of five rules. Medians over 20 repeats with 95 % bootstrap intervals, and differences to nowt "
        "paired by repeat. Syne Tune's ASHA is measured where it is installed.",
    ),
    "engine": Benchmark(
        "The study engine as a store grows",
        ("engine_scale.py", "--trials", "628", "--epochs", "10"),
        "Simulated trials, so that all time is the engine's. The limit is 1 % of trials that take a minute.",
    ),
    "driver": Benchmark(
        "The driver of a large study",
        ("study_driver.py",),
        "Simulated runs that report the layers of a ResNet-50. The limits are 300 MB over 1,000 runs of 90 epochs, and "
        "3 s until the first of 5,000 planned runs begins. MLflow, certificates, imports and Ray are left out.",
    ),
    "memory": Benchmark(
        "The memory of a process that trains several runs",
        ("process_memory.py",),
        "Runs of ResNet-18 with 200 classes, as in a reused Ray worker, five rules in turn. The resident memory must "
        "not grow after the first two runs.",
    ),
    "reading": Benchmark(
        "Reading 500 runs for a report",
        ("report_read.py",),
        "Beside MLflow's client. The limits are 10 s for the first reading and 1 s for 1 % more data.",
    ),
}


def run(benchmark: Benchmark, more: list[str]) -> str:
    """Run one script; return its output. Raises CalledProcessError if it fails."""
    command = [sys.executable, str(ROOT / "benchmarks" / benchmark.command[0]), *more, *benchmark.command[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment, cwd=ROOT)
    return done.stdout.rstrip()


def section(name: str, benchmark: Benchmark, output: str) -> str:
    """Return a section of the page."""
    written = output if output.lstrip().startswith("|") else f"```\n{output}\n```"
    command = " ".join(benchmark.command)
    cores = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    stated = f"`benchmarks/{command}`, {date.today():%Y-%m-%d}, {cores}."
    return f"<!-- {name} -->\n## {benchmark.title}\n\n{fill(f'{benchmark.text} {stated}', 119)}\n\n{written}\n"


def sections_of(page: Path) -> dict[str, str]:
    """Return the sections that a page has, by name."""
    parts = page.read_text(encoding="utf-8").split("<!-- ")[1:] if page.exists() else []
    return {part.partition(" -->")[0]: f"<!-- {part.rstrip()}\n" for part in parts}


def main() -> None:
    """Run the benchmarks, and write the page after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="those to run (default: all)")
    parser.add_argument("--images", default="", help="folder of JPEG files; without it, image loading is left out")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page (default: docs/performance.md)")
    args = parser.parse_args()
    found = sections_of(args.page)
    for name in args.only or BENCHMARKS:
        if name == "images" and not args.images:
            print("image loading is left out: give a folder of JPEG files with IMAGES=FOLDER", file=sys.stderr)
            continue
        benchmark = BENCHMARKS[name]
        print(f"{benchmark.title} ...", file=sys.stderr, flush=True)
        found[name] = section(name, benchmark, run(benchmark, [args.images] if name == "images" else []))
        args.page.write_text("\n".join([HEAD, *(found[key] for key in BENCHMARKS if key in found)]), encoding="utf-8")


if __name__ == "__main__":
    main()
