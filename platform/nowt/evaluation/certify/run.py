"""The certificate of a rule: every promise that mathematics makes about it, measured in seconds on small networks."""

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

from nowt.config.run_config import config_to_json
from nowt.config.run_key import certificate_name
from nowt.core.version import VERSION
from nowt.evaluation.certify.certificate import Certificate, Check, Findings, LeftOut
from nowt.evaluation.certify.conduct import check_conduct
from nowt.evaluation.certify.dead_fields import check_fields
from nowt.evaluation.certify.delta_angles import check_delta
from nowt.evaluation.certify.gradients import check_gradients
from nowt.evaluation.certify.initial_angles import check_start
from nowt.evaluation.certify.kolen_pollack import check_law
from nowt.evaluation.certify.locality import besides, check_locality, watch
from nowt.evaluation.certify.mirror import check_mirror
from nowt.evaluation.certify.reach import check_reach
from nowt.rules.base import Rule
from nowt.store.files import write_atomically
from nowt.store.layout import Store

FAMILIES: tuple[Callable[[Rule], Findings], ...] = (
    check_gradients,
    check_reach,
    check_conduct,
    check_law,
    check_mirror,
    check_start,
    check_delta,
    check_fields,
)


def certify(rule: Rule) -> Certificate:
    """Measure every promise that applies to ``rule``, on one thread; torch's globals are left as they were."""
    with torch.random.fork_rng(devices=[]), _one_thread():
        watched = watch(rule)
        found = [*check_locality(rule, watched), *(one for family in FAMILIES for one in family(rule))]
    settings = {name: value for name, value in config_to_json(rule).items() if name != "name"}
    return Certificate(
        rule=rule.name,
        source=rule.source,
        numerics=rule.numerics,
        fields=settings,
        transports=rule.transports,
        checks=tuple(one for one in found if isinstance(one, Check)),
        left_out=tuple(one for one in found if isinstance(one, LeftOut)),
        reads=watched.reads,
        besides=besides(rule, watched),
        versions={"nowt": VERSION, "torch": torch.__version__, "python": platform.python_version()},
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def certificate_path(store: Path, rule: Rule) -> Path:
    """Where a store keeps the certificate of ``rule`` with these fields."""
    return Store(store).certificates / certificate_name(rule)


def certify_into(store: Path, rule: Rule) -> Certificate:
    """Certify ``rule`` and write the certificate to its place in the store."""
    return _write(certify(rule), certificate_path(store, rule))


def certify_command(rules: list[Rule], out: Path | None) -> int:
    """``nowt certify``: print each rule's table and, with a folder ``out``, write its JSON there.

    0 where every promise held, else 1.
    """
    console = Console(highlight=False, soft_wrap=True)
    certificates = []
    for rule in rules:
        certificate = certify(rule)
        certificates.append(certificate)
        console.print(certificate.table(max(100, console.width)), markup=False)
        if out is not None:
            _write(certificate, out / certificate_name(rule))
            console.print(f"\nwritten to {out / certificate_name(rule)}\n", markup=False)
    return 0 if all(certificate.passed for certificate in certificates) else 1


def _write(certificate: Certificate, path: Path) -> Certificate:
    text = json.dumps(certificate.to_json(), indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text, durable=False)
    return certificate
