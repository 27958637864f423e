"""The text that a custom rule's file may have had when earlier versions of nowt hashed it.

nowt's modules have other names today. A file that has only been edited to import from them is the same rule. The
earlier text is reconstructed by writing the imports as before; that it was this text follows from its hash.
"""

import ast
from collections.abc import Iterator
from itertools import islice, product

EARLIER_MODULES = {
    "Backprop": ("nowt.rules.bp",),
    "FeedbackAlignment": ("nowt.rules.fa",),
    "SignSymmetry": ("nowt.rules.ss",),
    "WeightMirror": ("nowt.rules.wm",),
    "KolenPollack": ("nowt.rules.kp",),
    "Sham": ("nowt.rules.sham",),
    "FeedbackRule": ("nowt.rules.start",),
    "DrawnFeedback": ("nowt.rules.start",),
    "Rule": ("nowt.rules", "nowt.rules.rule"),
    "Moment": ("nowt.rules", "nowt.rules.rule"),
    "FeedbackLayer": ("nowt.layers", "nowt.layers.base"),
}

MOST = 64  # texts that are tried


def earlier_texts(text: bytes) -> Iterator[bytes]:
    """Yield ``text``, and then the same with its imports from nowt as earlier versions needed them."""
    yield text
    try:
        lines, tree = text.decode().splitlines(keepends=True), ast.parse(text)
    except (SyntaxError, ValueError):
        return
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and _is_of_nowt(node)]
    end = "\r\n" if b"\r\n" in text else "\n"
    choices = [list(_statements(node, end)) for node in imports]
    for chosen in islice(product(*choices), MOST):
        replaced = [*lines]
        for node, statement in sorted(zip(imports, chosen, strict=True), key=lambda pair: -pair[0].lineno):
            replaced[node.lineno - 1 : node.end_lineno] = [statement]
        yield "".join(replaced).encode()


def _is_of_nowt(node: ast.ImportFrom) -> bool:
    known = all(alias.name in EARLIER_MODULES and alias.asname is None for alias in node.names)
    return known and not node.level and (node.module or "").partition(".")[0] == "nowt" and not node.col_offset


def _statements(node: ast.ImportFrom, end: str) -> Iterator[str]:
    """Yield what an earlier file may have had in place of an import: a line for each module, sorted."""
    names = [alias.name for alias in node.names]
    for modules in product(*(EARLIER_MODULES[name] for name in names)):
        grouped = {
            module: [n for n, m in zip(names, modules, strict=True) if m == module] for module in sorted(modules)
        }
        yield "".join(f"from {module} import {', '.join(found)}{end}" for module, found in grouped.items())
