"""Certifies rules: every promise that applies to a rule, measured in seconds on small networks."""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from nowt.config.certificate_key import certificate_name, rule_code
from nowt.config.run_config import config_to_json
from nowt.core.version import VERSION
from nowt.evaluation.certify.affected_gradients import check_affected_gradients
from nowt.evaluation.certify.arriving_errors import check_arriving_errors, starts_from_weight
from nowt.evaluation.certify.certificate import (
    NO_GRADE,
    Certificate,
    Check,
    CheckResults,
    SkippedCheck,
    reads_undeclared,
)
from nowt.evaluation.certify.delta_angles import check_delta
from nowt.evaluation.certify.feedback_updates import check_feedback_updates
from nowt.evaluation.certify.grades import check_grade, grade
from nowt.evaluation.certify.gradients import check_gradients
from nowt.evaluation.certify.initial_feedback import check_initial_feedback
from nowt.evaluation.certify.kolen_pollack import check_decay_law
from nowt.evaluation.certify.learning_law import check_learning_law
from nowt.evaluation.certify.locality import check_locality, other_transport, reads_out, trace_reads
from nowt.evaluation.certify.measuring import check_measuring
from nowt.evaluation.certify.mirror import check_mirror
from nowt.evaluation.certify.null_space import check_null_space
from nowt.evaluation.certify.poisoning import check_poisoning
from nowt.evaluation.certify.resumed import check_resumed
from nowt.evaluation.certify.sent_errors import check_sent_errors
from nowt.evaluation.certify.two_workers import check_two_workers
from nowt.evaluation.certify.unused_fields import check_fields
from nowt.rules.base import Rule
from nowt.rules.registry import require_rule
from nowt.store.files import write_atomically
from nowt.store.jsonl import json_text
from nowt.store.layout import Store
from nowt.store.links import check_links

CHECKS: tuple[Callable[[Rule], CheckResults], ...] = (
    check_null_space,
    check_poisoning,
    check_arriving_errors,
    check_gradients,
    check_affected_gradients,
    check_feedback_updates,
    check_decay_law,
    check_mirror,
    check_initial_feedback,
    check_delta,
    check_sent_errors,
    check_resumed,
    check_measuring,
    check_two_workers,
    check_learning_law,
    check_fields,
)


def certify(rule: Rule) -> Certificate:
    """Check a learning rule against every promise that applies to it.

    The certificate claims that, on a small residual network on the CPU (two input channels, seven layers, float32, 32
    training steps), no torch operation read a weight W other than its layer's forward map, its mirror map and its own
    optimizer update; that on a wide network (float64), B, the rule's state and all gradients stay the same when every W
    changes where no activity shows it, however the rule might have read W; that on the small network they are the same
    bit for bit when the memory of W holds garbage outside of these maps and this update, and when the rule is prepared
    on another W; and that the laws of the rule's feedback B hold within the stated bounds. These laws are: with
    B := W every gradient is autograd's; B affects only the gradients of the layers below; B changes only by its
    declared update; W − B decays as Kolen and Pollack state; mirror mode converges to a multiple of W; the initial
    angle, and the δ product rule; every field has an effect. The error that a layer sends back follows this step's
    error alone; a resumed run equals an uninterrupted one; measurements change nothing; and two workers with half of
    the batch each equal one with all of it. A rule whose B learns by another law is said to be not examined there. Its
    ``grade`` says how much a synapse needs to know for its change, with SGD, momentum and weight decay.

    It does not claim anything about other networks, GPUs or lower precision, about code paths that these steps do not
    reach. Python is no sandbox: a rule that changes nowt's own code, or recognizes these networks, is not found. The
    certificate says nothing about accuracy. What is transported besides W, such as batch norm's γ/σ, is listed in
    ``Certificate.also_transported``.

    Args:
        rule: The rule with its settings, built-in or custom. Promises that do not apply are listed with the reason in
            ``Certificate.left_out``.

    Returns:
        The certificate: ``passed``, ``verdict``, ``checks``, ``table()`` for a terminal, and ``to_json()``. It takes
        2 to 10 seconds on one thread; a custom rule with many fields takes longer. The number of torch threads and the
        global random state are the same afterwards.

    Raises:
        ValueError: If ``rule`` is not a Rule, or a field of it has a value that the certified network cannot use.
        Exception: Whatever the code of a custom rule raises.

    Reference:
        Laws: Lillicrap et al. (2016), Akrout et al. (2019), Kolen and Pollack (1994); bounds in each check.

    Example:
        >>> from nowt import Backprop, certify
        >>> certificate = certify(Backprop())
        >>> certificate.passed
        True
        >>> certificate.verdict
        'transports weights on purpose: a reference, not a local rule'
    """
    require_rule(rule)
    with torch.random.fork_rng(devices=[]), _one_thread():
        trace = trace_reads(rule)
        results = [*check_locality(rule, trace), *(result for check in CHECKS for result in check(rule))]
        measured = grade(rule)
    results += check_grade(rule, measured)
    return Certificate(
        rule=rule.name,
        source=rule.source,
        numerics=rule.numerics,
        fields=settings_of(rule),
        transports=rule.transports,
        checks=tuple(result for result in results if isinstance(result, Check)),
        left_out=tuple(result for result in results if isinstance(result, SkippedCheck)),
        reads=trace.reads,
        starts_from_weight=starts_from_weight(rule),
        reads_out=reads_out(rule),
        left_to_backprop=trace.left_to_backprop,
        also_transported=other_transport(rule, trace),
        code=rule_code(type(rule)),
        versions={"nowt": VERSION, "torch": torch.__version__, "python": platform.python_version()},
        grade=NO_GRADE if reads_undeclared(results) else measured,
    )


def settings_of(rule: Rule) -> dict[str, Any]:
    """Return the rule's settings as a certificate lists them."""
    return {name: value for name, value in config_to_json(rule).items() if name != "name"}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and are slower with them on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def certificate_path(store: Path, rule: Rule) -> Path:
    """Return where a store keeps the certificate of ``rule`` with its settings."""
    return Store(store).certificates / certificate_name(rule)


def certify_into(store: Path, rule: Rule) -> Certificate:
    """Certify ``rule`` and write the certificate into the store."""
    check_links(store)
    return _write(certify(rule), certificate_path(store, rule))


def certify_command(rules: list[Rule], out: Path | None) -> int:
    """Run ``nowt certify``: print the table of each rule and, if ``out`` is a folder, write its JSON there.

    Returns:
        The exit code: 0 if every promise holds, otherwise 1.
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
    text = json_text(certificate.to_json(), indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text, durable=True)
    return certificate
