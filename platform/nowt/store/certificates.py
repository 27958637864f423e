"""The certificates in a store: reading one, and what has changed since it was written. Imports neither torch nor rules.

A certificate is never overwritten by one of other code or versions: each has a file name of its own
(``config/certificate_key.py``), which the logs of its runs contain.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nowt.core.formatting import counted
from nowt.core.syntax_tree import imported_names, tree_digest
from nowt.core.version import VERSION
from nowt.store.files import read_plain_file
from nowt.store.json_types import LINE, OBJECT, Table, check_object, values
from nowt.store.jsonl import parse_line
from nowt.store.layout import Store
from nowt.store.names import CERTIFICATE, stray_link

CERTIFIER = "nowt.evaluation.certify.run"  # imports every check

# the modules on which the numbers of a certificate depend; the others check fields, read files and write them
MEASURED = re.compile(
    r"nowt\.((rules|layers|models|training|evaluation\.certify)(\.\w+)*"
    r"|core\.(seeding|random_state|distributed)|config\.(run_config|sections))"
)

PACKAGE = Path(__file__).parents[1]  # nowt's own folder

NAMED = 3  # changed modules that a message names

TYPES: Table = {"rule": LINE, "fields": OBJECT, "verdict": LINE, "code": values(LINE), "versions": values(LINE)}


@cache
def certifying_versions() -> dict[str, str]:
    """Return the versions of the packages that a certificate depends on."""
    return {"nowt": VERSION, "torch": version("torch")}


@cache
def module_digest(name: str) -> str:
    """Return a hash of the syntax tree of a module in ``MEASURED``, which is not imported; empty if there is none."""
    text = _module_text(name)
    return tree_digest(text)[:12] if text else ""


@cache
def measured_modules(name: str) -> tuple[str, ...]:
    """Return the modules in ``MEASURED`` that the module ``name`` imports, directly or through each other, and itself.
    None is imported."""
    found, queue = dict.fromkeys([name]), [name]
    while queue:
        for module in _imported_modules(queue.pop()):
            if module not in found:
                found[module] = None
                queue.append(module)
    return tuple(found)


def _imported_modules(name: str) -> Iterator[str]:
    for imported in imported_names(_module_text(name), name.rpartition(".")[0]):
        module = imported.lstrip(".~")
        while module and not _module_text(module):
            module = module.rpartition(".")[0]  # the last name may be that of a class
        if module:
            yield module


@cache
def _module_text(name: str) -> bytes:
    """Return the text of a module in ``MEASURED``; empty if there is none."""
    if not MEASURED.fullmatch(name):
        return b""
    base = PACKAGE.joinpath(*name.split(".")[1:])
    file = next((each for each in (base.with_suffix(".py"), base / "__init__.py") if each.is_file()), None)
    return file.read_bytes() if file else b""


def read_certificate(store: Path, name: str) -> dict[str, Any]:
    """Return the certificate in file ``name`` as JSON data; empty if the store does not have it.

    A link, another name than that of a certificate, and a file that is no certificate count as missing: a log from
    elsewhere may name anything.
    """
    try:
        return check_object(parse_line(certificate_text(store, name)), TYPES, ("rule",))
    except ValueError:
        return {}


def certificate_text(store: Path, name: str) -> bytes:
    """Return the content of the certificate ``name``; empty if the store has no file of this name, or a link."""
    path = Store(store).certificates / name
    if not CERTIFICATE.matches(name) or not path.is_file() or path.is_symlink() or stray_link(store, [path]):
        return b""
    return read_plain_file(path)


def outdated_parts(certificate: Mapping[str, Any]) -> list[str]:
    """Return what has changed since the certificate was written, as phrases.

    Of its code, that of nowt is compared. Custom code has another certificate after an edit.
    """
    if CERTIFIER not in certificate.get("code", {}):
        return ["an earlier version of nowt wrote it"]
    return [*_changed_code(certificate["code"]), *_changed_versions(certificate.get("versions", {}))]


def _changed_code(code: Mapping[str, str]) -> Iterator[str]:
    changed = [name for name, then in code.items() if MEASURED.fullmatch(name) and module_digest(name) != then]
    if changed:
        more = f" and {counted(len(changed) - NAMED, 'other module')}" if len(changed) > NAMED else ""
        yield f"the code of {', '.join(changed[:NAMED])}{more} has changed"


def _changed_versions(versions: Mapping[str, str]) -> Iterator[str]:
    for package, now in certifying_versions().items():
        then = versions.get(package, "unknown")
        if then.partition("+")[0] != now.partition("+")[0]:  # without the build, such as +cu130
            yield f"{package} was {then}, now {now}"


def outdated_certificates(store: Path, rule: str, settings: Mapping[str, Any], current: str) -> list[tuple[str, str]]:
    """Return the other certificates of a rule with these settings: the name of each and what has changed since."""
    found = []
    for path in sorted(Store(store).certificates.glob(f"certificate-{rule}*.json")):
        data = read_certificate(store, path.name)
        if path.name != current and (data.get("rule"), data.get("fields")) == (rule, settings):
            found.append((path.name, ", ".join(outdated_parts(data))))
    return found
