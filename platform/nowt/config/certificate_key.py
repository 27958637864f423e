"""The identity of a rule's certificate: the rule with its settings, the code that examines and runs it, and the
versions of nowt and torch."""

import hashlib
import json

from nowt.config.run_key import non_default_fields
from nowt.core.source_hash import package_versions
from nowt.rules.base import Rule
from nowt.store.certificates import CERTIFIER, MEASURED, certifying_versions, measured_modules, module_digest


def certificate_name(rule: Rule) -> str:
    """Return ``certificate-NAME-HASH.json``. The hash covers everything that a certificate depends on, so that a store
    keeps the certificates of earlier code and versions beside today's."""
    facts = {"rule": non_default_fields(rule), "code": rule_code(type(rule)), "versions": certifying_versions()}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return f"certificate-{rule.name}-{digest}.json"


def rule_code(kind: type[Rule]) -> dict[str, str]:
    """Return what identifies the code that a rule's certificate depends on, by module or package.

    Of nowt, that is the certificate's own code, with the layers, rules, initializations and optimizers that it uses,
    and the modules of the rule's class and of those that it derives from: a hash of each module's syntax tree. Of a
    custom class, it is ``numerics``, which is a hash of its code; of a class in an installed package, the version of
    the package.
    """
    own = [base.__module__ for base in kind.__mro__ if MEASURED.fullmatch(base.__module__)]
    code = {name: module_digest(name) for module in (CERTIFIER, *own) for name in measured_modules(module)}
    package = kind.__module__.partition(".")[0]
    if package == "nowt":
        return code
    versions = {} if kind.source else package_versions((package,))
    return {**code, **versions, kind.__qualname__: str(kind.numerics)}
