"""The test modules that take longest. They start first, so that no lane of pytest-xdist waits for one at the end."""

from pathlib import Path

TESTS = Path(__file__).parents[1]

# in the order in which they start: modules that mostly wait, as for Ray, alternate with those that compute
LONG_MODULES = (
    "execution/ray_train/test_runner.py",
    "evaluation/certify/test_run.py",
    "faults/test_interrupts.py",
    "hosts/test_smoke.py",
    "studies/search/test_confirm.py",
    "faults/test_kills.py",
    "studies/search/test_run.py",
    "studies/test_ablation.py",
    "studies/search/test_simulated.py",
    "cluster/test_slurm.py",
    "config/test_recipes.py",
    "tracking/test_server.py",
    "training/test_resume.py",
    "studies/search/test_postgres.py",
    "docs/test_adding_a_study.py",
    "cluster/test_aws.py",
    "execution/ray_train/test_sharding.py",
    "cluster/test_doctor.py",
    "analysis/report/test_browser.py",
    "cluster/test_head.py",
    "training/test_checkpoint.py",
    "docs/test_readme.py",
    "tracking/test_ui.py",
    "docs/test_notebook.py",
)

_ORDER = {TESTS / name: number for number, name in enumerate(LONG_MODULES)}


def start_order(path: Path) -> int:
    """Return the place of a module among the long ones; all others follow, in their order."""
    return _ORDER.get(path, len(_ORDER))
