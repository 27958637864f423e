"""The form of ``manifest.json``, which lists the sources of a report, and the options in the command that it names."""

import shlex
from pathlib import Path
from typing import Any

from analysis.figures.options import Options
from nowt.core.errors import UserError
from nowt.store.files import read_plain_file
from nowt.store.json_types import INTEGER, LINE, OBJECT, RUN, STUDY, TEXT, Kind, check_object, values
from nowt.store.jsonl import parse_line
from nowt.store.names import METRIC_NAME, REPORT_FILE

SCHEMA = 1

MANIFEST = "manifest.json"


def _by(name: Kind, value: Kind) -> Kind:
    """Return the kind of an object with such names and values."""
    return Kind("an object", lambda found: values(value).accepts(found) and all(map(name.accepts, found)))


def _is_checkout(value: Any) -> bool:
    return OBJECT.accepts(value) and LINE.accepts(value.get("commit", ""))


HELD = {
    "schema": INTEGER,
    "study": STUDY,
    "runs": _by(RUN, OBJECT.or_null()),
    "files": values(TEXT),
    "nowt": Kind("an object", _is_checkout),
    "command": LINE,
}

OPTIONAL = {  # manifests of earlier versions do not have them
    "packages": _by(LINE, LINE),
    "probes": _by(Kind(METRIC_NAME.noun, METRIC_NAME.matches), OBJECT),
    "plan": TEXT,
}


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest at ``path``. Raises ValueError if there is none, or if a field has another type."""
    if not path.is_file():
        raise UserError(f"there is no {path}: give --check a folder that `nowt report` wrote")
    try:
        found = check_object(parse_line(read_plain_file(path)), {})
    except ValueError as error:
        raise UserError(f"{path} is not JSON, or not a manifest ({error}): run `nowt report` again") from None
    schema: Any = found.get("schema")
    if INTEGER.accepts(schema) and schema > SCHEMA:
        raise UserError(f"{path} has schema {schema}, this version of nowt reads up to {SCHEMA}: update nowt")
    for name, kind in {**HELD, **OPTIONAL}.items():
        if not kind.accepts(found.get(name)) and (name in HELD or name in found):
            raise invalid(path, name)
    if odd := [name for name in found["files"] if not REPORT_FILE.matches(name)]:
        raise UserError(f"{path} lists {odd[0]!r}, which is not a file of a report: run `nowt report` again")
    return found


def invalid(path: Path, name: str) -> UserError:
    """Return the error for a field with another value than nowt writes."""
    return UserError(f"{path} has no valid {name}: run `nowt report` again")


def options_of(command: str) -> Options:
    """Return the options in the command of a manifest, ``nowt report STUDY OPTIONS --store STORE --out DIR``.

    Raises ValueError for another command, or another option than ``Options.args`` writes.
    """
    words = shlex.split(command)
    if words[:2] != ["nowt", "report"] or len(words) < 7 or (words[-4], words[-2]) != ("--store", "--out"):
        raise UserError("it is not a command of a report")
    given: dict[str, Any] = {}
    left = iter(words[3:-4])
    for word in left:
        if word == "--published":
            given["published"] = True
        elif word == "--against":
            given["against"] = next(left, "")
        elif word == "--margin":
            given["margin"] = float(next(left, ""))
        else:
            raise UserError(f"it has the option {word!r}")
    return Options(**given)
