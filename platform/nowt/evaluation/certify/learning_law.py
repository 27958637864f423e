"""Whether the rule's learning follows a law that a certificate examines."""

from nowt.evaluation.certify.certificate import UNEXAMINED_LAW, CheckResults, SkippedCheck
from nowt.evaluation.certify.mirror import FIELDS
from nowt.evaluation.certify.testbed import has_fields, no_feedback_matrix_reason
from nowt.rules.base import Rule, overrides
from nowt.training.declared_law import declares_law


def check_learning_law(rule: Rule) -> CheckResults:
    """Yield one row for a rule whose B learns by no law that is known; nothing for any other rule.

    The law of a rule that declares a read of W is that read.
    """
    if rule.learns_from and not rule.transports and not _has_known_law(rule):
        yield SkippedCheck(UNEXAMINED_LAW, "no law declared: not examined")


def _has_known_law(rule: Rule) -> bool:
    """Return whether B learns as Kolen-Pollack's (see ``kolen_pollack``) or from noise as weight mirror's."""
    # with feedback(), another B than the one of the law carries the error
    if no_feedback_matrix_reason(rule) or overrides(rule, "feedback"):
        return False
    return declares_law(rule) or _learns_from_mirror_only(rule)


def _learns_from_mirror_only(rule: Rule) -> bool:
    """Return whether nothing but weight mirror's law changes B: ``observe_mirror`` is the only place that may."""
    others = any(overrides(rule, name) for name in ("after_step", "observe", "observe_error"))
    return rule.signals == ("mirror",) and has_fields(rule, *FIELDS) and not others
