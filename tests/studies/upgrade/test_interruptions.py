"""An upgrade that was interrupted at any step is completed by the next one, and nothing is lost."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nowt.config.run_config import config_from_json
from nowt.config.run_key import run_key
from nowt.store.layout import Store
from nowt.store.run_log import read_all
from nowt.studies.upgrade import run as upgrade_module
from tests.support.earlier_store import by_model_rule_seed, files, upgraded

STEPS = (
    "write_logs",
    "move_checkpoints",
    "rewrite_study_files",
    "rewrite_probe_results",
    "set_logs_aside",
    "remove_journal",
)


@contextmanager
def killed(step: str, before: bool) -> Iterator[None]:
    """Within the block, the upgrade ends before or after this step, as if the process were killed."""
    act: Callable[..., object] = getattr(upgrade_module, step)

    def stop(*arguments: object) -> None:
        if not before:
            act(*arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upgrade_module, step, stop)
        yield


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_upgrade_is_completed_by_the_next(earlier: Path, step: str) -> None:
    whole = Path(shutil.copytree(earlier, earlier.parent / "whole"))
    upgraded(whole)
    with killed(step, before=step == "remove_journal"), pytest.raises(KeyboardInterrupt):
        upgraded(earlier)
    assert len(list(read_all(earlier))) >= 11
    lines = upgraded(earlier)
    assert lines[0] == "an upgrade of 9 runs was interrupted and is completed"
    assert lines[1] == "runs: 0 runs upgraded, 2 not upgraded, 9 of this version already"
    assert files(earlier) == files(whole)


def test_a_run_that_was_trained_again_after_an_interruption_keeps_both_logs(earlier: Path) -> None:
    with killed("write_logs", before=True), pytest.raises(KeyboardInterrupt):
        upgraded(earlier)
    [bp, *_] = [run for name, run in by_model_rule_seed(earlier).items() if name.startswith("tiny_resnet bp")]
    key = run_key(config_from_json(bp.start["config"]), bp.start["fingerprint"])
    text = Store(earlier).log(bp.key).read_text().replace('"val_loss": ', '"val_loss": 9')
    Store(earlier).log(key).write_text(text.replace(f'"key": "{bp.key}"', f'"key": "{key}"'))
    lines = upgraded(earlier)
    assert any(line.endswith(f"it was trained again as run {key}") for line in lines)
    assert Store(earlier).log(bp.key).exists() and "9" in Store(earlier).log(key).read_text()
