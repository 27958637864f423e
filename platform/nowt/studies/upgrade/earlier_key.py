"""Run keys as versions of nowt before numerics 2 of the training loop computed them.

They identified a custom rule or model by the text of its file alone, and image folders by the names and sizes of their
files.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from nowt.config.run_config import RunConfig
from nowt.config.run_key import non_default_fields
from nowt.core.plugins import is_file_spec, split_spec
from nowt.studies.upgrade.earlier_text import earlier_texts

EARLIER_LOOP = 1


def earlier_run_keys(config: RunConfig, fingerprint: str) -> Iterator[str]:
    """Yield the keys that earlier versions may have given to a run, if its custom files have not changed since.

    Of a rule's file, imports from nowt may have been rewritten. Raises OSError for a file that cannot be read.
    """
    if not config.rule.source:
        yield _key(config, fingerprint, config.rule.numerics)
        return
    for text in earlier_texts(_file(config.rule.source).read_bytes()):
        yield _key(config, fingerprint, _hash(text))


def earlier_run_key(config: RunConfig, fingerprint: str) -> str:
    """Return the key that earlier versions gave to a run whose custom files had the text that they have now."""
    return next(earlier_run_keys(config, fingerprint))


def _key(config: RunConfig, fingerprint: str, rule: int | str) -> str:
    fields = non_default_fields(config)
    fields["rule"]["numerics"] = rule
    if is_file_spec(config.model.name):
        function = split_spec(config.model.name)[2]
        fields["model"]["name"] = f"{function} in {_hash(_file(config.model.name).read_bytes())}"
    elif ":" in config.model.name:  # a function of a module was identified by its name alone
        fields["model"]["name"] = config.model.name
    facts = {"config": fields, "loop": EARLIER_LOOP, "data": fingerprint}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _file(spec: str) -> Path:
    return Path(split_spec(spec)[0])


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:12]
