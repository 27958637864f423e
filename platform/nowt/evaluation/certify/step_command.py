"""``nowt certify MODULE --step FUNCTION``."""

import re
from pathlib import Path

from rich.console import Console

from nowt.evaluation.certify.training_step import certify_step
from nowt.store.files import write_atomically
from nowt.store.jsonl import json_text


def certify_step_command(module: str, function: str, out: Path | None) -> int:
    """Print what the null-space test finds in the step that ``function`` of ``module`` builds; with ``out``, write it
    as JSON into that folder. Return 0 if it finds no read of W, otherwise 1."""
    certificate = certify_step(f"{module}:{function}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(certificate.table(max(100, console.width)), markup=False)
    if out is not None:
        name = re.sub(r"\W", "_", f"{Path(module).stem}_{function}")
        text = json_text(certificate.to_json(), indent=2, ensure_ascii=False) + "\n"
        write_atomically(out / f"step-{name}.json", text, durable=True)
        console.print(f"\nwritten to {out / f'step-{name}.json'}", markup=False)
    return 0 if certificate.passed else 1
