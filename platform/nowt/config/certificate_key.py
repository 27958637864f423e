"""The identity of a rule's certificate: the rule with its settings, its code, and the versions of nowt and torch."""

import hashlib
import json

from nowt.config.run_key import non_default_fields
from nowt.core.source_hash import package_versions
from nowt.rules.base import Rule
from nowt.store.certificates import OWN_RULES, certifying_versions, module_digest, rule_modules


def certificate_name(rule: Rule) -> str:
    """Return ``certificate-NAME-HASH.json``. The hash covers everything that a certificate depends on, so that a store
    keeps the certificates of earlier code and versions beside today's."""
    facts = {"rule": non_default_fields(rule), "code": rule_code(type(rule)), "versions": certifying_versions()}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return f"certificate-{rule.name}-{digest}.json"


def rule_code(kind: type[Rule]) -> dict[str, str]:
    """Return what identifies the code of a rule, by module or package.

    For its class and those that it derives from: of nowt's own, the syntax trees of their modules and of the modules of
    ``nowt.rules`` that these import; of a custom class, ``numerics``, which is a hash of its code; of a class in an
    installed package, the version of the package.
    """
    own = [base.__module__ for base in kind.__mro__ if base.__module__.startswith(OWN_RULES)]
    code = {name: module_digest(name) for module in own for name in rule_modules(module)}
    package = kind.__module__.partition(".")[0]
    if package == "nowt":
        return code
    versions = {} if kind.source else package_versions((package,))
    return {**code, **versions, kind.__qualname__: str(kind.numerics)}
