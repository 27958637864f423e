"""The test modules that take long. `make test-fast` leaves them out.

The longest ones start first, so that no lane of pytest-xdist waits for one at the end.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]

# the longest ones, in the order in which they start: modules that mostly wait, as for Ray, alternate with others
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

# the others that take more than five seconds
OTHERS = (
    "analysis/frames/test_store.py",
    "analysis/report/test_search.py",
    "analysis/report/test_study.py",
    "analysis/stats/test_claim.py",
    "benchmarks/test_gpu_check.py",
    "benchmarks/test_processes.py",
    "benchmarks/test_search_quality.py",
    "data/test_stream_split.py",
    "evaluation/certify/test_grades.py",
    "evaluation/certify/test_verdict.py",
    "evaluation/honest/test_honest.py",
    "execution/test_slots.py",
    "layers/test_attach.py",
    "layers/test_layers.py",
    "models/test_batch_norm.py",
    "models/test_registry.py",
    "security/test_databases.py",
    "security/test_property.py",
    "store/sync/test_backup.py",
    "store/sync/test_checkpoint_bucket.py",
    "store/sync/test_merge.py",
    "studies/planning/test_advice.py",
    "studies/planning/test_estimate.py",
    "studies/planning/test_search_estimate.py",
    "studies/search/test_merge_trials.py",
    "studies/search/test_pick_seeds.py",
    "studies/test_superseded.py",
    "studies/upgrade/test_run.py",
    "test_golden.py",
    "test_public_api.py",
    "tracking/test_recorder.py",
    "tracking/test_refresh.py",
    "training/test_audit.py",
    "training/test_loop.py",
    "training/test_retention.py",
    "training/test_synchronization.py",
)

_ORDER = {TESTS / name: number for number, name in enumerate(LONG_MODULES)}

_OTHERS = {TESTS / name for name in OTHERS}


def start_order(path: Path) -> int:
    """Return the place of a module among the long ones; all others follow, in their order."""
    return _ORDER.get(path, len(_ORDER))


def is_long(path: Path) -> bool:
    """Return whether `make test-fast` leaves a module out."""
    return path in _ORDER or path in _OTHERS
